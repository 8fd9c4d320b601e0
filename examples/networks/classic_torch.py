"""The ResNet that many PyTorch tutorials write out: one class for all depths and for ResNeXt.

    eightbit quantize classic_torch.py:resnet34 --weights resnet34.pth ...

A function without arguments is what is asked for; with other numbers of classes write your own:

    flowers = functools.partial(resnet34, num_classes=5)
"""

import functools
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(
        self,
        in_channel: int,
        out_channel: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        width_per_group: int = 64,
    ) -> None:
        super().__init__()
        if (groups, width_per_group) != (1, 64):
            raise ValueError("a basic block has no groups")
        self.conv1 = nn.Conv2d(in_channel, out_channel, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channel)
        self.conv2 = nn.Conv2d(out_channel, out_channel, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channel)
        self.relu = nn.ReLU()
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channel, H, W) to (N, out_channel, H / stride, W / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 in groups, 1 x 1; the stride is that of the second."""

    expansion = 4

    def __init__(
        self,
        in_channel: int,
        out_channel: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        width_per_group: int = 64,
    ) -> None:
        super().__init__()
        width = int(out_channel * (width_per_group / 64.0)) * groups
        self.conv1 = nn.Conv2d(in_channel, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channel * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channel * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channel, H, W) to (N, 4 * out_channel, H / stride, W / stride)."""
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """Four stages of blocks between a stem and a classifier.

    Args:
        block: What the stages are made of.
        blocks_num: Number of blocks of each stage.
        num_classes: Width of the classifier.
        include_top: Whether there is a classifier; without one the result is maps.
        groups: Of the middle convolution of a bottleneck.
        width_per_group: Of that convolution in the first stage.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        blocks_num: Sequence[int],
        num_classes: int = 1000,
        include_top: bool = True,
        groups: int = 1,
        width_per_group: int = 64,
    ) -> None:
        super().__init__()
        self.include_top = include_top
        self.in_channel = 64
        self.groups = groups
        self.width_per_group = width_per_group
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = self._stage(block, 64, blocks_num[0])
        self.layer2 = self._stage(block, 128, blocks_num[1], stride=2)
        self.layer3 = self._stage(block, 256, blocks_num[2], stride=2)
        self.layer4 = self._stage(block, 512, blocks_num[3], stride=2)
        if include_top:
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(512 * block.expansion, num_classes)

    def _stage(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        channel: int,
        count: int,
        stride: int = 1,
    ) -> nn.Sequential:
        made: list[nn.Module] = []
        for number in range(count):
            step = stride if number == 0 else 1
            downsample = None
            if step != 1 or self.in_channel != channel * block.expansion:
                downsample = nn.Sequential(
                    nn.Conv2d(self.in_channel, channel * block.expansion, 1, step, bias=False),
                    nn.BatchNorm2d(channel * block.expansion),
                )
            groups, width = self.groups, self.width_per_group
            made.append(block(self.in_channel, channel, step, downsample, groups, width))
            self.in_channel = channel * block.expansion
        return nn.Sequential(*made)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, 3, H, W); maps without a classifier."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        if self.include_top:
            x = self.fc(torch.flatten(self.avgpool(x), 1))
        return x


resnet34 = functools.partial(ResNet, BasicBlock, (3, 4, 6, 3))
resnet50 = functools.partial(ResNet, Bottleneck, (3, 4, 6, 3))
resnet101 = functools.partial(ResNet, Bottleneck, (3, 4, 23, 3))
resnext50_32x4d = functools.partial(ResNet, Bottleneck, (3, 4, 6, 3), groups=32, width_per_group=4)
resnext101_32x8d = functools.partial(
    ResNet, Bottleneck, (3, 4, 23, 3), groups=32, width_per_group=8
)
