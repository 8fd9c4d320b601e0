"""The layers of a graph that multiply by integer weights, in any of ONNX's forms.

In pairs a layer stands between DequantizeLinear and QuantizeLinear; in operator form it is one node
that has every scale as an input.
"""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from eightbit.models.plain_text import one_line
from eightbit.quantize.doctor.graph_view import DEQUANTIZE, QUANTIZE, GraphView, input_of

Integers = npt.NDArray[np.int16]
Reals = npt.NDArray[np.float64]

CONVOLUTIONS: Final = frozenset({"Conv", "QLinearConv", "ConvInteger"})
_IN_PAIRS: Final = frozenset({"Conv", "Gemm", "MatMul"})
_BIAS_IN_PAIRS: Final = 2
# What may stand between a layer and its QuantizeLinear and is computed by clipping.
_CLIPPING: Final = frozenset({"Relu", "Clip"})
_RANGES: Final[Mapping[int, tuple[int, int]]] = {
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT8: (0, 255),
}


class Operands(NamedTuple):
    """Where an integer operator has its inputs; None for what it has none of, or computes."""

    weight: int
    weight_zero_point: int
    input_zero_point: int | None
    input_scale: int | None = None
    weight_scale: int | None = None
    output_scale: int | None = None
    bias: int | None = None


OPERANDS: Final[Mapping[str, Operands]] = {
    "QLinearConv": Operands(3, 5, 2, input_scale=1, weight_scale=4, output_scale=6, bias=8),
    "QLinearMatMul": Operands(3, 5, 2, input_scale=1, weight_scale=4, output_scale=6),
    "QGemm": Operands(3, 5, 2, input_scale=1, weight_scale=4, output_scale=7, bias=6),
    "ConvInteger": Operands(1, 3, 2),
    "MatMulInteger": Operands(1, 3, 2),
    "MatMulIntegerToFloat": Operands(1, 5, 4, input_scale=2, weight_scale=3),
    "DynamicQuantizeMatMul": Operands(1, 3, None, weight_scale=2),
}


class Grid(NamedTuple):
    """An activation's scale, and its smallest and largest integer less the zero point."""

    scale: float
    low: int
    high: int


class IntegerLayer(NamedTuple):
    """A layer with constant integer weights, O output channels.

    Attributes:
        weight: Less their zero points, shape (O, K).
        scale: Shape (O,), or (1,) if it is one for the tensor.
        input: None where the input is not on one constant grid.
        output_scale: None where the output is not rounded.
        bias: int32 as int64, shape (O,); None where there is none, or it is float.
        real_bias: Where the file has it in float, shape (O,).
    """

    name: str
    weight: Integers
    scale: Reals
    input: Grid | None
    output_scale: float | None
    bias: npt.NDArray[np.int64] | None
    real_bias: Reals | None = None


def integer_layers(view: GraphView) -> Iterator[IntegerLayer]:
    """The layers with constant integer weights whose scales are constants, one at a time."""
    for node in view.nodes:
        operands = OPERANDS.get(node.op_type)
        if not node.output:
            continue
        if operands is not None:
            layer = _from_operator(view, node, operands)
        elif node.op_type in _IN_PAIRS:
            layer = _from_pairs(view, node)
        else:
            continue
        if layer is not None:
            yield layer


def rows(node: onnx.NodeProto, weight: Integers) -> Integers | None:
    """Weights, output channels first: (O, C, ...) or (O, K); None for those of no layer."""
    if weight.ndim < 2 or not weight.size:
        return None
    if node.op_type in CONVOLUTIONS:
        return weight
    if weight.ndim > 2:
        return None  # a stack of matrices is no layer of a classifier
    return weight if _is_transposed(node) else weight.T


def _from_operator(
    view: GraphView, node: onnx.NodeProto, operands: Operands
) -> IntegerLayer | None:
    if operands.weight_scale is None:
        return None
    weight = view.integers(input_of(node, operands.weight))
    scale = view.reals(input_of(node, operands.weight_scale))
    if weight is None or scale is None:
        return None
    zero_point = _zero_point(view, input_of(node, operands.weight_zero_point))
    source = None
    if operands.input_scale is not None and operands.input_zero_point is not None:
        names = [
            input_of(node, index) for index in (operands.input_scale, operands.input_zero_point)
        ]
        source = _grid(view, names[0], view.dtype(names[1]) or TensorProto.UINT8, names[1])
    rounded = None if operands.output_scale is None else input_of(node, operands.output_scale)
    bias = None if operands.bias is None else view.sums(input_of(node, operands.bias))
    return _layer(node, weight, zero_point, scale.reshape(-1), source, _scalar(view, rounded), bias)


def _from_pairs(view: GraphView, node: onnx.NodeProto) -> IntegerLayer | None:
    dequantize = view.producer(input_of(node, 1))
    if dequantize is None or dequantize.op_type != DEQUANTIZE:
        return None
    weight = _stored(view, dequantize)
    scale = view.reals(input_of(dequantize, 1))
    if weight is None or scale is None:
        return None
    if scale.size > 1 and not _is_by_output_channel(node, dequantize, weight, scale):
        return None
    zero_point = _zero_point(view, input_of(dequantize, 2))
    bias = view.producer(input_of(node, _BIAS_IN_PAIRS))
    sums = view.sums(input_of(bias, 0)) if bias is not None and bias.op_type == DEQUANTIZE else None
    output = _rounded_with(view, node)
    source = _dequantized_from(view, input_of(node, 0))
    layer = _layer(node, weight, zero_point, scale.reshape(-1), source, output, sums)
    real = view.reals(input_of(node, _BIAS_IN_PAIRS)) if bias is None else None
    if layer is None or real is None or real.shape != (len(layer.weight),):
        return layer
    return layer._replace(real_bias=real if np.isfinite(real).all() else None)


def _layer(
    node: onnx.NodeProto,
    weight: Integers,
    zero_point: Integers | None,
    scale: Reals,
    source: Grid | None,
    output_scale: float | None,
    bias: npt.NDArray[np.int64] | None,
) -> IntegerLayer | None:
    """A layer if all fits; hostile graphs give any shape to anything."""
    by_channel = rows(node, weight)
    if by_channel is None or zero_point is None or not _are_usable(scale):
        return None
    channels = len(by_channel)
    if not {scale.size, zero_point.size} <= {1, channels}:
        return None
    by_channel = by_channel.reshape(channels, -1) - zero_point.reshape(-1, 1)
    return IntegerLayer(
        name=one_line(node.name or node.output[0], 60),
        weight=by_channel,
        scale=scale,
        input=source,
        output_scale=output_scale,
        bias=bias if bias is not None and bias.shape == (channels,) else None,
    )


def _stored(view: GraphView, dequantize: onnx.NodeProto) -> Integers | None:
    """The integers that a DequantizeLinear reads, rounded here if the file has them as floats."""
    source = view.producer(input_of(dequantize, 0))
    if source is None:
        return view.integers(input_of(dequantize, 0))
    weight, scale = (view.reals(input_of(source, index)) for index in (0, 1))
    zero_point = _zero_point(view, input_of(source, 2))
    dtype = view.integer_type(source)
    if source.op_type != QUANTIZE or weight is None or scale is None or zero_point is None:
        return None
    axis = _axis(source)
    if dtype not in _RANGES or not _are_usable(scale) or not weight.size:
        return None
    # What is beyond int32, or is NaN, no runtime rounds to anything that is defined.
    fits = bool(np.abs(weight).max() < scale.min(initial=np.inf) * 2**30)
    if not fits or weight.ndim < 2 or not -weight.ndim <= axis < weight.ndim:
        return None
    if zero_point.size not in {1, scale.size} or scale.size not in {1, weight.shape[axis]}:
        return None
    shape = () if scale.size == 1 else (scale.size,)
    zeros = np.broadcast_to(zero_point, scale.size).reshape(shape)
    zeros = zeros.astype(np.int8 if dtype == TensorProto.INT8 else np.uint8)
    return _rounded(weight, scale.reshape(shape), zeros, axis)


def _rounded(
    weight: Reals, scale: Reals, zero_point: npt.NDArray[np.generic], axis: int
) -> Integers:
    """As ONNX defines QuantizeLinear."""
    from onnx.reference import ReferenceEvaluator

    node = onnx.helper.make_node(QUANTIZE, ["x", "scale", "zero_point"], ["y"], axis=axis)
    real = {"x": weight.astype(np.float32), "scale": scale.astype(np.float32)}
    (found,) = ReferenceEvaluator(node).run(None, {**real, "zero_point": zero_point})
    return np.asarray(found).astype(np.int16)


def _zero_point(view: GraphView, name: str) -> Integers | None:
    """As a row; zero where it is omitted, None where it is computed."""
    if not name:
        return np.zeros(1, np.int16)
    found = view.integers(name)
    return None if found is None else found.reshape(-1)


def _dequantized_from(view: GraphView, name: str) -> Grid | None:
    source = view.producer(name)
    if source is None or source.op_type != DEQUANTIZE:
        return None
    return _grid(view, input_of(source, 1), view.integer_type(source), input_of(source, 2))


def _grid(view: GraphView, scale: str, dtype: int | None, zero_point: str) -> Grid | None:
    step, bounds, zero = (
        _scalar(view, scale),
        _RANGES.get(dtype or 0),
        _zero_point(view, zero_point),
    )
    if step is None or bounds is None or zero is None or zero.size != 1:
        return None
    return Grid(scale=step, low=bounds[0] - int(zero[0]), high=bounds[1] - int(zero[0]))


def _rounded_with(view: GraphView, node: onnx.NodeProto) -> float | None:
    """The scale of the QuantizeLinear behind a layer, past what clips."""
    readers = view.readers(node.output[0])
    if len(readers) == 1 and readers[0].op_type in _CLIPPING and readers[0].output:
        readers = view.readers(readers[0].output[0])
    scales = [_scalar(view, input_of(x, 1)) for x in readers if x.op_type == QUANTIZE]
    return scales[0] if len(scales) == len(readers) == 1 else None


def _scalar(view: GraphView, name: str | None) -> float | None:
    """A constant that is one positive number."""
    found = view.reals(name) if name else None
    if found is None or found.size != 1 or not _are_usable(found):
        return None
    return float(found.flat[0])


def _are_usable(scale: Reals) -> bool:
    return bool((np.isfinite(scale) & (scale > 0)).all())


def _is_by_output_channel(
    node: onnx.NodeProto, dequantize: onnx.NodeProto, weight: Integers, scale: Reals
) -> bool:
    first = node.op_type in CONVOLUTIONS or _is_transposed(node)
    wanted = 0 if first else weight.ndim - 1
    blocked = any(entry.name == "block_size" and entry.i for entry in dequantize.attribute)
    axis = _axis(dequantize)
    return not blocked and scale.ndim == 1 and axis in (wanted, wanted - weight.ndim)


def _axis(converter: onnx.NodeProto) -> int:
    return next((entry.i for entry in converter.attribute if entry.name == "axis"), 1)


def _is_transposed(node: onnx.NodeProto) -> bool:
    return any(entry.name == "transB" and entry.i for entry in node.attribute)
