"""Every number of a recipe, chosen: ranges by the method, scales that fit each other, integers."""

from importlib.metadata import version
from typing import Final

from torch import nn

from eightbit.calibration import (
    CalibrationResult,
    QuantParams,
    TensorStatistics,
    activation_params,
    bias_params,
    choose_params,
    choose_weight_params,
    quantize,
)
from eightbit.calibration.saturation import protect_scale
from eightbit.calibration.ties import tie_free_weights
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.errors import InputError
from eightbit.quantize.alignment import align
from eightbit.quantize.config import QuantConfig
from eightbit.quantize.network.fusion import float_parameters, integer_layers
from eightbit.quantize.network.graph import input_names, source_name, trace
from eightbit.quantize.network.placement import quantized_tensors
from eightbit.quantize.recipe.recipe import LayerParams, Provenance, Recipe

_COMPUTED_BY: Final = ("eightbit", "torch", "numpy", "pillow")


def make_recipe(
    fused: nn.Module,
    collected: CalibrationResult,
    pretrained: Pretrained,
    config: QuantConfig,
) -> Recipe:
    """Choose every number: ranges by the method, weights and biases by the contract.

    Args:
        fused: The float network after fusion.
        collected: Statistics of its activations.
        pretrained: What the network is and where its weights come from.
        config: The intent.

    Raises:
        InputError: A weight is not finite.
    """
    traced = trace(fused)
    activations = align(
        {
            name: choose_params(collected.tensors[name], config.method)
            for name in quantized_tensors(traced)
        },
        traced,
        pretrained.spec.preprocessing,
    )
    output = source_name(traced, traced.graph.output_node())
    inputs = input_names(traced)
    layers = {
        name: _layer_params(name, layer, activations[inputs[name]], activations.get(name), config)
        for name, layer in integer_layers(fused).items()
    }
    return Recipe(
        spec=pretrained.spec,
        config=config,
        activations=activations,
        layers=layers,
        output=output,
        output_scale=_output_scale(collected.tensors[output], activations.get(output)),
        provenance=Provenance(
            weights=pretrained.source,
            weights_sha256=pretrained.weights_sha256,
            images=collected.images,
            images_sha256=collected.images_sha256,
            threads=collected.threads,
            versions={name: version(name) for name in _COMPUTED_BY},
        ),
    )


def _output_scale(statistics: TensorStatistics, params: QuantParams | None) -> float:
    """One last bit of the output: its scale, or what that would be over the whole range."""
    params = params or activation_params(statistics.low, statistics.high)
    return params.scale[0]


def _layer_params(
    name: str,
    layer: nn.Conv2d | nn.Linear,
    source: QuantParams,
    result: QuantParams | None,
    config: QuantConfig,
) -> LayerParams:
    """Scales and biases of a layer; without a quantized result nothing is rounded behind it."""
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
