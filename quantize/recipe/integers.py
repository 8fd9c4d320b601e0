"""The integers of a layer, the same for every runtime: int32 biases decided, weights rounded, once.

torch wants floats with their scale, so it gets ``weight_q * s_w`` and ``bias_q * s_x * s_w``, which
it rounds to the same integers again; with a scale of its own it would drift from the ONNX artefact.
"""

import copy
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from eightbit.calibration import (
    QuantDType,
    QuantParams,
    bias_params,
    choose_weight_params,
    dequantize,
    quantize,
)
from eightbit.calibration.qparams import IntArray
from eightbit.calibration.saturation import channels_at_risk, protect_scale, quantize_protected
from eightbit.calibration.ties import tie_free_weights
from eightbit.models.errors import InputError
from eightbit.quantize.config import QuantConfig
from eightbit.quantize.network.fusion import float_parameters, integer_layers
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.recipe import LayerParams, Recipe


def layer_params(
    name: str,
    layer: nn.Conv2d | nn.Linear,
    source: QuantParams,
    result: QuantParams | None,
    config: QuantConfig,
) -> LayerParams:
    """Decide a layer's weight scales and its int32 biases, ``bias_q = round(bias / (s_x * s_w))``.

    Args:
        name: Of the layer.
        layer: Its float weights and biases.
        source: Parameters of its input.
        result: Parameters of its output; None where nothing is rounded behind it.
        config: The intent.

    Raises:
        InputError: A weight is not finite.
    """
    weight, bias = float_parameters(layer)
    (input_scale,) = source.scale
    try:
        params = choose_weight_params(weight, bias, input_scale, config.weights)
    except ValueError as exc:
        raise InputError(f"{name}: {exc}; the checkpoint may be damaged") from exc
    if config.target.protects_weights:
        params = protect_scale(weight, params)
    if result is not None:
        params = tie_free_weights(weight, params, input_scale, result.scale[0])
    integers = quantize(bias, bias_params(params, input_scale))
    return LayerParams(
        weight=params, bias=tuple(integers.tolist()), protected=config.target.protects_weights
    )


def weight_integers(layer: nn.Conv2d | nn.Linear, params: LayerParams) -> IntArray:
    """The int8 weights of a float layer by its recipe, as int64 of the weight's own shape."""
    weight, _ = float_parameters(layer)
    nearest = (quantize_protected if params.protected else quantize)(weight, params.weight)
    return nearest if params.rounding is None else nearest + params.rounding.values


def check_rounding(name: str, layer: nn.Conv2d | nn.Linear, params: LayerParams) -> None:
    """Refuse rounding choices that are not for such a layer.

    Raises:
        InputError: Another shape, an integer out of range, or weights that are not protected.
    """
    if params.rounding is None:
        return
    shape, found = tuple(layer.weight.shape), params.rounding.values.shape
    if shape != found:
        raise InputError(f"rounding: {name}: expected shape {shape}, found {found}")
    integers = weight_integers(layer, params)
    largest = int(np.abs(integers).max())
    if largest > QuantDType.INT8.qmax:
        raise InputError(
            f"rounding: {name}: expected integers up to {QuantDType.INT8.qmax}, found {largest}"
        )
    if params.protected and (at_risk := int(channels_at_risk(integers).sum())):
        raise InputError(
            f"rounding: {name}: expected weights that no CPU adds up wrongly, found {at_risk} of "
            f"{len(integers)} channels that may saturate; make the recipe anew"
        )


def rounded_biases(recipe: Recipe, inputs: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """Integer biases as float32, shape (O,), by layer name; for ``inputs`` see `Network.inputs`."""
    biases = {}
    for name, params in recipe.layers.items():
        (input_scale,) = recipe.activations[inputs[name]].scale
        integers = np.array(params.bias, dtype=np.int64)
        biases[name] = torch.from_numpy(
            dequantize(integers, bias_params(params.weight, input_scale))
        )
    return biases


def round_weights(network: Network, recipe: Recipe) -> nn.Module:
    """A copy of the fused module whose weights and biases are the recipe's integers, as floats."""
    rounded = copy.deepcopy(network.module)
    layers = integer_layers(rounded)
    for name, bias in rounded_biases(recipe, network.inputs).items():
        layer, params = layers[name], recipe.layers[name]
        weight = torch.from_numpy(dequantize(weight_integers(layer, params), params.weight))
        layer.weight = nn.Parameter(weight, requires_grad=False)
        layer.bias = nn.Parameter(bias, requires_grad=False)
    return rounded
