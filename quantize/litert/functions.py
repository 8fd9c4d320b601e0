"""What the functions of a traced network are in LiteRT's operators.

Tables are none of them: a curve between two grids is computed in float, as its product may be.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import torch
import torch.nn.functional as F
from ai_edge_litert import schema_py_generated as schema
from torch import fx, nn

from eightbit.quantize.litert.call import Call
from eightbit.quantize.litert.curves import CURVES, clipped
from eightbit.quantize.litert.emitter import last, last_axis
from eightbit.quantize.litert.graph import Operator, Tensor
from eightbit.quantize.litert.layers import activation_code, average_pool
from eightbit.quantize.litert.windows import windows
from eightbit.quantize.network.graph import tensor_name
from eightbit.quantize.network.operators import AVERAGE_POOL, CLIP, CONCAT, MOVING, PRODUCT


def write_function(call: Call) -> Tensor:
    """Write a function's call.

    Raises:
        InputError: LiteRT has no such operator.
    """
    write = _WRITERS.get(call.node.target)
    if write is None:
        raise call.unwritten(str(call.node.target))
    return write(call)


def _sum(call: Call) -> Tensor:
    """A residual add; with an activation behind it, the two are one operator, the latter's."""
    if tensor_name(call.node) is None:
        (call.node.meta[_SOURCES],) = (call.sources,)
        return call.sources[0]
    return _added(call, call.sources, None)


# What an add reads whose activation is written with it.
_SOURCES: Final = "litert_sources"


def _added(call: Call, sources: Sequence[Tensor], activation: nn.Module | None) -> Tensor:
    options = schema.AddOptionsT()
    if call.given is None or not isinstance(activation, nn.Hardtanh):
        options.fusedActivationFunction = activation_code(activation, call.name)
    return call.elementwise(Operator.ADD, sources, options)


def _activated(call: Call) -> Tensor:
    """A ReLU or a clip: behind an add with it, or alone and in float."""
    source, *bounds = call.node.args
    activation = nn.Hardtanh(*map(float, bounds)) if bounds else nn.ReLU()  # type: ignore[arg-type]
    if isinstance(source, fx.Node) and source.target is torch.add:
        return _added(call, source.meta.pop(_SOURCES), activation)
    if not bounds:
        return call.elementwise(Operator.RELU, [call.emitter.real(call.sources[0])])
    low, high = map(float, bounds)  # type: ignore[arg-type]
    return clipped(call, call.sources[0], low, high)


def _concat(call: Call) -> Tensor:
    dimension: Any = call.node.args[1]
    options = schema.ConcatenationOptionsT()
    options.axis = last_axis(dimension, len(call.shape))
    given, emitter = call.given, call.emitter
    parts = [
        emitter.real(part) if given is None else emitter.rounded(part, given)
        for part in call.sources
    ]
    shape = last(call.shape)
    return emitter.emit(Operator.CONCATENATION, parts, call.name, shape, given, options)


def _average_pool(call: Call) -> Tensor:
    kernel, stride, padding, _, counts_padding = call.node.args[1:]
    (x,), shape = call.sources, last(call.shape)
    pairs: dict[str, Any] = {"kernel": kernel, "stride": stride, "padding": padding}
    over = windows(x.shape[1:3], shape[1:3], **pairs)
    borders = [size for window in over for size in window.border]
    if (any(borders) and not counts_padding) or borders[1::2] > borders[0::2]:
        raise call.unwritten("an average pool that leaves borders out of its mean")
    return average_pool(call.emitter, call.name, x, shape, over)


def _flatten(call: Call) -> Tensor:
    (x,) = call.sources
    if len(x.shape) == 4 and x.shape[1:3] != (1, 1):
        x = call.emitter.channels_first(call.name, x)
    return call.emitter.reshaped(call.name, x, call.shape)


def _reshape(call: Call) -> Tensor:
    (x,) = call.sources
    x = call.emitter.channels_first(call.name, x)
    return call.emitter.channels_last(call.name, call.emitter.reshaped(call.name, x, call.shape))


def _permute(call: Call) -> Tensor:
    (x,) = call.sources
    order: Any = call.node.args[1]
    x = call.emitter.channels_first(call.name, x)
    return call.emitter.channels_last(call.name, call.emitter.turned(call.name, x, order))


def _slice(call: Call) -> Tensor:
    (x,) = call.sources
    dimension, start, _, step = (int(number) for number in call.node.args[1:])  # type: ignore[arg-type]
    rank = len(x.shape)
    axis = last_axis(dimension, rank)
    length = x.shape[axis]
    begin = min(start + length if start < 0 else start, length)
    shape = last(call.shape)
    steps = [1] * rank
    begins, ends = [0] * rank, list(x.shape)
    begins[axis], steps[axis] = begin, step
    ends[axis] = begin + (shape[axis] - 1) * step + 1
    options = schema.StridedSliceOptionsT()
    options.beginMask = options.endMask = 1  # all images
    words = zip(("begin", "end", "steps"), (begins, ends, steps), strict=True)
    numbers = [call.emitter.constant(f"{call.name}.{word}", found) for word, found in words]
    inputs = [x, *numbers]
    return call.emitter.emit(Operator.STRIDED_SLICE, inputs, call.name, shape, x.params, options)


def _borders(call: Call) -> list[tuple[int, int]]:
    """Borders of each axis: torch names them from the last on."""
    given: Any = call.node.args[1]
    rank = len(call.shape)
    pairs = [*zip(given[0::2], given[1::2], strict=True)]
    first = [(0, 0)] * (rank - len(pairs)) + pairs[::-1]
    if any(size < 0 for pair in first for size in pair):
        raise call.unwritten("a border that takes pixels away")
    if rank != 4:
        return first
    batch, channels, *maps = first
    return [batch, *maps, channels]


def _pad(call: Call) -> Tensor:
    return call.emitter.bordered(call.name, call.sources[0], _borders(call))


def _reflect(call: Call) -> Tensor:
    (x,) = call.sources
    borders = call.emitter.constant(f"{call.name}.borders", _borders(call))
    options = schema.MirrorPadOptionsT()
    options.mode = schema.MirrorPadMode.REFLECT
    shape = last(call.shape)
    return call.emitter.emit(Operator.MIRROR_PAD, [x, borders], call.name, shape, x.params, options)


def _upsample(call: Call) -> Tensor:
    (x,), shape = call.sources, last(call.shape)
    size = call.emitter.constant(f"{call.name}.size", shape[1:3])
    options = schema.ResizeNearestNeighborOptionsT()
    code = Operator.RESIZE_NEAREST_NEIGHBOR
    return call.emitter.emit(code, [x, size], call.name, shape, x.params, options)


def _rectify(call: Call) -> Tensor:
    (x,) = call.sources
    return call.emitter.emit(Operator.RELU, [x], call.name, last(call.shape), x.params)


def _product(call: Call) -> Tensor:
    if len(call.sources) != 2:
        raise call.unwritten("a product with one number")
    return call.elementwise(Operator.MUL, call.sources, schema.MulOptionsT())


_WRITERS: Final[Mapping[Any, Callable[[Call], Tensor]]] = {
    torch.add: _sum,
    F.relu: _activated,
    CLIP: _activated,
    CONCAT: _concat,
    AVERAGE_POOL: _average_pool,
    PRODUCT: _product,
    torch.flatten: _flatten,
    MOVING["reshape"]: _reshape,
    MOVING["permute"]: _permute,
    MOVING["slice"]: _slice,
    MOVING["pad"]: _pad,
    MOVING["reflect"]: _reflect,
    MOVING["upsample_nearest"]: _upsample,
    MOVING["rectify"]: _rectify,
    **CURVES,
}
