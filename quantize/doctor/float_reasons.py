"""Why ONNX Runtime computes an operator of a quantized graph in float.

It fuses DequantizeLinear, operator, QuantizeLinear into an integer operator only if the pattern is
complete. The checks below run in order; the first missing part is the reason.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto

from eightbit.quantize.artifacts.audit import MOVING_OPERATORS
from eightbit.quantize.doctor.graph_view import DEQUANTIZE, QUANTIZE, GraphView, input_of

_BYTES: Final = frozenset({TensorProto.INT8, TensorProto.UINT8})
_ACTIVATIONS: Final = frozenset({"Relu", "Clip", "LeakyRelu", "PRelu", "HardSwish", "Sigmoid"})

# How far a search along a chain of nodes goes, so that no graph makes it long.
_STEPS: Final = 8


class Reason(StrEnum):
    """What keeps an operator in float."""

    FLOAT_INPUT = "float input"
    MOVE_BETWEEN = "move between"
    PER_CHANNEL_INPUT = "per-channel input"
    COMPUTED_SCALE = "computed scale"
    WEIGHT_NOT_CONSTANT = "weight not constant"
    WEIGHT_IN_FLOAT = "weight in float"
    WIDE_INTEGERS = "wide integers"
    RELU_ZERO_POINT = "relu zero point"
    BATCH_NORM = "batch norm"
    NOT_QUANTIZED_BEHIND = "not quantized behind"
    ALSO_READ_IN_FLOAT = "also read in float"
    ONE_SIDE = "one side"
    MEAN = "mean"
    INT8_ACTIVATIONS = "int8 activations"
    NOT_RECOGNISED = "not recognised"


class Cause(NamedTuple):
    """A reason, with the operator type it concerns, if any."""

    reason: Reason
    operator: str = ""


Check = Callable[[GraphView, onnx.NodeProto], Cause | None]


def cause_of(view: GraphView, node: onnx.NodeProto) -> Cause:
    """Why an operator of the graph as written is not computed in integers."""
    for check in _CHECKS.get(node.op_type, _OTHERS):
        cause = check(view, node)
        if cause is not None:
            return cause
    return Cause(Reason.NOT_RECOGNISED)


def _input(view: GraphView, node: onnx.NodeProto) -> Cause | None:
    return _operand(view, input_of(node, 0))


def _operand(view: GraphView, name: str) -> Cause | None:
    """Why one input activation is not quantized."""
    source = view.producer(name)
    if source is None:
        return Cause(Reason.FLOAT_INPUT, "the graph's input")
    if source.op_type != DEQUANTIZE:
        moved = _source_behind_moves(view, source)
        if moved is not None and moved.op_type == DEQUANTIZE:
            return Cause(Reason.MOVE_BETWEEN, source.op_type)
        return Cause(Reason.FLOAT_INPUT, source.op_type)
    if view.integer_type(source) not in _BYTES:
        return Cause(Reason.WIDE_INTEGERS)
    scale = view.constant(input_of(source, 1))
    if scale is None:
        return Cause(Reason.COMPUTED_SCALE)
    return Cause(Reason.PER_CHANNEL_INPUT) if np.prod(scale.dims) > 1 else None


def _source_behind_moves(view: GraphView, node: onnx.NodeProto) -> onnx.NodeProto | None:
    found: onnx.NodeProto | None = node
    for _ in range(_STEPS):
        if found is None or found.op_type not in MOVING_OPERATORS:
            break
        found = view.producer(input_of(found, 0))
    return found


def _sides(view: GraphView, node: onnx.NodeProto) -> Cause | None:
    """An add computes in integers only if both of its inputs are quantized."""
    causes = [_operand(view, input_of(node, index)) for index in (0, 1)]
    found = [cause for cause in causes if cause is not None]
    if len(found) == 1 and found[0].reason is Reason.FLOAT_INPUT:
        constant = any(view.constant(name) is not None for name in node.input)
        return Cause(Reason.ONE_SIDE, "a constant" if constant else found[0].operator)
    return found[0] if found else None


def _weight(view: GraphView, node: onnx.NodeProto) -> Cause | None:
    name = input_of(node, 1)
    if view.constant(name) is not None:
        return Cause(Reason.WEIGHT_IN_FLOAT)
    source = view.producer(name)
    if source is None or source.op_type != DEQUANTIZE:
        return Cause(Reason.WEIGHT_NOT_CONSTANT, source.op_type if source else "the graph's input")
    if view.integer_type(source) not in _BYTES:
        return Cause(Reason.WIDE_INTEGERS)
    inner = view.producer(input_of(source, 0))
    held = input_of(inner, 0) if inner and inner.op_type == QUANTIZE else input_of(source, 0)
    return None if view.constant(held) is not None else Cause(Reason.WEIGHT_NOT_CONSTANT)


def _output(view: GraphView, node: onnx.NodeProto) -> Cause | None:
    """The output must be quantized, and have no float reader besides."""
    result = node.output[0]
    readers = view.readers(result)
    quantized = [reader for reader in readers if reader.op_type == QUANTIZE]
    others = [reader.op_type for reader in readers if reader.op_type != QUANTIZE]
    if result in view.outputs:
        others.append("the graph's output")
    if quantized:
        if others:
            return Cause(Reason.ALSO_READ_IN_FLOAT, others[0])
        return None if view.integer_type(quantized[0]) in _BYTES else Cause(Reason.WIDE_INTEGERS)
    if others == ["BatchNormalization"]:
        return Cause(Reason.BATCH_NORM)
    if len(others) == 1 and readers and others[0] in _ACTIVATIONS:
        behind = view.readers(readers[0].output[0])
        if others[0] in {"Relu", "Clip"} and [x.op_type for x in behind] == [QUANTIZE]:
            return Cause(Reason.RELU_ZERO_POINT, others[0])
    return Cause(Reason.NOT_QUANTIZED_BEHIND, others[0] if others else "nothing")


def _linear_output(view: GraphView, node: onnx.NodeProto) -> Cause | None:
    """The output of a linear layer may stay in float."""
    readers = [reader.op_type for reader in view.readers(node.output[0])]
    return _output(view, node) if QUANTIZE in readers else None


def _signed(view: GraphView, node: onnx.NodeProto) -> Cause | None:
    names = [input_of(node, 0), *(input_of(node, 1) for _ in (0,) if node.op_type == "Add")]
    sources = [view.producer(name) for name in names]
    sources += [reader for reader in view.readers(node.output[0]) if reader.op_type == QUANTIZE]
    types = {view.integer_type(source) for source in sources if source is not None}
    return Cause(Reason.INT8_ACTIVATIONS) if TensorProto.INT8 in types else None


def _mean(view: GraphView, node: onnx.NodeProto) -> Cause | None:
    return Cause(Reason.MEAN)


_CONVOLUTION: Final[tuple[Check, ...]] = (_input, _weight, _output, _signed)
_LINEAR: Final[tuple[Check, ...]] = (_input, _weight, _linear_output, _signed)
_ADD: Final[tuple[Check, ...]] = (_sides, _output, _signed)
_OTHERS: Final[tuple[Check, ...]] = (_input, _output, _signed)

_CHECKS: Final[Mapping[str, tuple[Check, ...]]] = {
    "Conv": _CONVOLUTION,
    "Gemm": _LINEAR,
    "MatMul": _LINEAR,
    "Add": _ADD,
    "Sum": _ADD,
    "ReduceMean": (_mean,),
}
