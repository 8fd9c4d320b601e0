"""Lookup in an ONNX graph: producers, readers and constants."""

from collections import defaultdict
from collections.abc import Mapping
from math import prod
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

QUANTIZE: Final = "QuantizeLinear"
DEQUANTIZE: Final = "DequantizeLinear"

# As they are stored.
_BYTES: Final[Mapping[int, str]] = {TensorProto.INT8: "i1", TensorProto.UINT8: "u1"}
_SUMS: Final[Mapping[int, str]] = {TensorProto.INT32: "<i4"}
_FLOATS: Final[Mapping[int, str]] = {TensorProto.FLOAT: "<f4", TensorProto.FLOAT16: "<f2"}


class GraphView:
    """Index of a graph without its subgraphs; whatever a hostile graph leaves out is absent."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self.outputs = {value.name for value in graph.output}
        self._producers = {name: node for node in self.nodes for name in node.output if name}
        self._named = {node.name: node for node in self.nodes if node.name}
        self._readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                if name:
                    self._readers[name].append(node)
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and len(node.output) == 1:
                for attribute in node.attribute:
                    if attribute.name == "value" and attribute.HasField("t"):
                        self._tensors[node.output[0]] = attribute.t

    def named(self, name: str) -> onnx.NodeProto | None:
        """The node of that name, if any."""
        return self._named.get(name)

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that outputs a tensor; None for constants and graph inputs."""
        return None if name in self._tensors else self._producers.get(name)

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes with this tensor as an input."""
        return self._readers.get(name, [])

    def constant(self, name: str) -> onnx.TensorProto | None:
        """An initializer or the value of a Constant node; None for computed tensors."""
        return self._tensors.get(name)

    def dtype(self, name: str) -> int | None:
        """`TensorProto` data type of a constant."""
        tensor = self._tensors.get(name)
        return None if tensor is None else tensor.data_type

    def integers(self, name: str) -> npt.NDArray[np.int16] | None:
        """An int8 or uint8 constant as int16 in its own shape; None for anything else."""
        values = self._values(name, _BYTES)
        return None if values is None else values.astype(np.int16)

    def sums(self, name: str) -> npt.NDArray[np.int64] | None:
        """An int32 constant as int64 in its own shape; None for anything else."""
        values = self._values(name, _SUMS)
        return None if values is None else values.astype(np.int64)

    def reals(self, name: str) -> npt.NDArray[np.float64] | None:
        """A float16 or float32 constant as float64 in its own shape; None for anything else."""
        values = self._values(name, _FLOATS)
        with np.errstate(invalid="ignore"):  # a signalling NaN
            return None if values is None else values.astype(np.float64)

    def _values(self, name: str, types: Mapping[int, str]) -> npt.NDArray[np.generic] | None:
        """A constant of one of these types; None where its numbers do not fill its shape."""
        tensor = self._tensors.get(name)
        if tensor is None or tensor.data_type not in types:
            return None
        if any(size < 0 for size in tensor.dims):
            return None
        dtype = np.dtype(types[tensor.data_type])
        if tensor.raw_data:
            if len(tensor.raw_data) % dtype.itemsize:
                return None
            values: npt.NDArray[np.generic] = np.frombuffer(tensor.raw_data, dtype)
        elif tensor.data_type == TensorProto.FLOAT:
            values = np.array(tensor.float_data, dtype)
        elif tensor.data_type == TensorProto.FLOAT16:
            values = np.array(tensor.int32_data).astype("<u2").view(dtype)
        else:
            values = np.array(tensor.int32_data).astype(dtype)
        return values.reshape(tuple(tensor.dims)) if values.size == prod(tensor.dims) else None

    def integer_type(self, node: onnx.NodeProto) -> int | None:
        """The integer dtype that a QuantizeLinear writes or a DequantizeLinear reads."""
        zero_point = input_of(node, 2)
        if zero_point:
            return self.dtype(zero_point)
        if node.op_type == DEQUANTIZE:
            source = self.producer(input_of(node, 0))
            if source is not None and source.op_type == QUANTIZE:
                return self.integer_type(source)
            return self.dtype(input_of(node, 0)) or TensorProto.UINT8
        return TensorProto.UINT8


def input_of(node: onnx.NodeProto, index: int) -> str:
    """Name of a node's input; empty where it is omitted."""
    return node.input[index] if index < len(node.input) else ""
