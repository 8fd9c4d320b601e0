"""Torch's integers placed straight into the traced graph, whatever its operations are.

torch's own front ends know the operations of a ResNet and place what they like around any other.
Here each operation becomes torch's quantized one by the recipe, or stands in float between a
dequantize and a quantize.
"""

from collections.abc import Callable
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.ao.nn.intrinsic.quantized import ConvReLU2d as QuantizedConvReLU2d
from torch.ao.nn.intrinsic.quantized import LinearReLU as QuantizedLinearReLU
from torch.ao.nn.quantized import Conv2d as QuantizedConv2d
from torch.ao.nn.quantized import DeQuantize, Quantize
from torch.ao.nn.quantized import Linear as QuantizedLinear

from eightbit.calibration import QuantParams, dequantize
from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.networks.quantizable import DeQuantStub
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize.front_ends.islands import integer_classifier
from eightbit.quantize.network.graph import (
    INPUT,
    inputs_of,
    operation_kind,
    part,
    tensor_name,
)
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.operators import MOVING, Kind, activation_of, layer_of
from eightbit.quantize.recipe.integers import rounded_biases, weight_integers
from eightbit.quantize.recipe.quantized import Quantized

# Torch's front ends write these as they have always been written.
_FUNCTIONS_OF_TORCH: Final = (torch.add, F.relu, torch.flatten)
_MODULES_OF_TORCH: Final = frozenset(
    {"QuantStub", "DeQuantStub", "Conv2d", "ConvReLU2d", "Linear", "MaxPool2d"}
    | {"AdaptiveAvgPool2d", "OptionAShortcut"}
)


def is_known_to_torch(network: Network) -> bool:
    """Whether torch's front ends can express a network: one of a ResNet's operations alone."""
    for node in network.graph.nodes:
        if node.op == "get_attr":
            return False
        if node.op == "call_module":
            module = network.traced.get_submodule(str(node.target))
            if type(module).__name__ not in _MODULES_OF_TORCH:
                return False
        if node.op == "call_function" and node.target not in _FUNCTIONS_OF_TORCH:
            return False
        # Of residual adds torch's conversion is told by their ReLU.
        if node.target is torch.add and tensor_name(node) is not None:
            return False
    return True


def quantized_module(quantized: Quantized) -> nn.Module:
    """The integer network: float32 (N, 3, H, W) to its output."""
    with expected_deprecations():
        return _Writer(quantized).run()


class _Writer:
    """Writes the integer network, node by node."""

    def __init__(self, quantized: Quantized) -> None:
        self._quantized = quantized
        self._network, self._recipe = quantized.network, quantized.recipe
        self._biases = rounded_biases(quantized.recipe, quantized.network.inputs)
        self._graph = fx.Graph()
        self._parts: dict[str, Any] = {}
        # What a node became, on the grid of which tensor if it is rounded, and in float.
        self._values: dict[fx.Node, fx.Node] = {}
        self._grids: dict[fx.Node, str | None] = {}
        self._reals: dict[fx.Node, fx.Node] = {}

    def run(self) -> nn.Module:
        for node in self._network.graph.nodes:
            if node.op == "output":
                self._graph.output(self._real(inputs_of(node)[0]))
            else:
                self._values[node], self._grids[node] = self._written(node)
        return fx.GraphModule(self._parts, self._graph).eval()

    def _written(self, node: fx.Node) -> tuple[fx.Node, str | None]:
        """What a node becomes, and the name of the tensor whose grid it has."""
        if node.op == "placeholder":
            return self._graph.placeholder(str(node.target)), None
        if node.op == "get_attr":
            self._parts[str(node.target)] = part(self._network.traced, node)
            return self._graph.get_attr(str(node.target)), None
        name = tensor_name(node)
        if name is None:
            return self._without_a_tensor(node)
        if name == INPUT:
            return self._rounded(self._values[inputs_of(node)[0]], name)
        if name in self._recipe.layers:
            return self._layer(node, name)
        if name in self._recipe.activations and operation_kind(node) in (Kind.ADD, Kind.CONCAT):
            written = self._add(node, name) if operation_kind(node) is Kind.ADD else None
            if operation_kind(node) is Kind.CONCAT:
                written = self._concat(node, name)
            if written is not None:
                return written, name
        return self._rounded(self._in_float(node), name)

    def _without_a_tensor(self, node: fx.Node) -> tuple[fx.Node, str | None]:
        """What only moves numbers, integers or not, or the first half of a residual add."""
        (source, *_) = inputs_of(node)
        if node.op == "call_module":
            module = self._network.traced.get_submodule(str(node.target))
            if isinstance(module, DeQuantStub):
                return self._real(source), None
            assert isinstance(module, nn.MaxPool2d | OptionAShortcut)
            return self._module(str(node.target), module, self._values[source]), self._grids[source]
        if node.target in (torch.flatten, *MOVING.values()):
            # Of quantized tensors torch's packets take what its overloads do.
            arguments = (self._values[source], *node.args[1:])
            return self._call(node.target, arguments, node.kwargs), self._grids[source]
        return self._in_float(node), None

    def _layer(self, node: fx.Node, name: str) -> tuple[fx.Node, str | None]:
        """A layer in integers; the classifier's sums stay float."""
        (source,) = inputs_of(node)
        classifier = integer_classifier(self._quantized, name)
        if classifier is not None:
            return self._module(name, classifier, self._values[source]), None
        module = self._network.traced.get_submodule(str(node.target))
        layer = layer_of(module)
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        rectified = isinstance(activation_of(module), nn.ReLU)
        made = _quantized_layer(layer, rectified=rectified)
        params = self._recipe.layers[name]
        weight = torch.from_numpy(dequantize(weight_integers(layer, params), params.weight))
        scales = torch.tensor(params.weight.scale, dtype=torch.float64)
        zeros = torch.zeros(len(scales), dtype=torch.int64)
        packed = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
        made.set_weight_bias(packed, self._biases[name])
        output = self._recipe.activations[name]
        made.scale, made.zero_point = output.scale[0], output.zero_point[0]
        return self._module(name, made, self._values[source]), name

    def _add(self, node: fx.Node, name: str) -> fx.Node | None:
        """A residual add in integers; None where an addend is real."""
        inner = node if node.target is torch.add else inputs_of(node)[0]
        sources = inputs_of(inner)
        if any(self._grids[source] is None for source in sources):
            return None
        operator = (
            torch.ops.quantized.add_relu if node.target is F.relu else torch.ops.quantized.add
        )
        params = self._recipe.activations[name]
        values = [self._values[source] for source in sources]
        arguments: tuple[Any, ...] = (*values, params.scale[0], params.zero_point[0])
        return self._graph.call_function(operator, arguments)

    def _concat(self, node: fx.Node, name: str) -> fx.Node | None:
        """A concatenation of integers, those of other grids rounded first."""
        params = self._recipe.activations[name]
        parts = []
        for place, source in enumerate(inputs_of(node)):
            grid = self._grids[source]
            if grid is not None and self._recipe.activations[grid] == params:
                parts.append(self._values[source])
                continue
            rounding = Quantize(params.scale[0], params.zero_point[0], torch.quint8)
            parts.append(self._module(f"{name}.part{place}", rounding, self._real(source)))
        dimension: Any = node.args[1]
        joined = JoinIntegers(int(dimension), params)
        self._parts[f"{name}.join"] = joined
        return self._graph.call_module(f"{name}.join", (parts,))

    def _in_float(self, node: fx.Node) -> fx.Node:
        """The same operation of real numbers."""
        if node.op == "call_module":
            module = self._network.traced.get_submodule(str(node.target))
            (source,) = inputs_of(node)
            return self._module(f"{node.target}.real", module, self._real(source))
        arguments = fx.map_arg(node.args, self._real)
        keywords = fx.map_arg(node.kwargs, self._real)
        return self._call(node.target, arguments, keywords)

    def _call(self, target: Any, arguments: Any, keywords: Any) -> fx.Node:
        # TorchScript knows an operator by its name, and finds the overload itself.
        packet = getattr(target, "overloadpacket", target)
        return self._graph.call_function(packet, tuple(arguments), dict(keywords))

    def _rounded(self, real: fx.Node, name: str) -> tuple[fx.Node, str | None]:
        """A real tensor on its own grid, if it has one."""
        params = self._recipe.activations.get(name)
        if params is None:
            return real, None
        rounding = Quantize(params.scale[0], params.zero_point[0], torch.quint8)
        return self._module(f"{name}.rounded", rounding, real), name

    def _real(self, node: fx.Node) -> fx.Node:
        """A node's result as real numbers, dequantized once."""
        if self._grids.get(node) is None:
            return self._values[node]
        if node not in self._reals:
            place = f"dequantize.{node.name}"
            self._reals[node] = self._module(place, DeQuantize(), self._values[node])
        return self._reals[node]

    def _module(self, name: str, module: nn.Module, source: fx.Node) -> fx.Node:
        self._parts[name] = module
        return self._graph.call_module(name, (source,))


def _quantized_layer(layer: nn.Conv2d | nn.Linear, *, rectified: bool) -> Any:
    """Torch's integer layer of the same attributes, without its numbers."""
    if isinstance(layer, nn.Linear):
        linear = QuantizedLinearReLU if rectified else QuantizedLinear
        made: Callable[..., nn.Module] = linear
        return made(layer.in_features, layer.out_features)
    convolution: Callable[..., nn.Module] = QuantizedConvReLU2d if rectified else QuantizedConv2d
    return convolution(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        layer.groups,
    )


class JoinIntegers(nn.Module):
    """A concatenation of quantized tensors of one grid: integers are moved, none is computed."""

    def __init__(self, dimension: int, params: QuantParams) -> None:
        super().__init__()
        self.dimension = dimension
        self.scale, self.zero_point = params.scale[0], params.zero_point[0]

    def forward(self, parts: list[Tensor]) -> Tensor:
        """Join quantized tensors, equal in all but one dimension."""
        integers = torch.cat([part.int_repr() for part in parts], self.dimension)
        joined: Tensor = torch._make_per_tensor_quantized_tensor(
            integers, self.scale, self.zero_point
        )
        return joined
