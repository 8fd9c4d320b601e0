"""What pools, resizes and moves maps."""

from collections.abc import Callable, Mapping
from itertools import accumulate, pairwise
from typing import Any, Final

import torch
from torch import fx, nn

from eightbit.quantize.network.lowering import MAPS, Call, Lowering, first, pair
from eightbit.quantize.network.operators import (
    AVERAGE_POOL,
    FLOAT,
)


def _max_pool(lowering: Lowering, call: Call) -> fx.Node:
    kernel = pair(call["kernel_size"])
    stride = pair(call["stride"] or kernel)
    padding, dilation = pair(call["padding"]), pair(call["dilation"])
    pool = nn.MaxPool2d(kernel, stride, padding, dilation)
    pool.ceil_mode = call["ceil_mode"] and _reaches_over(call, kernel, stride, padding, dilation)
    if dilation == (1, 1):
        pool.dilation = 1
    return lowering.drawing.module(first(call), pool, call.named("max_pool"))


def _max_pool_with_indices(lowering: Lowering, call: Call) -> Any:
    return [_max_pool(lowering, call)]


def _average_pool(lowering: Lowering, call: Call) -> fx.Node:
    kernel = pair(call["kernel_size"])
    stride, padding = pair(call["stride"] or kernel), pair(call["padding"])
    ceil = call["ceil_mode"] and _reaches_over(call, kernel, stride, padding, (1, 1))
    with_zeros = call["count_include_pad"] or padding == (0, 0)
    if call["divisor_override"] is not None:
        raise call.refuse("averages of what the window covers", "divisor_override")
    if ceil:
        # Of windows that reach over the border runtimes think differently; products they agree on.
        return _separable(lowering, call)
    if kernel == call.input_shape[2:] and padding == (0, 0):
        return lowering.global_pool(call)
    return _averaged(lowering, call, (list(kernel), list(stride), list(padding), False, with_zeros))


def _averaged(lowering: Lowering, call: Call, arguments: tuple[Any, ...]) -> fx.Node:
    arguments = (first(call), *arguments)
    return lowering.drawing.function(AVERAGE_POOL, arguments, name=call.named("pool"))


def _adaptive_pool(lowering: Lowering, call: Call) -> fx.Node:
    before, after = call.input_shape[2:], call.shape[2:]
    if after == (1, 1):
        return lowering.global_pool(call)
    if before == after:
        return first(call)
    if not any(size % parts for size, parts in zip(before, after, strict=True)):
        kernel = [size // parts for size, parts in zip(before, after, strict=True)]
        return _averaged(lowering, call, (kernel, kernel, [0, 0], False, True))
    return _separable(lowering, call)


def _mean(lowering: Lowering, call: Call) -> fx.Node:
    dimensions = {size % len(call.input_shape) for size in call["dim"] or ()}
    if dimensions != {2, 3} or len(call.input_shape) != MAPS or call["dtype"] is not None:
        return lowering.in_float(call)
    pooled = lowering.global_pool(call)
    shape = (call.shape[0], call.input_shape[1], 1, 1)
    return pooled if call["keepdim"] else lowering.reshaped(pooled, shape, call.shape)


def _separable(lowering: Lowering, call: Call) -> fx.Node:
    """A resizing as two products with matrices, one for the rows and one for the columns."""
    x = first(call)
    rows, columns = (_resizing(call, axis) for axis in (0, 1))
    product = FLOAT["float.matmul.default"]
    left = lowering.drawing.parameter(rows, call.named("rows"))
    right = lowering.drawing.parameter(columns.T.contiguous(), call.named("columns"))
    x = lowering.drawing.function(product, (left, x), name=call.named("resized_rows"))
    return lowering.drawing.function(product, (x, right), name=call.named("resized"))


def _nearest(lowering: Lowering, call: Call) -> fx.Node:
    factors = [b / a for a, b in zip(call.input_shape[2:], call.shape[2:], strict=True)]
    if any(factor != int(factor) for factor in factors):
        return _separable(lowering, call)
    return lowering.moved("upsample_nearest", first(call), (None, factors))


def _reshape(lowering: Lowering, call: Call) -> fx.Node:
    if call.shape.count(-1) > 1:
        raise call.refuse("one dimension that depends on the number of images", "several")
    return lowering.reshaped(first(call), call.input_shape, call.shape)


def _permute(lowering: Lowering, call: Call) -> fx.Node:
    rank = len(call.shape)
    order = tuple(place % rank for place in call["dims"])
    return lowering.permuted(first(call), call.input_shape, order)


def _transpose(lowering: Lowering, call: Call) -> fx.Node:
    order = list(range(len(call.shape)))
    one, other = call["dim0"], call["dim1"]
    order[one], order[other] = order[other], order[one]
    return lowering.permuted(first(call), call.input_shape, tuple(order))


def _slice(lowering: Lowering, call: Call) -> fx.Node:
    dimension = call["dim"] % len(call.shape)
    size = call.input_shape[dimension]
    start, end, step = call["start"], call["end"], call["step"]
    start, end, step = slice(start, end, step).indices(size if size > 0 else _ALL)
    if (start, step) == (0, 1) and end == (size if size > 0 else _ALL):
        return first(call)
    if call.input_shape[dimension] < 0:
        raise call.refuse("all images of a batch together", "some of them apart")
    return _sliced(lowering, call, dimension, start, end, step)


def _sliced(
    lowering: Lowering, call: Call, dimension: int, start: int, end: int, step: int = 1
) -> fx.Node:
    return lowering.moved("slice", first(call), (dimension, start, end, step))


def _select(lowering: Lowering, call: Call) -> fx.Node:
    rank = len(call.input_shape)
    dimension = call["dim"] % rank
    index = call["index"] % call.input_shape[dimension]
    if call.input_shape[dimension] < 0:
        raise call.refuse("all images of a batch together", "one of them")
    part = _sliced(lowering, call, dimension, index, index + 1)
    shape = list(call.input_shape)
    shape[dimension] = 1
    return lowering.reshaped(part, tuple(shape), call.shape)


def _chunk(lowering: Lowering, call: Call) -> list[fx.Node]:
    size = call.input_shape[call["dim"]]
    return _parts(lowering, call, -(-size // call["chunks"]))


def _split(lowering: Lowering, call: Call) -> list[fx.Node]:
    sizes = call["split_sizes"] if "split_sizes" in call.values else call["split_size"]
    return _parts(lowering, call, sizes)


def _narrow(lowering: Lowering, call: Call) -> fx.Node:
    dimension = call["dim"] % len(call.shape)
    if call.input_shape[dimension] < 0:
        raise call.refuse("all images of a batch together", "some of them apart")
    start = call["start"]
    return _sliced(lowering, call, dimension, start, start + call["length"])


def _parts(lowering: Lowering, call: Call, sizes: int | list[int]) -> list[fx.Node]:
    dimension = call["dim"] % len(call.input_shape)
    size = call.input_shape[dimension]
    if call.input_shape[dimension] < 0:
        raise call.refuse("all images of a batch together", "parts of it")
    ends = (
        [*range(0, size, sizes), size]
        if isinstance(sizes, int)
        else list(accumulate(sizes, initial=0))
    )
    return [_sliced(lowering, call, dimension, start, end) for start, end in pairwise(ends)]


def _pad(lowering: Lowering, call: Call) -> fx.Node:
    x, value = first(call), call["value"] or 0.0
    pads = list(call["pad"])
    if call.values.get("mode", "constant") == "reflect" and len(pads) == MAPS:
        return lowering.moved("reflect", x, (pads,))
    if call.values.get("mode", "constant") != "constant":
        return lowering.in_float(call)
    if not any(pads):
        return x
    if value == 0:
        return lowering.moved("pad", x, (pads,))
    # Zeros beside what is shifted so that they mean the value.
    shifted = lowering.drawing.function(
        FLOAT["float.sub.Scalar"], (x, value), name=call.named("shifted")
    )
    padded = lowering.moved("pad", shifted, (pads,))
    return lowering.drawing.function(
        FLOAT["float.add.Scalar"], (padded, value), name=call.named("padded")
    )


def _channel_shuffle(lowering: Lowering, call: Call) -> fx.Node:
    batch, channels, *sides = call.shape
    groups = call["groups"]
    apart = (batch, groups, channels // groups, *sides)
    x = lowering.moved("reshape", first(call), (list(apart),))
    x = lowering.permuted(x, apart, (0, 2, 1, 3, 4))
    return lowering.moved("reshape", x, (list(call.shape),))


def _reaches_over(
    call: Call,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> bool:
    """Whether rounding up gives a pool another size than rounding down."""
    whole = (
        (size + 2 * pad - step * (taps - 1) - 1) // jump + 1
        for size, pad, step, taps, jump in zip(
            call.input_shape[2:], padding, dilation, kernel, stride, strict=True
        )
    )
    return tuple(whole) != call.shape[2:]


def _resizing(call: Call, axis: int) -> torch.Tensor:
    """The matrix, float32 (sizes after, sizes before), by which a resizing maps one axis.

    Its columns are what becomes of the unit vectors, which are images of one channel each.
    """
    before = call.input_shape[2:]
    unit = torch.eye(before[axis])
    shape = [1, before[axis], 1, 1]
    shape[2 + axis] = before[axis]
    images = unit.reshape(shape).expand(1, before[axis], *before)
    source = "input" if "input" in call.values else "self"
    resized: torch.Tensor = call.target(**{**call.given, source: images})[0]
    # Where the other axis is averaged with zeros beside it, its largest result is without any.
    across = resized.abs().sum((0, 1 + axis)).argmax()
    lines = resized.select(2 - axis, int(across))
    return lines.T.contiguous()


# The end of a dimension whose size is not known.
_ALL: Final = 2**62

LOWERED_MAPS: Final[Mapping[str, Callable[[Lowering, Call], Any]]] = {
    "max_pool2d.default": _max_pool,
    "max_pool2d_with_indices.default": _max_pool_with_indices,
    "avg_pool2d.default": _average_pool,
    "adaptive_avg_pool2d.default": _adaptive_pool,
    "mean.dim": _mean,
    "upsample_nearest2d.vec": _nearest,
    "upsample_bilinear2d.vec": _separable,
    "upsample_bicubic2d.vec": _separable,
    "flatten.using_ints": _reshape,
    "view.default": _reshape,
    "reshape.default": _reshape,
    "unsqueeze.default": _reshape,
    "squeeze.dim": _reshape,
    "squeeze.dims": _reshape,
    "squeeze.default": _reshape,
    "unflatten.int": _reshape,
    "permute.default": _permute,
    "transpose.int": _transpose,
    "slice.Tensor": _slice,
    "select.int": _select,
    "narrow.default": _narrow,
    "chunk.default": _chunk,
    "split.Tensor": _split,
    "split_with_sizes.default": _split,
    "pad.default": _pad,
    "constant_pad_nd.default": _pad,
    "channel_shuffle.default": _channel_shuffle,
}
