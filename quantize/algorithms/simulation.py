"""The float network beside its integers, tensor by tensor: where quantization costs what.

Runtimes do not expose every tensor, so weights, biases and activations are rounded as the recipe
says and computed with in float32: the same integers but for ties.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, cast

import torch
import torch.nn.functional as F
from torch import fx, nn

from eightbit.calibration import QuantParams, dequantize
from eightbit.calibration.fake_quantization import fake_quantize, fake_quantize_
from eightbit.quantize.network.graph import operation_kind, tensor_name
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.operators import Kind, activation_of, layer_of
from eightbit.quantize.recipe.integers import rounded_biases, weight_integers
from eightbit.quantize.recipe.recipe import LayerParams, Recipe


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One tensor of the float network, and of the recipe's integers as float32; same shape."""

    exact: torch.Tensor
    rounded: torch.Tensor

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "Pair":
        """The same done to both."""
        return Pair(exact=function(self.exact), rounded=function(self.rounded))


class PairedNetwork(fx.Interpreter):
    """Runs both networks side by side, so that they can be compared at every tensor.

    Tensors are freed after their last use: memory is twice that of the network. The recipe may lack
    some layers.

    Attributes:
        inputs: Maps each layer to the tensor it reads.
        rounded_weights: Integer weights of the layers run so far, as float32.
    """

    def __init__(self, network: Network, recipe: Recipe) -> None:
        super().__init__(network.traced)
        self.network = network
        self.recipe = recipe
        self.inputs = network.inputs
        self._biases = rounded_biases(recipe, self.inputs)
        self.rounded_weights: dict[str, torch.Tensor] = {}

    def propagate(self, images: torch.Tensor) -> Pair:
        """Logits of both for float32 images of shape (N, 3, H, W)."""
        images = _channels_last(images)
        with torch.inference_mode():
            return cast("Pair", self.run(Pair(exact=images, rounded=images)))

    def weight(self, name: str, layer: nn.Conv2d | nn.Linear, source: Pair) -> torch.Tensor:
        """A layer's integer weights as float32; a subclass may choose them for the input."""
        if name not in self.rounded_weights:
            self.rounded_weights[name] = rounded_weight(layer, self.recipe.layers[name])
        return self.rounded_weights[name]

    def on_layer(self, name: str, sums: Pair) -> Pair:
        """Called with what a layer computed, before its ReLU; a subclass may change it."""
        return sums

    def on_tensor(self, name: str, tensor: Pair) -> None:
        """Called with every quantized tensor, after its own rounding."""

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node for both networks, and round what the recipe rounds."""
        result = super().run_node(n)
        name = tensor_name(n)
        if name is None or name not in self.recipe.activations:
            return result
        rounded = _rounded(n, result.rounded, self.recipe.activations[name])
        after = Pair(exact=result.exact, rounded=rounded)
        self.on_tensor(name, after)
        return after

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Pair:
        """A layer with its two sets of parameters; any other module alike for both."""
        module = self.fetch_attr(target)
        (source,) = args
        if target not in self.recipe.layers:
            return cast("Pair", source.map(module))
        layer, activation = layer_of(module), activation_of(module)
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        weight = self.weight(target, layer, source)
        rounded = _apply(layer, source.rounded, weight, self._biases[target])
        sums = self.on_layer(target, Pair(exact=layer(source.exact), rounded=rounded))
        # Nothing else has seen the sums yet, so they can become their own ReLU.
        return sums.map(_in_place(activation)) if activation is not None else sums

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Pair:
        """An operation without parameters, alike for both."""
        exact, rounded = (
            target(*_side(args, side), **_side(kwargs, side)) for side in ("exact", "rounded")
        )
        return Pair(exact=exact, rounded=rounded)


class RoundedNetwork(fx.Interpreter):
    """Runs a network with some of its tensors and layers rounded, and no other beside it.

    Args:
        network: The float network.
        activations: Parameters of the tensors to round, by name.
        recipe: Whose layers are taken for the float ones; None to compute with float weights.
        like: One whose recipe has the same weights, which are then not rounded again.
    """

    def __init__(
        self,
        network: Network,
        activations: Mapping[str, QuantParams],
        recipe: Recipe | None = None,
        *,
        like: "RoundedNetwork | None" = None,
    ) -> None:
        super().__init__(network.traced)
        self._activations = activations
        # What a classifier reads tells as much as what it answers: see `trials`.
        self._watched = network.inputs.get(network.output)
        self._seen: list[torch.Tensor] = []
        biases = rounded_biases(recipe, network.inputs) if recipe else {}
        self._layers: dict[str, tuple[torch.Tensor, torch.Tensor]] = {
            name: (
                like._layers[name][0]
                if like
                else rounded_weight(network.layers[name], recipe.layers[name]),
                bias,
            )
            for name, bias in biases.items()
            if recipe
        }

    def answers(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The network's outputs, and what its last layer reads if that computes them.

        Both are flattened, shape (N, K), for float32 images of shape (N, 3, H, W).
        """
        self._seen.clear()
        with torch.inference_mode():
            outputs = self.run(_channels_last(images))
        return tuple(x.flatten(1) for x in (outputs, *self._seen))

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node, and round what is to be rounded."""
        result = super().run_node(n)
        name = tensor_name(n)
        if name is None:
            return result
        if name in self._activations:
            result = _rounded(n, result, self._activations[name])
        if name == self._watched:
            self._seen.append(result)
        return result

    def call_module(self, target: Any, args: Any, kwargs: Any) -> torch.Tensor:
        """A layer with its rounded parameters, or any module as it is."""
        module = self.fetch_attr(target)
        if target not in self._layers:
            return cast("torch.Tensor", module(*args, **kwargs))
        layer, activation = layer_of(module), activation_of(module)
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        (x,) = args
        sums = _apply(layer, x, *self._layers[target])
        return _in_place(activation)(sums) if activation is not None else sums


def _side(arguments: Any, side: str) -> Any:
    """Arguments of one of two networks: pairs, perhaps in lists, become tensors."""
    return fx.node.map_aggregate(
        arguments, lambda arg: getattr(arg, side) if isinstance(arg, Pair) else arg
    )


def _in_place(activation: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    if isinstance(activation, nn.Hardtanh):
        return partial(torch.clamp_, min=activation.min_val, max=activation.max_val)
    return torch.relu_


# What these compute is a tensor of their own, which nothing else reads before it is rounded.
_COMPUTING: Final = (Kind.CONV, Kind.LINEAR, Kind.ADD)


def _rounded(node: fx.Node, result: torch.Tensor, params: QuantParams) -> torch.Tensor:
    rounding = fake_quantize_ if operation_kind(node) in _COMPUTING else fake_quantize
    return rounding(result, params)


def rounded_weight(layer: nn.Conv2d | nn.Linear, params: LayerParams) -> torch.Tensor:
    """The integer weights of a layer as float32 numbers, in the weight's own shape."""
    if params.rounding is None and not params.protected:
        # Many times faster than the contract's own arithmetic, and equal but for ties.
        return fake_quantize(layer.weight.detach(), params.weight)
    integers = weight_integers(layer, params)
    return _channels_last(torch.from_numpy(dequantize(integers, params.weight)))


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    """The memory order in which convolutions are fastest."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def _apply(
    layer: nn.Conv2d | nn.Linear, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> torch.Tensor:
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
