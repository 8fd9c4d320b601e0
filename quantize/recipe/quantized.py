"""A network with the recipe that was made for it: the two determine every artefact."""

from dataclasses import dataclass

from eightbit.models.errors import InputError
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.placement import quantized_tensors
from eightbit.quantize.recipe.grids import is_within, upper_bounds
from eightbit.quantize.recipe.integers import check_rounding
from eightbit.quantize.recipe.recipe import Recipe


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantized:
    """A float network, after equalisation, and its recipe, checked once to belong together.

    Raises:
        InputError: Layers, channels, float layers, quantized tensors, output, roundings or the
            attributes of operations are not those of the network.
    """

    network: Network
    recipe: Recipe

    def __post_init__(self) -> None:
        network, recipe = self.network, self.recipe
        for name in recipe.float_layers:
            if name not in network.float_candidates:
                raise InputError(
                    "recipe: float_layers: expected convolutions, linear layers and residual adds "
                    f"of the network, found {name}"
                )
        self._check_layers()
        tensors = set(quantized_tensors(network.graph, recipe.float_layers))
        for tensor in sorted(tensors ^ recipe.activations.keys()):
            wanted, found = "parameters", "none"
            if tensor not in tensors:
                wanted, found = "none, the network has no such quantized tensor", "some"
            raise InputError(f"recipe: activations: {tensor}: expected {wanted}, found {found}")
        for name, bound in upper_bounds(network.traced).items():
            if name in recipe.activations and not is_within(recipe.activations[name], bound):
                raise InputError(
                    f"recipe: activations: {name}: expected no value above {bound:g}, where the "
                    "network clips it, found a scale that goes beyond; make the recipe anew"
                )
        if recipe.output != network.output:
            raise InputError(f"recipe: output: expected {network.output}, found {recipe.output}")
        if recipe.skeleton != network.own_skeleton:
            raise InputError(
                "recipe: skeleton: expected the operations of the network, found some with other "
                "attributes, such as strides or dilations; was it made for another network?"
            )

    def _check_layers(self) -> None:
        """Refuse integers that are not those of the network's integer layers."""
        recipe, layers = self.recipe, self.network.layers
        channels = {
            name: len(layer.weight)
            for name, layer in layers.items()
            if name not in recipe.float_layers
        }
        promised = {name: len(params.bias) for name, params in recipe.layers.items()}
        for name in sorted(channels.keys() | promised.keys()):
            if channels.get(name) != promised.get(name):
                raise InputError(
                    f"recipe: {name}: expected {channels.get(name, 0)} output channels, found "
                    f"{promised.get(name, 0)}; was it made for another network?"
                )
        for name, params in recipe.layers.items():
            check_rounding(name, layers[name], params)
