"""Lookup in an ONNX graph: producers, readers and constants."""

from collections import defaultdict
from math import prod
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

QUANTIZE: Final = "QuantizeLinear"
DEQUANTIZE: Final = "DequantizeLinear"

_BYTES: Final = {TensorProto.INT8: np.int8, TensorProto.UINT8: np.uint8}


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
        tensor = self._tensors.get(name)
        if tensor is None or tensor.data_type not in _BYTES:
            return None
        if any(size < 0 for size in tensor.dims):
            return None
        if tensor.raw_data:
            values = np.frombuffer(tensor.raw_data, _BYTES[tensor.data_type]).astype(np.int16)
        else:
            values = np.array(tensor.int32_data).astype(np.int16)
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
