"""Writes ONNX graphs: float, or with a QuantizeLinear/DequantizeLinear pair at each tensor.

ONNX Runtime and OpenVINO fuse such pairs into integer kernels. Weights and biases are stored as
integers, or without a recipe as floats.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from torch import nn

from eightbit.calibration import QuantDType, QuantParams, bias_params
from eightbit.calibration.qparams import IntArray
from eightbit.quantize.network.fusion import float_parameters
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.recipe import Recipe

_NUMPY_DTYPES: Final = {
    QuantDType.UINT8: np.uint8,
    QuantDType.INT8: np.int8,
    QuantDType.INT32: np.int32,
}


@dataclass(frozen=True, kw_only=True)
class Value:
    """A tensor of the graph.

    Attributes:
        real: ONNX name of its float32 form.
        integers: ONNX name of its uint8 form; None in a float graph.
        tensor: Name of the activation in the recipe whose scale it has; None in a float graph.
        unrounded: ONNX name of the real numbers that were rounded to it; None where it was not.
    """

    real: str
    integers: str | None = None
    tensor: str | None = None
    unrounded: str | None = None

    @property
    def stored(self) -> str:
        """ONNX name of the form in which a runtime keeps it: integers where there are any."""
        return self.integers or self.real


class GraphWriter:
    """Collects nodes and initializers, named after the network's modules; float if no recipe."""

    def __init__(self, recipe: Recipe | None) -> None:
        self.recipe = recipe
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, onnx.TensorProto] = {}

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node, named like its output; returns the output's name."""
        self._nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, array: npt.NDArray[np.generic]) -> str:
        """Add an initializer, once if it is named again; returns its name."""
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(array, name)
        return name

    def rounds(self, tensor: str | None) -> bool:
        """Whether an activation is rounded to a grid."""
        return self.recipe is not None and tensor in self.recipe.activations

    def begins_at_zero(self, tensor: str) -> bool:
        """Whether an activation is rounded to a grid that has no negative number."""
        if self.recipe is None or tensor not in self.recipe.activations:
            return False
        params = self.recipe.activations[tensor]
        return params.zero_point[0] == params.dtype.qmin

    def requantized(self, value: Value, tensor: str, name: str) -> str:
        """ONNX name of a rounded value on the grid of another activation, itself if it is that."""
        assert self.recipe is not None
        activations = self.recipe.activations
        if value.tensor is not None and activations[value.tensor] == activations[tensor]:
            return value.stored
        return self.node("QuantizeLinear", [value.real, *self._grid(tensor)], name)

    def activation(self, real: str, tensor: str | None) -> Value:
        """Round a float tensor to the grid of activation ``tensor``, if the recipe has it."""
        if self.recipe is None or tensor is None or tensor not in self.recipe.activations:
            return Value(real=real)
        integers = self.node("QuantizeLinear", [real, *self._grid(tensor)], f"{real}/q")
        return replace(self.stored(integers, tensor), unrounded=real)

    def stored(self, name: str, tensor: str | None) -> Value:
        """The value whose stored form is ``name``, on the grid of activation ``tensor``, if any."""
        if self.recipe is None or tensor is None:
            return Value(real=name)
        real = self.node("DequantizeLinear", [name, *self._grid(tensor)], f"{name}/dq")
        return Value(real=real, integers=name, tensor=tensor)

    def layer_input(self, name: str, source: Value, channels: int) -> str:
        """ONNX name of the float form of a layer's input, of so many channels (axis 1).

        For a float layer of a quantized graph the scale is repeated per channel. To a runtime that
        is no quantized layer; with one scale for the tensor, ONNX Runtime 1.21 and later would
        quantize the float weights by itself (``WeightBiasQuantization``).
        """
        if source.tensor is None or self.is_integer(name, source):
            return source.real
        inputs = [
            self.constant(
                f"{grid}_per_channel",
                np.full(channels, numpy_helper.to_array(self._initializers[grid])),
            )
            for grid in self._grid(source.tensor)
        ]
        real = f"{name}/dq"
        return self.node("DequantizeLinear", [source.stored, *inputs], real, axis=1)

    def zero(self, value: Value) -> str:
        """ONNX name of the number that stands for real zero in a value's stored form."""
        if value.tensor is None:
            return self.constant("zero", np.array(0, np.float32))
        return self._grid(value.tensor)[1]

    def is_integer(self, name: str, source: Value) -> bool:
        """Whether a layer computes in integers, given its input."""
        is_known = self.recipe is not None and name in self.recipe.layers
        return is_known and source.tensor is not None

    def parameters(
        self, name: str, layer: nn.Conv2d | nn.Linear, source: Value, zeros: int = 0
    ) -> list[str]:
        """ONNX names of the float forms of a layer's weight and bias.

        The bias shares the scale of ``source``, the layer's input; integer weights get ``zeros``
        more input channels of zeros.
        """
        if self.recipe is None or source.tensor is None or name not in self.recipe.layers:
            weight, bias = float_parameters(layer)
            return [self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        (input_scale,) = self.recipe.activations[source.tensor].scale
        params = self.recipe.layers[name]
        bias_q = np.array(params.bias, np.int64)
        weight_q = weight_integers(layer, params)
        weight_q = np.pad(weight_q, [(0, 0), (0, zeros), *[(0, 0)] * (weight_q.ndim - 2)])
        return [
            self._integers(f"{name}.weight", weight_q, params.weight),
            self._integers(f"{name}.bias", bias_q, bias_params(params.weight, input_scale)),
        ]

    def rename(self, old: str, new: str) -> None:
        """Give a tensor another name."""
        for node in self._nodes:
            node.input[:] = [new if name == old else name for name in node.input]
            node.output[:] = [new if name == old else name for name in node.output]

    def _integers(self, name: str, array: IntArray, params: QuantParams) -> str:
        dtype = _NUMPY_DTYPES[params.dtype]
        inputs = [
            self.constant(name, array.astype(dtype)),
            self.constant(f"{name}_scale", np.array(params.scale, np.float32)),
            self.constant(f"{name}_zero_point", np.array(params.zero_point, dtype)),
        ]
        return self.node("DequantizeLinear", inputs, f"{name}/dq", axis=params.axis)

    def _grid(self, tensor: str) -> list[str]:
        """ONNX names of an activation's scale and zero point."""
        if self.recipe is None:
            raise ValueError(f"{tensor}: a float graph has no integers")
        params = self.recipe.activations[tensor]
        return [
            self.constant(f"{tensor}_scale", np.array(params.scale[0], np.float32)),
            self.constant(
                f"{tensor}_zero_point", np.array(params.zero_point[0], _NUMPY_DTYPES[params.dtype])
            ),
        ]

    def model(
        self, name: str, graph_input: onnx.ValueInfoProto, output: onnx.ValueInfoProto, opset: int
    ) -> onnx.ModelProto:
        """The finished model, without nodes that nothing reads."""
        read = {output.name}
        nodes: list[onnx.NodeProto] = []
        for node in reversed(self._nodes):
            if read.intersection(node.output):
                nodes.insert(0, node)
                read.update(node.input)
        graph = helper.make_graph(
            nodes, name, [graph_input], [output], list(self._initializers.values())
        )
        return helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", opset)],
            ir_version=helper.OP_SET_ID_VERSION_MAP[("ai.onnx", opset)],
            producer_name="eightbit",
        )
