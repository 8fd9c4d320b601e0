"""Architectures that can be quantized: ResNets as torchvision and He et al. define them."""
