"""Weights and biases are rounded once, here: every runtime is handed the same integers.

torch's convert and ONNX each take them in their own form. torch wants floats with their scale,
so it gets ``weight_q * s_w`` and ``bias_q * s_x * s_w``, which it rounds to the same integers
again; were it left to choose a scale itself, its artefact would drift away from the ONNX one.
"""

import copy

import numpy as np
import torch
from torch import nn

from eightbit.calibration import bias_params, dequantize, quantize
from eightbit.calibration.qparams import IntArray
from eightbit.quantize.fusion import float_parameters, integer_layers
from eightbit.quantize.graph import input_names, trace
from eightbit.quantize.recipe import LayerParams, Recipe


def weight_integers(layer: nn.Conv2d | nn.Linear, params: LayerParams) -> IntArray:
    """The int8 weights of a float layer by its recipe, as int64 of the weight's own shape."""
    weight, _ = float_parameters(layer)
    return quantize(weight, params.weight)


def round_weights(fused: nn.Module, recipe: Recipe) -> nn.Module:
    """A copy of the fused network whose weights and biases are the recipe's integers, as floats.

    Raises:
        InputError: The recipe was made for another network.
    """
    rounded = copy.deepcopy(fused)
    inputs = input_names(trace(fused))
    for name, layer in integer_layers(rounded).items():
        params = recipe.layers[name]
        (input_scale,) = recipe.activations[inputs[name]].scale
        weight = dequantize(weight_integers(layer, params), params.weight)
        scale = bias_params(params.weight, input_scale)
        bias = dequantize(np.array(params.bias, dtype=np.int64), scale)
        layer.weight = nn.Parameter(torch.from_numpy(weight), requires_grad=False)
        layer.bias = nn.Parameter(torch.from_numpy(bias), requires_grad=False)
    return rounded
