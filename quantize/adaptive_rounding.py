"""Adaptive rounding: a weight may go to the farther integer, if the layer's output gains by it.

Rounding each weight to the nearest integer is best only if inputs are uncorrelated. Here a layer's
weights are rounded one after the other, and each error is made up for by the weights that are still
to come: GPTQ (Frantar et al., arXiv:2210.17323), the fast form of Optimal Brain Quantization, with
the layer's quantized input. It minimises what AdaRound (Nagel et al., arXiv:2004.10568) minimises,
in closed form instead of thousands of steps of gradient descent, and like there every weight stays
with one of the integers beside it.

Off by default: at eight bits little of the error is the weights'. `benchmarks/ablation.py` measures
what it gains.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.ao.nn.intrinsic import ConvReLU2d

from eightbit.calibration import QuantDType, QuantParams, quantize
from eightbit.quantize.fusion import float_parameters
from eightbit.quantize.recipe import Recipe, with_tables
from eightbit.quantize.simulation import Pair, PairedNetwork, rounded_weight
from eightbit.quantize.tables import Int8Array, Int8Table, Tables

# Positions of a layer's output that stand for all of them: with fewer, layers with thousands of
# inputs learn the sample by heart.
_POSITIONS: Final = 8192

# Added to the Hessian's diagonal, as a part of its mean. Ten times GPTQ's default: it has as many
# tokens as it wants, this a few images.
_DAMPING: Final = 0.1

# Columns after which the others hear of the errors: GPTQ's own default.
_BLOCK: Final = 128


def round_adaptively(
    fused: nn.Module,
    recipe: Recipe,
    images: torch.Tensor,
    on_layer: Callable[[str], None] = lambda name: None,
) -> Recipe:
    """A recipe whose roundings keep the layers' outputs, each with those before it rounded so.

    Args:
        fused: The float network.
        recipe: Its integers; the rounding that it has is replaced.
        images: float32, shape (N, 3, H, W); held at once.
        on_layer: Told the name of each layer that is done.
    """
    rounding = _AdaptiveRounding(fused, recipe, on_layer)
    rounding.propagate(images)
    return with_tables(recipe, Tables(rounding=rounding.tables, exponents=recipe.exponents))


class _AdaptiveRounding(PairedNetwork):
    """Rounds the weights of every layer as the images reach it."""

    def __init__(self, fused: nn.Module, recipe: Recipe, on_layer: Callable[[str], None]) -> None:
        super().__init__(fused, recipe)
        self.tables: dict[str, Int8Table] = {}
        self._on_done = on_layer
        self._generator = torch.Generator().manual_seed(recipe.config.seed)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Pair:
        """Round this layer for the input that it gets, then let the images through."""
        if target in self._parameters:
            module = self._traced.get_submodule(target)
            layer = module[0] if isinstance(module, ConvReLU2d) else module
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            params = self.recipe.layers[target]
            inputs = _sampled_inputs(layer, args[0].rounded, self._generator)
            table = Int8Table(_rounding(layer, params.weight, inputs))
            self.tables[target] = table
            _, bias = self._parameters[target]
            chosen = params.model_copy(update={"rounding": table})
            self._parameters[target] = (rounded_weight(layer, chosen), bias)
            self._on_done(target)
        return super().call_module(target, args, kwargs)


def _sampled_inputs(
    layer: nn.Conv2d | nn.Linear, x: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """What single outputs are computed from: float32, shape (groups, positions, K)."""
    if isinstance(layer, nn.Linear):
        return x[torch.randperm(len(x), generator=generator)[:_POSITIONS]].unsqueeze(0)
    assert isinstance(layer.padding, tuple)
    down, right = layer.padding
    # A view: (N, C, rows, columns, height, width).
    windows = F.pad(x, (right, right, down, down))
    for axis, (size, stride, dilation) in enumerate(
        zip(layer.kernel_size, layer.stride, layer.dilation, strict=True), start=2
    ):
        windows = windows.unfold(axis, dilation * (size - 1) + 1, stride)[..., ::dilation]
    count, _, rows, columns = windows.shape[:4]
    chosen = torch.randperm(count * rows * columns, generator=generator)[:_POSITIONS]
    place = chosen % (rows * columns)
    taken = windows[chosen // (rows * columns), :, place // columns, place % columns]
    return taken.reshape(len(taken), layer.groups, -1).transpose(0, 1)


def _rounding(layer: nn.Conv2d | nn.Linear, params: QuantParams, inputs: torch.Tensor) -> Int8Array:
    """What to add to the nearest integers: int8 in the weight's shape."""
    weight, _ = float_parameters(layer)
    scale, _ = params.broadcast(weight.ndim)
    dtype = QuantDType.INT8
    low = np.clip(np.floor(weight / scale), dtype.qmin, dtype.qmax)
    high = np.clip(low + 1, dtype.qmin, dtype.qmax)
    groups = len(inputs)
    # All in units of the scale of the channel, as rows of one matrix per group.
    target, low_rows, high_rows = (
        torch.from_numpy(array.astype(np.float32).reshape(groups, len(weight) // groups, -1))
        for array in (weight / scale, low, high)
    )
    chosen = torch.stack(
        [
            _round_columns(target[group], low_rows[group], high_rows[group], inputs[group])
            for group in range(groups)
        ]
    )
    integers = chosen.reshape(weight.shape).numpy().astype(np.int64)
    return (integers - quantize(weight, params)).astype(np.int8)


def _round_columns(
    target: torch.Tensor, low: torch.Tensor, high: torch.Tensor, inputs: torch.Tensor
) -> torch.Tensor:
    """GPTQ (algorithm 1): rounds column by column and spreads each error over those to come.

    Args:
        target: Weights in units of their scales: float32, shape (O, K).
        low: The integers below, same shape.
        high: The integers above, same shape.
        inputs: float32, shape (positions, K).

    Returns:
        Integers as float32, shape (O, K).
    """
    upper = _inverse_factor(inputs)
    remaining, chosen = target.clone(), torch.empty_like(target)
    for start in range(0, target.shape[1], _BLOCK):
        block = slice(start, min(start + _BLOCK, target.shape[1]))
        factor, columns = upper[block, block], remaining[:, block]
        errors = torch.empty_like(columns)
        for index in range(columns.shape[1]):
            column, below = columns[:, index], low[:, start + index]
            integers = torch.where(column - below > 0.5, high[:, start + index], below)
            chosen[:, start + index] = integers
            errors[:, index] = (column - integers) / factor[index, index]
            columns[:, index:] -= torch.outer(errors[:, index], factor[index, index:])
        remaining[:, block.stop :] -= errors @ upper[block, block.stop :]
    return chosen


def _inverse_factor(inputs: torch.Tensor) -> torch.Tensor:
    """Upper Cholesky factor of the inverse Hessian ``(X^T X / n + damping)^-1``, shape (K, K)."""
    hessian = inputs.T @ inputs / len(inputs)
    # An input that is zero everywhere gives a Hessian of zeros: then all are rounded to nearest.
    damping = max(_DAMPING * float(hessian.diagonal().mean()), torch.finfo(torch.float32).tiny)
    hessian.diagonal().add_(damping)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    factor: torch.Tensor = torch.linalg.cholesky(inverse, upper=True)
    return factor
