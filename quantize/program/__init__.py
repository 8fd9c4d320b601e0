"""The integer network as a torch.export program, in torch's plain operators."""
