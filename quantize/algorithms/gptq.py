"""Adaptive rounding: a weight may go to the farther integer, if the layer's output gains by it.

As the images reach a layer, its weights are rounded for the integers that it is going to read, by
GPTQ in blocks of inputs (`calibration.block_rounding`), and its bias takes back the mean error that
is left: so every layer is fitted to those before it as they are delivered. Every weight becomes
one of the two integers beside it; where weights are protected (`calibration.saturation`), neither
is beyond the bound.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from eightbit.calibration import QuantDType
from eightbit.calibration.block_rounding import damped_hessian, round_blocks
from eightbit.calibration.saturation import outermost_protected
from eightbit.quantize.algorithms.bias_correction import BiasCorrection
from eightbit.quantize.algorithms.simulation import Pair
from eightbit.quantize.input_blocks import InputBlocks, sampled_inputs
from eightbit.quantize.network.fusion import float_parameters
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.recipe import LayerParams, Recipe, with_tables
from eightbit.quantize.recipe.tables import Int8Table, Tables
from eightbit.quantize.threads import torch_threads


def round_adaptively(
    fused: nn.Module,
    recipe: Recipe,
    images: torch.Tensor,
    on_layer: Callable[[str], None] = lambda name: None,
) -> Recipe:
    """A recipe whose roundings keep the layers' outputs, each with those before it rounded so.

    Its biases are corrected on the way, if its intent says so.

    Args:
        fused: The float network.
        recipe: Its integers; the rounding that it has is replaced.
        images: float32, shape (N, 3, H, W); held at once.
        on_layer: Told the name of each layer that is done.
    """
    rounding = _AdaptiveRounding(fused, recipe, on_layer)
    rounding.propagate(images)
    corrected = recipe.model_copy(update={"layers": {**recipe.layers, **rounding.layers}})
    return with_tables(corrected, Tables(rounding=rounding.tables, exponents=recipe.exponents))


class _AdaptiveRounding(BiasCorrection):
    """Rounds the weights of every layer as the images reach it."""

    def __init__(self, fused: nn.Module, recipe: Recipe, on_layer: Callable[[str], None]) -> None:
        super().__init__(fused, recipe)
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
        return super().on_layer(name, sums) if self.recipe.config.bias_correction else sums


def _chosen(
    layer: nn.Conv2d | nn.Linear, params: LayerParams, blocks: InputBlocks, inputs: torch.Tensor
) -> torch.Tensor:
    """The integers of a layer: int8, shape and memory order of its weight.

    Args:
        layer: The float layer.
        params: Its scales.
        blocks: How its inputs are cut.
        inputs: Integers that it reads, as float32: shape (blocks, positions, B).
    """
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
