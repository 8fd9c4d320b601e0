"""He et al.'s residual networks for CIFAR, written so that they can be quantized.

Source: https://arxiv.org/abs/1512.03385, section 4.2: depth 6n + 2, three stages of n blocks with
16, 32 and 64 channels, and shortcuts without parameters (option A). Conventions (`skip_add`, one
ReLU per call, stubs) as in `resnet`.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eightbit.models.errors import InputError
from eightbit.models.networks.fusable import FusableNetwork, initialize_convolutions
from eightbit.models.networks.quantizable import FloatFunctional


class OptionAShortcut(nn.Module):
    """The skip connection of a block that halves the resolution: subsample, pad with channels.

    Takes every second pixel of every second row and pads channels of zeros, an even number, on both
    sides. In a quantized tensor they hold the zero point, which is real zero exactly.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        added = out_channels - in_channels
        if added <= 0 or added % 2:
            raise InputError(
                f"option A shortcut: expected an even number of additional channels, found"
                f" {in_channels} to {out_channels}"
            )
        self.padding = added // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, ceil(H / 2), ceil(W / 2)).

        float32 or quantized per tensor; dtype, scale and zero point stay.
        """
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))


class CifarBlock(nn.Module):
    """Two 3x3 convolutions and a skip connection without parameters.

    The stride is the first convolution's; 2 needs more channels than before.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity() if stride == 1 else OptionAShortcut(in_channels, out_channels)
        self.skip_add = FloatFunctional()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return self.skip_add.add_relu(out, self.shortcut(x))


class CifarResNet(FusableNetwork):
    """Residual network for images of 32 px.

    Args:
        depth: Number of weighted layers, 6n + 2 (20, 32, 44, 56, 110 in the paper).
        num_classes: Width of the classifier.
        include_top: Whether there are `avgpool` and `fc`.

    Raises:
        InputError: No such depth.
    """

    include_top: Final[bool]  # Final: torch.jit drops the branch that is not taken

    def __init__(self, depth: int, num_classes: int = 10, include_top: bool = True) -> None:
        super().__init__()
        if depth < 8 or depth % 6 != 2:
            raise InputError(f"depth: expected 6n + 2 (20, 32, 44, 56, 110), found {depth}")
        count = (depth - 2) // 6
        self.include_top = include_top
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        self.layer1 = _make_stage(16, 16, count, stride=1)
        self.layer2 = _make_stage(16, 32, count, stride=2)
        self.layer3 = _make_stage(32, 64, count, stride=2)
        if include_top:
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(64, num_classes)
        initialize_convolutions(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of normalised images, float32 (N, 3, H, W).

        Without a top the features of the last stage, (N, 64, H / 4, W / 4).
        """
        x = self.relu(self.bn1(self.conv1(self.quant(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        if self.include_top:
            x = self.fc(torch.flatten(self.avgpool(x), 1))
        out: Tensor = self.dequant(x)
        return out


def _make_stage(in_channels: int, out_channels: int, count: int, stride: int) -> nn.Sequential:
    """Build `count` blocks, of which the first changes the shape."""
    first = CifarBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(CifarBlock(out_channels, out_channels) for _ in range(count - 1)))
