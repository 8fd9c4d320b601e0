"""torchvision's ResNet, ResNeXt and Wide ResNet, written so that they can be quantized.

The numbers, the constructor's arguments and the keys of the state dict are torchvision's. For
static quantization the residual sum is a module that can be observed (`skip_add`), every call of
ReLU has its own module, and stubs mark where integers begin and end.
Source of the architecture: He et al., https://arxiv.org/abs/1512.03385, with the stride of a
bottleneck on its 3x3 convolution ("ResNet V1.5"), as in torchvision.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import torch
from torch import Tensor, nn

from eightbit.models.errors import InputError
from eightbit.models.networks.fusable import FusableNetwork, initialize_convolutions
from eightbit.models.networks.quantizable import FloatFunctional

_STAGE_PLANES = (64, 128, 256, 512)


def _conv3x3(
    in_channels: int, out_channels: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """3x3 convolution without bias, padded so that stride 1 keeps the size."""
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size=3,
        stride=stride,
        padding=dilation,
        dilation=dilation,
        groups=groups,
        bias=False,
    )


def _conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """1x1 convolution without bias."""
    return nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the skip connection (resnet18, resnet34).

    The stride is the first convolution's; `planes * expansion` channels leave the block.
    `downsample` is None where the skipped input fits already. Groups and dilation must be 1,
    `base_width` 64.
    """

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        in_channels: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        if (groups, base_width, dilation) != (1, 64, 1):
            raise InputError(
                "resnet18 and resnet34 are made of basic blocks: expected groups 1, width_per_group"
                f" 64 and no dilation, found groups {groups}, width_per_group {base_width},"
                f" dilation {dilation}; take an architecture of bottlenecks, resnet50 or larger"
            )
        self.conv1 = _conv3x3(in_channels, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu1 = nn.ReLU()
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample
        self.skip_add = FloatFunctional()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, planes, H / stride, W / stride)."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        identity = x if self.downsample is None else self.downsample(x)
        return self.skip_add.add_relu(out, identity)


class Bottleneck(nn.Module):
    """A 3x3 convolution between two 1x1 convolutions, and the skip connection.

    Stride, groups and dilation are the 3x3 convolution's; `planes * expansion` channels leave the
    block. `downsample` is None where the skipped input fits already; `base_width` is the number of
    channels per group of the 3x3 convolution where `planes` is 64.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        in_channels: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        width = int(planes * (base_width / 64)) * groups
        self.conv1 = _conv1x1(in_channels, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = _conv3x3(width, width, stride, groups, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.conv3 = _conv1x1(width, planes * self.expansion)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.downsample = downsample
        self.skip_add = FloatFunctional()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, 4 * planes, H / stride, W / stride)."""
        out = self.relu1(self.bn1(self.conv1(x)))
        out = self.relu2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        identity = x if self.downsample is None else self.downsample(x)
        return self.skip_add.add_relu(out, identity)


class ResNet(FusableNetwork):
    """ResNet for images of any size; 224 px is what the published weights were trained on.

    Args:
        block: What the four stages are made of.
        layers: Number of blocks of each of the four stages.
        num_classes: Width of the classifier.
        zero_init_residual: Start every residual branch at zero (https://arxiv.org/abs/1706.02677).
        groups: Of the bottlenecks' 3x3 convolutions (ResNeXt).
        width_per_group: Of the same (Wide ResNet: 128 instead of 64).
        replace_stride_with_dilation: For the second to fourth stage: dilate, keep the resolution.
        norm_layer: None or `nn.BatchNorm2d`: only this one folds into a convolution.
        include_top: Whether there are `avgpool` and `fc`.

    Raises:
        InputError: An argument that the architecture, or quantization, cannot have.
    """

    include_top: Final[bool]  # Final: torch.jit drops the branch that is not taken

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: type[nn.Module] | None = None,
        include_top: bool = True,
    ) -> None:
        super().__init__()
        _check_arguments(layers, replace_stride_with_dilation, norm_layer)
        make_stage = functools.partial(_make_stage, block, groups, width_per_group)
        geometry = _stage_geometry(replace_stride_with_dilation or (False, False, False))
        widths = [planes * block.expansion for planes in _STAGE_PLANES]
        self.include_top = include_top
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = make_stage(64, _STAGE_PLANES[0], layers[0], geometry[0])
        self.layer2 = make_stage(widths[0], _STAGE_PLANES[1], layers[1], geometry[1])
        self.layer3 = make_stage(widths[1], _STAGE_PLANES[2], layers[2], geometry[2])
        self.layer4 = make_stage(widths[2], _STAGE_PLANES[3], layers[3], geometry[3])
        if include_top:
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(widths[3], num_classes)
        initialize_convolutions(self)
        if zero_init_residual:
            _zero_residual_branches(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of normalised images, float32 (N, 3, H, W).

        Without a top the features of the last stage, (N, 512 * expansion, H / 32, W / 32).
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(self.quant(x)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        if self.include_top:
            x = self.fc(torch.flatten(self.avgpool(x), 1))
        out: Tensor = self.dequant(x)
        return out


@dataclass(frozen=True)
class _Geometry:
    """How one stage treats resolution: stride and dilation of its first block, then dilation."""

    stride: int
    first_dilation: int
    dilation: int


def _stage_geometry(dilate: Sequence[bool]) -> list[_Geometry]:
    """Geometry of the four stages; `dilate` has a flag for each of the last three.

    A stage that dilates begins with the dilation of the stage before it, as torchvision's does.
    """
    geometry = [_Geometry(stride=1, first_dilation=1, dilation=1)]
    for dilates in dilate:
        before = geometry[-1].dilation
        stride, dilation = (1, 2 * before) if dilates else (2, before)
        geometry.append(_Geometry(stride=stride, first_dilation=before, dilation=dilation))
    return geometry


def _make_stage(
    block: type[BasicBlock | Bottleneck],
    groups: int,
    base_width: int,
    in_channels: int,
    planes: int,
    count: int,
    geometry: _Geometry,
) -> nn.Sequential:
    """Build `count` blocks, of which the first changes the shape."""
    out_channels = planes * block.expansion
    downsample = None
    if geometry.stride != 1 or in_channels != out_channels:
        downsample = nn.Sequential(
            _conv1x1(in_channels, out_channels, geometry.stride), nn.BatchNorm2d(out_channels)
        )
    first = block(
        in_channels,
        planes,
        geometry.stride,
        downsample,
        groups,
        base_width,
        geometry.first_dilation,
    )
    later = [
        block(out_channels, planes, 1, None, groups, base_width, geometry.dilation)
        for _ in range(count - 1)
    ]
    return nn.Sequential(first, *later)


def _check_arguments(
    layers: Sequence[int],
    replace_stride_with_dilation: Sequence[bool] | None,
    norm_layer: type[nn.Module] | None,
) -> None:
    """Refuse what the architecture or its quantization cannot have."""
    if len(layers) != 4 or min(layers) < 1:
        raise InputError(f"layers: expected four numbers of blocks, found {list(layers)}")
    if norm_layer not in (None, nn.BatchNorm2d):
        name = getattr(norm_layer, "__name__", repr(norm_layer))
        raise InputError(
            f"norm_layer: expected nn.BatchNorm2d, found {name}; only BatchNorm, a fixed scale and"
            " shift per channel at inference, folds into the convolution before it"
        )
    if replace_stride_with_dilation is not None and len(replace_stride_with_dilation) != 3:
        raise InputError(
            "replace_stride_with_dilation: expected three flags (for layer2, layer3 and layer4)"
            f" or None, found {list(replace_stride_with_dilation)}"
        )


def _zero_residual_branches(network: nn.Module) -> None:
    """Set the last BatchNorm's weight of every block to zero: each block starts as the identity."""
    for module in network.modules():
        if isinstance(module, BasicBlock):
            nn.init.zeros_(module.bn2.weight)
        elif isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
