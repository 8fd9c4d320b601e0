"""What the functions of a traced network are in ONNX.

Those that move numbers are written on the stored integers themselves: ONNX Runtime has no rule
that takes a DequantizeLinear/QuantizeLinear pair away from around all of them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from eightbit.quantize.artifacts.onnx_float import FLOAT_WRITERS, FloatCall
from eightbit.quantize.artifacts.onnx_graph import GraphWriter, Value
from eightbit.quantize.network.graph import tensor_name
from eightbit.quantize.network.operators import AVERAGE_POOL, CLIP, CONCAT, MOVING, NAMES


def write_function(
    writer: GraphWriter, traced: fx.GraphModule, node: fx.Node, sources: Sequence[Value]
) -> Value:
    """Write a function's call; returns the value that it produces."""
    target: Any = node.target
    moves = _MOVING.get(target)
    if moves is not None:
        return writer.stored(moves(writer, node, sources[0]), sources[0].tensor)
    if node.target is torch.flatten:
        return _flatten(writer, node.name, sources[0])
    tensor = tensor_name(node)
    if node.target is CONCAT:
        return _concat(writer, node, tensor or node.name, sources)
    if node.target in _ARITHMETIC:
        real = _ARITHMETIC[node.target](writer, node, sources)
        # Only the last step of an add with ReLU has a tensor name: both are rounded as one.
        return writer.activation(real, tensor) if tensor else Value(real=real)
    call = FloatCall(writer=writer, traced=traced, node=node, sources=sources)
    return writer.activation(FLOAT_WRITERS[NAMES[node.target]](call), tensor)


def clip(writer: GraphWriter, real: str, bounds: nn.Hardtanh, name: str) -> str:
    """Write a clip of real numbers; returns its name."""
    return _clip(writer, real, bounds.min_val, bounds.max_val, name)


def _clip(writer: GraphWriter, real: str, low: float, high: float, name: str) -> str:
    limits = [
        writer.constant(f"{name}.{word}", np.array(bound, np.float32))
        for word, bound in (("min", low), ("max", high))
    ]
    return writer.node("Clip", [real, *limits], name)


def _flatten(writer: GraphWriter, name: str, x: Value) -> Value:
    return writer.activation(writer.node("Flatten", [x.real], name, axis=1), x.tensor)


def _concat(writer: GraphWriter, node: fx.Node, name: str, sources: Sequence[Value]) -> Value:
    dimension: Any = node.args[1]
    if not writer.rounds(name):
        real = writer.node("Concat", [part.real for part in sources], name, axis=dimension)
        return Value(real=real)
    parts = [
        writer.requantized(part, name, f"{name}/{place}/q") for place, part in enumerate(sources)
    ]
    return writer.stored(writer.node("Concat", parts, name, axis=dimension), name)


def _add(writer: GraphWriter, node: fx.Node, sources: Sequence[Value]) -> str:
    return writer.node("Add", [source.real for source in sources], tensor_name(node) or node.name)


def _relu(writer: GraphWriter, node: fx.Node, sources: Sequence[Value]) -> str:
    """A ReLU behind a residual add, which a grid that begins at zero makes needless.

    OpenCV 5 computes the integer addition only where nothing stands before its rounding.
    """
    name = tensor_name(node)
    if name is not None and writer.begins_at_zero(name):
        return sources[0].real
    return writer.node("Relu", [sources[0].real], tensor_name(node) or node.name)


def _bounded(writer: GraphWriter, node: fx.Node, sources: Sequence[Value]) -> str:
    """A clip behind a residual add, which a grid that ends there makes needless, or alone."""
    name = tensor_name(node)
    assert name is not None
    if writer.rounds(name) and node.args[0].target is torch.add:  # type: ignore[union-attr]
        return sources[0].real
    low, high = (float(bound) for bound in node.args[1:])  # type: ignore[arg-type]
    return _clip(writer, sources[0].real, low, high, name)


def _average_pool(writer: GraphWriter, node: fx.Node, sources: Sequence[Value]) -> str:
    kernel, stride, padding, ceil_mode, counts_padding = (list_of(arg) for arg in node.args[1:])
    return writer.node(
        "AveragePool",
        [sources[0].real],
        tensor_name(node) or node.name,
        kernel_shape=kernel,
        strides=stride,
        pads=[*padding, *padding],
        ceil_mode=int(ceil_mode),
        count_include_pad=int(counts_padding),
    )


def list_of(argument: Any) -> Any:
    """An argument of a traced function, immutable lists as lists."""
    return list(argument) if isinstance(argument, list | tuple) else argument


def _reshape(writer: GraphWriter, node: fx.Node, x: Value) -> str:
    shape = writer.constant(f"{node.name}.shape", np.array(list_of(node.args[1]), np.int64))
    return writer.node("Reshape", [x.stored, shape], node.name)


def _permute(writer: GraphWriter, node: fx.Node, x: Value) -> str:
    return writer.node("Transpose", [x.stored], node.name, perm=list_of(node.args[1]))


def _slice(writer: GraphWriter, node: fx.Node, x: Value) -> str:
    dimension, start, end, step = node.args[1:]
    indices = {"starts": start, "ends": end, "axes": dimension, "steps": step}
    inputs = [
        writer.constant(f"{node.name}.{key}", np.array([index], np.int64))
        for key, index in indices.items()
    ]
    return writer.node("Slice", [x.stored, *inputs], node.name)


def _pad(writer: GraphWriter, node: fx.Node, x: Value) -> str:
    return writer.node("Pad", [x.stored, _pads(writer, node), writer.zero(x)], node.name)


def _reflect(writer: GraphWriter, node: fx.Node, x: Value) -> str:
    return writer.node("Pad", [x.stored, _pads(writer, node)], node.name, mode="reflect")


def _pads(writer: GraphWriter, node: fx.Node) -> str:
    """The pads of maps: torch names them from the last axis on, ONNX from the first."""
    given = list_of(node.args[1])
    pads = [*given, *[0] * (8 - len(given))]
    ordered = [*pads[0::2][::-1], *pads[1::2][::-1]]
    return writer.constant(f"{node.name}.pads", np.array(ordered, np.int64))


def _upsample(writer: GraphWriter, node: fx.Node, x: Value) -> str:
    factors = np.array([1, 1, *list_of(node.args[2])], np.float32)
    scales = writer.constant(f"{node.name}.scales", factors)
    return writer.node(
        "Resize",
        [x.stored, "", scales],
        node.name,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _rectify(writer: GraphWriter, node: fx.Node, x: Value) -> str:
    if x.tensor is None:
        return writer.node("Relu", [x.real], node.name)
    # Integers from that of real zero on.
    return writer.node("Clip", [x.stored, writer.zero(x)], node.name)


_ARITHMETIC: Final[Mapping[Any, Callable[[GraphWriter, fx.Node, Sequence[Value]], str]]] = {
    torch.add: _add,
    F.relu: _relu,
    CLIP: _bounded,
    AVERAGE_POOL: _average_pool,
}

_WRITERS: Final[Mapping[str, Callable[[GraphWriter, fx.Node, Value], str]]] = {
    "reshape": _reshape,
    "permute": _permute,
    "slice": _slice,
    "pad": _pad,
    "reflect": _reflect,
    "upsample_nearest": _upsample,
    "rectify": _rectify,
}
_MOVING: Final = {MOVING[name]: write for name, write in _WRITERS.items()}
