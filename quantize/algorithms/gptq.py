"""Adaptive rounding: a weight may go to the farther integer, if the layer's output gains by it.

As the images reach a layer, its weights are rounded for its integer input by GPTQ in blocks of
inputs (`calibration.block_rounding`), and its bias corrects the remaining mean error: every layer
is fitted to the final ones before it. Every weight becomes one of the two integers beside it; where
weights are protected (`calibration.saturation`), neither is beyond the bound.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from eightbit.calibration import QuantDType
from eightbit.calibration.block_rounding import damped_hessian, round_blocks
from eightbit.calibration.saturation import outermost_protected
from eightbit.models.torch_state import own_state
from eightbit.quantize.algorithms.bias_correction import BiasCorrection
from eightbit.quantize.algorithms.simulation import Pair
from eightbit.quantize.config import Rounding
from eightbit.quantize.network.fusion import float_parameters
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.recipe import LayerParams, Recipe, with_tables
from eightbit.quantize.recipe.tables import Int8Table, Tables
from eightbit.quantize.torch_settings import torch_threads

# Inputs of a block, at most: 8 channels of a 3x3 convolution, or 64 of a 1x1 convolution. Half or
# twice as many are as good, four times as many take half as long again.
_LARGEST: Final = 72

# Positions of a layer's output that stand for all of them: four times as many gain nothing.
_POSITIONS: Final = 2048


@dataclass(frozen=True, kw_only=True)
class InputBlocks:
    """Whole channels of one group, as many as make a block of a bounded number of inputs.

    Inputs of a block are ordered as in channels-last memory: by kernel position, then channel.

    Attributes:
        groups: Of the convolution; 1 for a linear layer.
        blocks: Blocks per group.
        taps: Positions of the kernel.
        channels: Channels per block.
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
        """Split a tensor of the weight's shape (O, C, kH, kW) or (O, C) into blocks.

        The outputs are innermost: shape (groups * blocks, taps * channels, O / groups).
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
        """Split rows of `sampled_inputs`, shape (positions, taps, C), into blocks.

        The result has the shape (groups * blocks, positions, taps * channels).
        """
        parts = rows.reshape(len(rows), self.taps, -1, self.channels).permute(2, 0, 1, 3)
        return parts.reshape(len(parts), len(rows), -1)


def sampled_inputs(
    layer: nn.Conv2d | nn.Linear, x: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """The inputs of single outputs, float32, shape (positions, taps, C); sampled if there are many.

    ``x`` is the layer's input: float32, shape (N, C, H, W) or (N, C). Padding must be explicit.
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


@own_state()
def round_adaptively(
    network: Network,
    recipe: Recipe,
    images: torch.Tensor,
    on_layer: Callable[[str], None] = lambda name: None,
    *,
    corrected: bool = True,
) -> Recipe:
    """A recipe whose roundings preserve the layers' outputs, given those of the layers before.

    They replace the recipe's own. Biases are corrected on the way, if that is wanted. ``images``
    are float32, shape (N, 3, H, W), held at once; ``on_layer`` gets each finished name.
    """
    rounding = _AdaptiveRounding(network, recipe, on_layer, corrected=corrected)
    rounding.propagate(images)
    rounded = recipe.model_copy(
        update={
            "layers": {**recipe.layers, **rounding.layers},
            "decided": recipe.decided.model_copy(
                update={"rounding": Rounding.GPTQ, "bias_correction": corrected}
            ),
        }
    )
    return with_tables(rounded, Tables(rounding=rounding.tables, exponents=recipe.exponents))


class _AdaptiveRounding(BiasCorrection):
    """Rounds the weights of every layer as the images reach it."""

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        on_layer: Callable[[str], None],
        *,
        corrected: bool,
    ) -> None:
        super().__init__(network, recipe)
        self._corrected = corrected
        self.tables: dict[str, Int8Table] = {}
        self._on_done = on_layer
        self._generator = torch.Generator().manual_seed(recipe.config.seed)

    def weight(self, name: str, layer: nn.Conv2d | nn.Linear, source: Pair) -> torch.Tensor:
        """Round this layer for the input that it gets."""
        params = self.recipe.layers[name].model_copy(update={"rounding": None})
        blocks = InputBlocks.of(layer)
        inputs = blocks.inputs(sampled_inputs(layer, source.rounded, self._generator))
        (input_scale,) = self.recipe.activations[self.inputs[name]].scale
        chosen = _chosen(layer, params, blocks, inputs / input_scale)
        nearest = weight_integers(layer, params)
        self.tables[name] = Int8Table((chosen.numpy() - nearest).astype(np.int8))
        self._on_done(name)
        return chosen * _scale(layer, params)

    def on_layer(self, name: str, sums: Pair) -> Pair:
        """Correct its bias behind it."""
        return super().on_layer(name, sums) if self._corrected else sums


def _chosen(
    layer: nn.Conv2d | nn.Linear, params: LayerParams, blocks: InputBlocks, inputs: torch.Tensor
) -> torch.Tensor:
    """Integer weights, int8, for integer inputs as float32 of shape (blocks, positions, B)."""
    real = blocks.split(layer.weight.detach() / _scale(layer, params))
    if params.protected:
        weight, _ = float_parameters(layer)
        outer = blocks.split(torch.from_numpy(outermost_protected(weight, params.weight)).float())
    else:
        outer = torch.copysign(real.abs().ceil_().clamp_(max=QuantDType.INT8.qmax), real)
    # Where two large weights share what the bound leaves them, both integers may be the same.
    limit = outer.abs()
    inner = real.trunc().clamp_(-limit, limit)
    low, high = torch.minimum(inner, outer), torch.maximum(inner, outer)
    hessian = damped_hessian(inputs)
    # In small steps: threads would wait for each other longer than they work.
    with torch_threads(1):
        chosen = round_blocks(real, low, high, hessian)
    return blocks.join(chosen.to(torch.int8), layer.weight.shape)


def _scale(layer: nn.Conv2d | nn.Linear, params: LayerParams) -> torch.Tensor:
    """Of the weights: float32, shape (O, 1, ...)."""
    scale, _ = params.weight.broadcast(layer.weight.dim())
    return torch.from_numpy(scale.astype(np.float32))
