"""TODO docstring."""

from torch import nn

from eightbit.models.errors import InputError
from eightbit.quantize.network.fusion import integer_layers
from eightbit.quantize.network.graph import source_name, trace
from eightbit.quantize.network.placement import float_candidates, quantized_tensors
from eightbit.quantize.recipe.integers import check_rounding
from eightbit.quantize.recipe.recipe import Recipe


def check_fit(fused: nn.Module, recipe: Recipe) -> None:
    """Refuse a recipe whose layers or tensors are not those of the network.

    Raises:
        InputError: A layer is missing, unknown, or has another number of channels; or one that
            the network does not have shall stay in float; or a quantized tensor is missing or
            unknown, or another one is the output; or rounding choices are not for the layer's
            weights.
    """
    traced = trace(fused)
    candidates = float_candidates(traced)
    for name in recipe.float_layers:
        if name not in candidates:
            raise InputError(
                "recipe: float_layers: expected convolutions, linear layers and residual adds of "
                f"the network, found {name}"
            )
    _check_layers(fused, recipe)
    tensors = set(quantized_tensors(traced, recipe.float_layers))
    for tensor in sorted(tensors ^ recipe.activations.keys()):
        wanted, found = "parameters", "none"
        if tensor not in tensors:
            wanted, found = "none, the network has no such quantized tensor", "some"
        raise InputError(f"recipe: activations: {tensor}: expected {wanted}, found {found}")
    output = source_name(traced, traced.graph.output_node())
    if recipe.output != output:
        raise InputError(f"recipe: output: expected {output}, found {recipe.output}")


def _check_layers(fused: nn.Module, recipe: Recipe) -> None:
    """Refuse integers that are not those of the network's integer layers."""
    channels = {
        name: len(layer.weight)
        for name, layer in integer_layers(fused).items()
        if name not in recipe.float_layers
    }
    promised = {name: len(params.bias) for name, params in recipe.layers.items()}
    for name in sorted(channels.keys() | promised.keys()):
        if channels.get(name) != promised.get(name):
            raise InputError(
                f"recipe: {name}: expected {channels.get(name, 0)} output channels, found "
                f"{promised.get(name, 0)}; was it made for another network?"
            )
    for name, layer in integer_layers(fused).items():
        if name in recipe.layers:
            check_rounding(name, layer, recipe.layers[name])
