"""Weights and biases of layers in LiteRT's layouts: OHWI, of depthwise convolutions 1HWO."""

from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from eightbit.calibration import bias_params
from eightbit.quantize.litert.emitter import Emitter
from eightbit.quantize.litert.graph import GraphWriter, Tensor
from eightbit.quantize.network.fusion import float_parameters
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.recipe import LayerParams

Layer = nn.Conv2d | nn.Linear


def is_depthwise(layer: Layer) -> bool:
    """Whether each channel is convolved by itself, for which LiteRT has another operator."""
    return isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1


def own_numbers(graph: GraphWriter, name: str, layer: Layer) -> list[Tensor]:
    """A float layer's weight and bias."""
    weight, bias = float_parameters(layer)
    return [
        graph.constant(f"{name}.weight", _turned(layer, weight)),
        graph.constant(f"{name}.bias", bias),
    ]


def integers(
    graph: GraphWriter, name: str, layer: Layer, params: LayerParams, source: float
) -> list[Tensor]:
    """The recipe's weight and bias, for an input on a grid of scale ``source``."""
    grid = bias_params(params.weight, source)
    return [
        _weight(graph, name, layer, params),
        graph.constant(f"{name}.bias", np.array(params.bias, np.int32), grid),
    ]


def stored_numbers(
    emitter: Emitter, name: str, layer: Layer, params: LayerParams, source: float
) -> list[Tensor]:
    """The recipe's weight and bias as real numbers, the weight stored as integers.

    For logits: LiteRT's integer layers round what they give, and of eight bits the two best classes
    of an image in a hundred would become one. Real sums of the recipe's integers, times scales,
    differ from the exact ones in float32's last bits.
    """
    bias = np.array(params.bias) * np.array(bias_params(params.weight, source).scale)
    return [
        emitter.dequantized(f"{name}.weight/real", _weight(emitter.graph, name, layer, params)),
        emitter.graph.constant(f"{name}.bias", bias.astype(np.float32)),
    ]


def _weight(graph: GraphWriter, name: str, layer: Layer, params: LayerParams) -> Tensor:
    array = _turned(layer, weight_integers(layer, params).astype(np.int8))
    axis = 3 if is_depthwise(layer) else 0
    return graph.constant(f"{name}.weight", array, params.weight, axis)


def _turned(layer: Layer, weight: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if weight.ndim != 4:
        return weight
    return weight.transpose((1, 2, 3, 0) if is_depthwise(layer) else (0, 2, 3, 1))
