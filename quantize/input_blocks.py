"""How the inputs of a layer are cut into blocks, in which its weights are rounded together."""

from dataclasses import dataclass
from typing import Final, Self

import torch
import torch.nn.functional as F
from torch import nn

# Inputs of a block, at most: 8 channels of a 3x3 convolution, or 64 of a 1x1 convolution. Half or
# twice as many are as good, four times as many take half as long again.
_LARGEST: Final = 72

# Positions of a layer's output that stand for all of them: four times as many gain nothing.
_POSITIONS: Final = 2048


@dataclass(frozen=True, kw_only=True)
class InputBlocks:
    """Whole channels of one group, as many as make a block of a bounded number of inputs.

    Inputs of a block are in the order in which images lie in memory: position by position of the
    kernel, with all channels of the block for each.

    Attributes:
        groups: Of the convolution; 1 for a linear layer.
        blocks: Of each group.
        taps: Positions of the kernel.
        channels: Of each block.
    """

    groups: int
    blocks: int
    taps: int
    channels: int

    @classmethod
    def of(cls, layer: nn.Conv2d | nn.Linear) -> Self:
        """The blocks of a layer: as few as there can be of equal size."""
        groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        inputs, taps = layer.weight.shape[1], layer.weight[0, 0].numel()
        most = max(1, _LARGEST // taps)
        channels = max(size for size in range(1, inputs + 1) if size <= most and inputs % size == 0)
        return cls(groups=groups, blocks=inputs // channels, taps=taps, channels=channels)

    def split(self, weight: torch.Tensor) -> torch.Tensor:
        """Block by block, outputs innermost: shape (groups * blocks, taps * channels, O / groups).

        Args:
            weight: Of the layer, or any tensor of its shape (O, C, kH, kW) or (O, C).
        """
        rows = weight.flatten(2).mT if weight.dim() == 4 else weight.unsqueeze(1)
        rows = rows.reshape(self.groups, -1, self.taps * self.blocks * self.channels)
        # Transposed first, which is fast; then only runs of memory move.
        columns = torch.stack([group.t().contiguous() for group in rows])
        parts = columns.reshape(self.groups, self.taps, self.blocks, self.channels, -1)
        return parts.transpose(1, 2).reshape(
            self.groups * self.blocks, self.taps * self.channels, -1
        )

    def join(self, parts: torch.Tensor, shape: torch.Size) -> torch.Tensor:
        """The inverse of `split`: a tensor of the weight's shape, channels last in memory."""
        whole = parts.reshape(self.groups, self.blocks, self.taps, self.channels, -1)
        whole = whole.permute(0, 4, 2, 1, 3)
        if len(shape) == 2:
            return whole.reshape(shape)
        return whole.reshape(shape[0], *shape[2:], shape[1]).permute(0, 3, 1, 2)

    def inputs(self, rows: torch.Tensor) -> torch.Tensor:
        """Block by block: shape (groups * blocks, positions, taps * channels).

        Args:
            rows: What single outputs are computed from, shape (positions, taps, C), see
                `sampled_inputs`.
        """
        parts = rows.reshape(len(rows), self.taps, -1, self.channels).permute(2, 0, 1, 3)
        return parts.reshape(len(parts), len(rows), -1)


def sampled_inputs(
    layer: nn.Conv2d | nn.Linear, x: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """What single outputs are computed from.

    Args:
        layer: A convolution with explicit padding, or a linear layer.
        x: Its input: float32, shape (N, C, H, W) or (N, C).
        generator: Chooses the outputs where there are many.

    Returns:
        float32, shape (positions, taps, C).
    """
    if isinstance(layer, nn.Linear):
        return x[torch.randperm(len(x), generator=generator)[:_POSITIONS]].unsqueeze(1)
    assert isinstance(layer.padding, tuple)
    down, right = layer.padding
    images = F.pad(x, (right, right, down, down)).permute(0, 2, 3, 1)
    count, height, width, channels = images.shape
    rows, columns = (
        (size - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel, stride, dilation in zip(
            (height, width), layer.kernel_size, layer.stride, layer.dilation, strict=True
        )
    )
    chosen = torch.randperm(count * rows * columns, generator=generator)[:_POSITIONS]
    image, place = chosen // (rows * columns), chosen % (rows * columns)
    top, left = place // columns * layer.stride[0], place % columns * layer.stride[1]
    first = (image * height + top) * width + left
    below, beside = (
        torch.arange(kernel) * dilation
        for kernel, dilation in zip(layer.kernel_size, layer.dilation, strict=True)
    )
    taps = (below[:, None] * width + beside).reshape(1, -1)
    pixels = images.reshape(-1, channels)
    return pixels[first[:, None] + taps]
