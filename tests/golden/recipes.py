"""Recipes whose integers are written down in a test."""

from typing import Any

from torch import nn

from eightbit.calibration.range_methods import Method
from eightbit.quantize import Network, QuantConfig, Quantized, Recipe
from eightbit.quantize.config import Target
from eightbit.quantize.recipe.recipe import Decided, Provenance


def recipe_by_hand(*, config: QuantConfig | None = None, **numbers: Any) -> Recipe:
    """A recipe of the given numbers, a last bit of whose output is 1.

    Args:
        config: The intent; by default weights are as they are written, whatever meets.
        numbers: Fields of `Recipe`: spec, activations, layers, output, perhaps float_layers.
    """
    return Recipe(
        decided=Decided(method=Method.WEIGHTED_MSE),
        config=config or QuantConfig(target=Target.X86_VNNI),
        output_scale=1.0,
        provenance=Provenance(
            weights="by hand",
            weights_sha256="0" * 64,
            images=1,
            images_sha256="0" * 64,
            threads=1,
            versions={},
        ),
        **numbers,
    )


def quantized_by_hand(module: nn.Module, recipe: Recipe) -> Quantized:
    """A module as it stands with its recipe, which gets its skeleton."""
    network = Network(module=module.eval(), spec=recipe.spec)
    update = {"skeleton": network.own_skeleton}
    return Quantized(network=network, recipe=recipe.model_copy(update=update))
