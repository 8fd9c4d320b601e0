"""Hugging Face's ResNet: which of this project's networks it is, or one of its own making."""

import re
from collections.abc import Mapping
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eightbit.models.doors.foreign.hf_files import HubResNet
from eightbit.models.networks.architectures import build_model
from eightbit.models.spec import Architecture

_WIDTHS: Final = {"basic": (64, 128, 256, 512), "bottleneck": (256, 512, 1024, 2048)}
_OURS: Final[Mapping[tuple[str, tuple[int, ...]], Architecture]] = {
    ("basic", (2, 2, 2, 2)): Architecture.RESNET18,
    ("basic", (3, 4, 6, 3)): Architecture.RESNET34,
    ("bottleneck", (3, 4, 6, 3)): Architecture.RESNET50,
    ("bottleneck", (3, 4, 23, 3)): Architecture.RESNET101,
    ("bottleneck", (3, 8, 36, 3)): Architecture.RESNET152,
}
_REDUCTION: Final = 4

_BLOCK_KEY: Final = re.compile(r"layer(\d+)\.(\d+)\.(?:(conv|bn)(\d)|downsample\.([01]))\.(\w+)")
_PARTS: Final = {"conv": "convolution", "bn": "normalization"}


def architecture_of(config: HubResNet) -> Architecture | None:
    """Which network of this project's computes the same; None where there is none."""
    first_strides_are_ours = not config.downsample_in_first_stage and not (
        config.downsample_in_bottleneck and config.layer_type == "bottleneck"
    )
    widths_are_ours = (config.embedding_size, config.hidden_sizes) == (
        64,
        _WIDTHS[config.layer_type],
    )
    if not (first_strides_are_ours and widths_are_ours):
        return None
    return _OURS.get((config.layer_type, config.depths))


def build(config: HubResNet, num_classes: int) -> nn.Module:
    """The network with random weights, its keys as `their_key` reads them."""
    architecture = architecture_of(config)
    if architecture is None:
        return HubVariant(config, num_classes)
    return build_model(architecture, num_classes=num_classes)


def their_key(key: str) -> str:
    """What Hugging Face calls the weight of such a key of ours."""
    block = _BLOCK_KEY.fullmatch(key)
    if block is not None:
        stage, layer, kind, place, skipped, name = block.groups()
        path = f"resnet.encoder.stages.{int(stage) - 1}.layers.{layer}"
        if skipped is not None:
            return f"{path}.shortcut.{tuple(_PARTS.values())[int(skipped)]}.{name}"
        return f"{path}.layer.{int(place) - 1}.{_PARTS[kind]}.{name}"
    module, _, name = key.partition(".")
    if module == "fc":
        return f"classifier.1.{name}"
    return f"resnet.embedder.embedder.{_PARTS[module.removesuffix('1')]}.{name}"


class HubVariant(nn.Module):
    """A ResNet of other depths, widths or strides than torchvision's; its keys are named alike."""

    def __init__(self, config: HubResNet, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, config.embedding_size, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(config.embedding_size)
        self.stages = tuple(f"layer{number + 1}" for number in range(len(config.depths)))
        channels = config.embedding_size
        for number, (name, depth, width) in enumerate(
            zip(self.stages, config.depths, config.hidden_sizes, strict=True)
        ):
            stride = 2 if number or config.downsample_in_first_stage else 1
            first = _Block(config, channels, width, stride)
            rest = (_Block(config, width, width, 1) for _ in range(depth - 1))
            self.add_module(name, nn.Sequential(first, *rest))
            channels = width
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of normalised images, float32 (N, 3, H, W)."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        for name in self.stages:
            x = getattr(self, name)(x)
        logits: Tensor = self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return logits


class _Block(nn.Module):
    """A basic block, or a bottleneck with its stride on the first or the second convolution."""

    def __init__(self, config: HubResNet, channels: int, width: int, stride: int) -> None:
        super().__init__()
        layers = [(3, width, stride), (3, width, 1)]
        if config.layer_type == "bottleneck":
            inner = width // _REDUCTION
            strides = (stride, 1) if config.downsample_in_bottleneck else (1, stride)
            layers = [(1, inner, strides[0]), (3, inner, strides[1]), (1, width, 1)]
        before = channels
        for number, (kernel, after, step) in enumerate(layers, start=1):
            conv = nn.Conv2d(before, after, kernel, step, padding=kernel // 2, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm2d(after))
            before = after
        self.depth = len(layers)
        self.downsample: nn.Module | None = None
        if channels != width or stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to (N, width, H / stride, W / stride)."""
        out: Any = x
        for number in range(1, self.depth + 1):
            out = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(out))
            if number < self.depth:
                out = F.relu(out)
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))
