"""Between the fused float network and torch's quantized one, by either of torch's front ends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from torch import nn
from torch.ao.quantization import QConfig

from eightbit.calibration import ActivationObserver, WeightObserver
from eightbit.models.errors import InputError
from eightbit.quantize import eager, fx
from eightbit.quantize.config import Mode
from eightbit.quantize.fusion import integer_layers
from eightbit.quantize.graph import source_name, tensor_name, trace
from eightbit.quantize.observed import ObservedNetwork
from eightbit.quantize.recipe import Recipe
from eightbit.quantize.rounding import round_weights


@dataclass(frozen=True)
class FrontEnd:
    """One of torch's ways to place observers and to convert."""

    observe: Callable[[nn.Module], ObservedNetwork]
    convert: Callable[[ObservedNetwork], nn.Module]


def observe(fused: nn.Module, mode: Mode) -> ObservedNetwork:
    """A copy of the fused network that is watched while it runs; both modes name tensors alike."""
    return FRONT_ENDS[mode].observe(fused)


def quantized_network(fused: nn.Module, recipe: Recipe) -> nn.Module:
    """Torch's integer network with exactly the recipe's integers.

    Args:
        fused: The float network after fusion, with its own float weights.
        recipe: The numbers; ``recipe.config.mode`` chooses the front end.

    Returns:
        Takes float32 (N, 3, H, W), gives float32 logits (N, classes) on the output's grid.
        Build and run it under the engine that it is meant for.

    Raises:
        InputError: The recipe was made for another network.
    """
    check_fit(fused, recipe)
    front_end = FRONT_ENDS[recipe.config.mode]
    observed = front_end.observe(round_weights(fused, recipe))
    for name, observer in observed.observers.items():
        observer.params = recipe.activations[name]
    for name, params in recipe.layers.items():
        qconfig = QConfig(
            activation=ActivationObserver, weight=WeightObserver.with_args(params=params.weight)
        )
        # FX reads it from the fused pair, eager mode from the convolution inside it.
        for module in observed.module.get_submodule(name).modules():
            module.qconfig = qconfig  # type: ignore[assignment]
    return front_end.convert(observed)


def check_fit(fused: nn.Module, recipe: Recipe) -> None:
    """Refuse a recipe whose layers or tensors are not those of the network.

    Raises:
        InputError: A layer is missing, unknown, or has another number of channels; or a
            quantized tensor is missing or unknown, or another one is the output.
    """
    channels = {name: len(layer.weight) for name, layer in integer_layers(fused).items()}
    promised = {name: len(params.bias) for name, params in recipe.layers.items()}
    for name in sorted(channels.keys() | promised.keys()):
        if channels.get(name) != promised.get(name):
            raise InputError(
                f"recipe: {name}: expected {channels.get(name, 0)} output channels, found "
                f"{promised.get(name, 0)}; was it made for another network?"
            )
    traced = trace(fused)
    tensors = {tensor_name(traced, node) for node in traced.graph.nodes} - {None}
    for tensor in sorted(map(str, tensors ^ recipe.activations.keys())):
        wanted, found = "parameters", "none"
        if tensor not in tensors:
            wanted, found = "none, the network has no such tensor", "some"
        raise InputError(f"recipe: activations: {tensor}: expected {wanted}, found {found}")
    output = source_name(traced, traced.graph.output_node())
    if recipe.output != output:
        raise InputError(f"recipe: output: expected {output}, found {recipe.output}")


FRONT_ENDS: Final = {
    Mode.FX: FrontEnd(fx.observe, fx.convert_observed),
    Mode.EAGER: FrontEnd(eager.observe, eager.convert_observed),
}
