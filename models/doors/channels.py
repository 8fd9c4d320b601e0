"""Networks that were trained on other channels than red, green and blue, as networks of those."""

from typing import Final

import torch
from torch import Tensor, nn

from eightbit.models.networks.fusable import FusableNetwork
from eightbit.models.spec import ChannelOrder

# What each of red, green and blue counts for in grey (ITU-R BT.601), as in Pillow's mode L.
LUMA: Final = (0.299, 0.587, 0.114)


def taking_rgb(module: nn.Module, channels: ChannelOrder) -> nn.Module:
    """A network of the same answers that takes red, green, blue; it may be the same, changed.

    Args:
        module: Takes float32 (N, 3, H, W), or one channel where it is grey.
        channels: What it takes.
    """
    if channels is ChannelOrder.RGB:
        return module
    if channels is ChannelOrder.GREY:
        return _OfGrey(module).eval()
    first = getattr(module, "conv1", None)
    if isinstance(module, FusableNetwork) and isinstance(first, nn.Conv2d):
        first.weight = nn.Parameter(first.weight.detach().flip(1), requires_grad=False)
        return module
    return _OfBlueGreenRed(module).eval()


class _OfBlueGreenRed(nn.Module):
    """Turns the channels round by operators that only move numbers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images (N, 3, H, W) in red, green, blue."""
        turned = torch.cat([x[:, place : place + 1] for place in (2, 1, 0)], 1)
        logits: Tensor = self.network(turned)
        return logits


class _OfGrey(nn.Module):
    """Makes one channel of three."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.grey = nn.Conv2d(3, 1, 1, bias=False)
        weight = torch.tensor(LUMA).reshape(1, 3, 1, 1)
        self.grey.weight = nn.Parameter(weight, requires_grad=False)
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images (N, 3, H, W) in red, green, blue."""
        logits: Tensor = self.network(self.grey(x))
        return logits
