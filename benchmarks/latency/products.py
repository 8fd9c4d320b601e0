"""How much there is to multiply."""

import torch

from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture


def products_per_image(
    architecture: Architecture, *, side: int, num_classes: int | None = None
) -> int:
    """Multiplications of weights (each with its addition) in one forward pass of one image.

    Args:
        architecture: Which network.
        side: Height and width of the image in pixels.
        num_classes: Width of the classifier; None for the architecture's own data set.
    """
    total = 0

    def count(module: torch.nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        weight = module.get_parameter("weight")
        total += out.numel() * weight[0].numel()

    with torch.device("meta"):
        model = build_model(architecture, num_classes=num_classes).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                module.register_forward_hook(count)
        model(torch.empty(1, 3, side, side))
    return total
