"""How much there is to multiply."""

import torch
from torch import nn

from eightbit.models.spec import Size, height_and_width


def products_per_image(network: nn.Module, *, size: Size) -> int:
    """Multiplications of weights (each with its addition) in one forward pass of one image.

    The network is in evaluation mode, on any device; `size` is the image's, in pixels.
    """
    total = 0

    def count(module: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        weight = module.get_parameter("weight")
        total += out.numel() * weight[0].numel()

    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    with torch.inference_mode():
        device = next(network.parameters()).device
        network(torch.zeros(1, 3, *height_and_width(size), device=device))
    for hook in hooks:
        hook.remove()
    return total
