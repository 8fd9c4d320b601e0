"""Every number of a recipe, chosen: ranges by the method, scales that fit each other, integers."""

from importlib.metadata import version
from typing import Final

from eightbit.calibration import (
    CalibrationResult,
    QuantParams,
    TensorStatistics,
    activation_params,
    choose_params,
)
from eightbit.calibration.range_methods import Method
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.torch_state import own_state
from eightbit.quantize.config import QuantConfig
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.placement import quantized_tensors
from eightbit.quantize.recipe.alignment import align
from eightbit.quantize.recipe.integers import layer_params
from eightbit.quantize.recipe.recipe import Decided, Provenance, Recipe

_COMPUTED_BY: Final = ("eightbit", "torch", "numpy", "pillow")


@own_state()
def make_recipe(
    network: Network,
    collected: CalibrationResult,
    pretrained: Pretrained,
    config: QuantConfig,
    method: Method | None = None,
) -> Recipe:
    """Choose every number: ranges by the method, weights and biases by the integer contract.

    Args:
        network: The float network.
        collected: Statistics of its tensors.
        pretrained: Where it comes from.
        config: The intent.
        method: None for the config's, or where that leaves it open, `Method.WEIGHTED_MSE`.

    Raises:
        InputError: A weight is not finite.
    """
    if method is None:
        method = Method.WEIGHTED_MSE if config.method is Method.AUTO else config.method
    activations = align(
        {
            name: choose_params(collected.tensors[name], method)
            for name in quantized_tensors(network.graph)
        },
        network.traced,
        network.spec.preprocessing,
    )
    inputs, output = network.inputs, network.output
    layers = {
        name: layer_params(name, layer, activations[inputs[name]], activations.get(name), config)
        for name, layer in network.layers.items()
    }
    return Recipe(
        spec=network.spec,
        skeleton=network.own_skeleton,
        config=config,
        decided=Decided(method=method),
        activations=activations,
        layers=layers,
        output=output,
        output_scale=_output_scale(collected.tensors[output], activations.get(output)),
        provenance=Provenance(
            weights=pretrained.source,
            weights_sha256=pretrained.weights_sha256,
            weights_key=pretrained.weights_key,
            weights_notes=pretrained.notes,
            channels=pretrained.channels,
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
