"""What every network of this room has in common: quantization stubs and groups to fuse."""

from torch import nn
from torch.ao.quantization import DeQuantStub, QuantStub


class FusableNetwork(nn.Module):
    """Base of the networks: one convention decides what fuses.

    Children are registered in the order in which they run. So a convolution directly followed by
    a BatchNorm, and that one perhaps by a ReLU, is one group; nothing has to be listed by hand.
    `quant` and `dequant` are the stubs of eager mode.
    """

    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantStub()
        self.dequant = DeQuantStub()

    def fusion_groups(self) -> list[list[str]]:
        """Dotted names of the modules to fuse, Conv-BN-ReLU or Conv-BN, in network order.

        Such as `[["conv1", "bn1", "relu"], ["layer1.0.conv2", "layer1.0.bn2"]]`; empty once fused.
        """
        groups = []
        for prefix, module in self.named_modules():
            children = list(module.named_children())
            for index, (_, child) in enumerate(children):
                following = [type(later) for _, later in children[index + 1 : index + 3]]
                if type(child) is not nn.Conv2d or following[:1] != [nn.BatchNorm2d]:
                    continue
                length = 3 if following[1:] == [nn.ReLU] else 2
                names = [name for name, _ in children[index : index + length]]
                groups.append([f"{prefix}.{name}" if prefix else name for name in names])
        return groups


def initialize_convolutions(network: nn.Module) -> None:
    """Draw convolution weights from He's normal distribution, fan-out mode (as torchvision does).

    Source: He et al., https://arxiv.org/abs/1502.01852, equation 10.
    """
    for module in network.modules():
        # On the meta device nothing is drawn, but torch would load its compiler, for seconds.
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
