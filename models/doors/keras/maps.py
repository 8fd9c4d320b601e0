"""Layers of one input without weights: pools, what moves numbers, and activations."""

import math
from functools import partial
from typing import Annotated, Any, Final, Literal

import torch.nn.functional as F
from pydantic import AliasChoices, BeforeValidator, Field
from torch import Tensor

from eightbit.models.doors.keras.activations import SOFTMAX
from eightbit.models.doors.keras.drawing import MAPS, NO_PADS, Pads, Value
from eightbit.models.doors.keras.making import Making, same_pads, with_pads
from eightbit.models.doors.keras.options import (
    Activation,
    AxisOptions,
    Count,
    Layout,
    Number,
    Options,
    Padding,
    Pair,
)

_TENSORS: Final = (1, 2, MAPS)  # numbers of dimensions that are known


def _sides(value: Any) -> Any:
    """One number, or two, for four sides."""
    if isinstance(value, int):
        return ((value, value), (value, value))
    if isinstance(value, list | tuple):
        return tuple((part, part) if isinstance(part, int) else part for part in value)
    return value


Sides = Annotated[
    tuple[tuple[Count, Count], tuple[Count, Count]],
    BeforeValidator(_sides),
]


class PoolOptions(Options):
    """Of `MaxPooling2D` and `AveragePooling2D`."""

    pool_size: Pair = (2, 2)
    strides: Pair | None = None
    padding: Padding = "valid"
    data_format: Layout = None


class GlobalPoolOptions(Options):
    """Of `GlobalAveragePooling2D` and `GlobalMaxPooling2D`."""

    data_format: Layout = None
    keepdims: bool = False


class PaddingOptions(Options):
    """Of `ZeroPadding2D`."""

    padding: Sides = ((1, 1), (1, 1))
    data_format: Layout = None


class CroppingOptions(Options):
    """Of `Cropping2D`."""

    cropping: Sides = ((0, 0), (0, 0))
    data_format: Layout = None


class UpSamplingOptions(Options):
    """Of `UpSampling2D`."""

    size: Pair = (2, 2)
    data_format: Layout = None
    interpolation: Literal["nearest", "bilinear"] = "nearest"


def max_pool(making: Making[PoolOptions]) -> Value:
    """What is beside the map is never the largest.

    Zeros that stand beside it anyway are no larger than what is not negative.
    """
    value = making.raw(rank=MAPS)
    symmetric = value.pads[0] == value.pads[1] and value.pads[2] == value.pads[3]
    pads = value.pads
    fits = 2 * max(pads[2:]) <= making.options.pool_size[0] and (
        2 * max(pads[:2]) <= making.options.pool_size[1]
    )
    if value.is_reversed or (pads != NO_PADS and not (value.is_rectified and symmetric and fits)):
        value, pads = making.one(), NO_PADS
    return _pooled(making, value, pads, _largest, is_rectified=value.is_rectified)


def average_pool(making: Making[PoolOptions]) -> Value:
    """Over what the window has of the map."""
    value = making.one(rank=MAPS)
    return _pooled(making, value, NO_PADS, _mean, is_rectified=value.is_rectified)


def global_average_pool(making: Making[GlobalPoolOptions]) -> Value:
    """Over all positions."""
    value = making.one(rank=MAPS)
    return _globally(making, value, partial(F.adaptive_avg_pool2d, output_size=1))


def global_max_pool(making: Making[GlobalPoolOptions]) -> Value:
    """Over all positions."""
    value = making.one(rank=MAPS)
    return _globally(making, value, partial(F.max_pool2d, kernel_size=value.shape[:2]))


def zero_padding(making: Making[PaddingOptions]) -> Value:
    """Left to what comes next, which may have padding of its own."""
    value = making.raw(rank=MAPS)
    (top, bottom), (left, right) = making.options.padding
    height, width, channels = value.shape
    return Value(
        step=value.step,
        shape=(height + top + bottom, width + left + right, channels),
        pads=with_pads(value.pads, (left, right, top, bottom)),
        is_rectified=value.is_rectified,
        is_reversed=value.is_reversed,
    )


def cropping(making: Making[CroppingOptions]) -> Value:
    """Cuts off rows and columns."""
    value = making.one(rank=MAPS)
    (top, bottom), (left, right) = making.options.cropping
    height, width, channels = value.shape
    shape = (height - top - bottom, width - left - right, channels)
    if min(shape) < 1:
        raise making.refuse(f"less than {value.shape[:2]}", making.options.cropping)
    cut = partial(_cut, rows=(top, height - bottom), columns=(left, width - right))
    return making.drawing.function(cut, [value], shape, is_rectified=value.is_rectified)


def up_sampling(making: Making[UpSamplingOptions]) -> Value:
    """Copies, or interpolates between the middles of pixels."""
    value = making.one(rank=MAPS)
    down, right = making.options.size
    height, width, channels = value.shape
    mode = making.options.interpolation
    options: dict[str, Any] = {"mode": mode} | (
        {"align_corners": False} if mode == "bilinear" else {}
    )
    enlarged = partial(F.interpolate, scale_factor=(float(down), float(right)), **options)
    shape = (height * down, width * right, channels)
    return making.drawing.function(enlarged, [value], shape, is_rectified=value.is_rectified)


def _globally(making: Making[GlobalPoolOptions], value: Value, function: Any) -> Value:
    channels = value.shape[-1]
    pooled = making.drawing.function(
        function, [value], (1, 1, channels), is_rectified=value.is_rectified
    )
    if making.options.keepdims:
        return pooled
    return making.drawing.function(_vector, [pooled], (channels,), is_rectified=value.is_rectified)


def _pooled(
    making: Making[PoolOptions], value: Value, pads: Pads, pool: Any, *, is_rectified: bool
) -> Value:
    """Append a pool; an odd row and column of padding is that of windows which reach over."""
    options = making.options
    kernel, strides = options.pool_size, options.strides or options.pool_size
    height, width, channels = value.shape
    if options.padding == "same":
        pads = with_pads(pads, same_pads((height, width), kernel, strides, (1, 1)))
    left, right, top, bottom = pads
    height, width = height - value.pads[2] - value.pads[3], width - value.pads[0] - value.pads[1]
    shape = tuple(
        (side + before + behind - taps) // step + 1
        for side, before, behind, taps, step in zip(
            (height, width), (top, left), (bottom, right), kernel, strides, strict=True
        )
    )
    if min(shape) < 1 or max(top, bottom) * 2 > kernel[0] or max(left, right) * 2 > kernel[1]:
        raise making.refuse("windows that each have something of the map", (*pads, *kernel))
    pooled = partial(pool, kernel=kernel, strides=strides, pads=pads, sides=shape)
    source = Value(step=value.step, shape=value.shape)
    return making.drawing.function(pooled, [source], (*shape, channels), is_rectified=is_rectified)


def _largest(
    x: Tensor, kernel: tuple[int, int], strides: tuple[int, int], pads: Pads, sides: tuple[int, int]
) -> Tensor:
    padding, ceil, cut = _padding(kernel, strides, pads)
    x = F.max_pool2d(x, kernel, strides, padding, ceil_mode=ceil)
    return x[:, :, cut[0] :, cut[1] :][:, :, : sides[0], : sides[1]]


def _mean(
    x: Tensor, kernel: tuple[int, int], strides: tuple[int, int], pads: Pads, sides: tuple[int, int]
) -> Tensor:
    padding, ceil, cut = _padding(kernel, strides, pads)
    x = F.avg_pool2d(x, kernel, strides, padding, ceil_mode=ceil, count_include_pad=False)
    return x[:, :, cut[0] :, cut[1] :][:, :, : sides[0], : sides[1]]


def _padding(
    kernel: tuple[int, int], strides: tuple[int, int], pads: Pads
) -> tuple[tuple[int, int], bool, tuple[int, int]]:
    """Padding alike on both sides, whether the last windows may reach over, and what to cut off.

    Where windows move by one, those that begin a row or column too early are cut off.
    """
    left, right, top, bottom = pads
    early = tuple(
        int(behind > before and step == 1)
        for before, behind, step in zip((top, left), (bottom, right), strides, strict=True)
    )
    reaches_over = (bottom > top and strides[0] > 1) or (right > left and strides[1] > 1)
    return (top + early[0], left + early[1]), reaches_over, (early[0], early[1])


def _vector(x: Tensor) -> Tensor:
    return x.flatten(1)


def _cut(x: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    return x[:, :, rows[0] : rows[1], columns[0] : columns[1]]


class ActivationOptions(Options):
    """Of `Activation`."""

    activation: Activation


class ReLUOptions(Options):
    """Of `ReLU`."""

    max_value: Annotated[Number, Field(ge=0)] | None = None
    negative_slope: Number | None = 0.0
    threshold: Number | None = 0.0


class SlopeOptions(Options):
    """Of `LeakyReLU`."""

    negative_slope: Number = Field(
        default=0.3, validation_alias=AliasChoices("negative_slope", "alpha")
    )


class FlattenOptions(Options):
    """Of `Flatten`."""

    data_format: Layout = None


class ReshapeOptions(Options):
    """Of `Reshape`."""

    target_shape: tuple[int, ...]


class PermuteOptions(Options):
    """Of `Permute`."""

    dims: tuple[int, ...]


def activation(making: Making[ActivationOptions]) -> Value:
    """An activation by its name."""
    return making.activated(making.raw(), making.options.activation)


def relu(making: Making[ReLUOptions]) -> Value:
    """`x` where it is no less than the threshold, and what the slope makes of the rest."""
    options = making.options
    high, slope = options.max_value, options.negative_slope or 0.0
    if options.threshold:
        raise making.refuse("threshold: 0", options.threshold)
    if slope:
        if high is not None:
            raise making.refuse("max_value: none beside a slope", high)
        return making.elementwise(partial(F.leaky_relu, negative_slope=slope), making.raw())
    function = F.relu if high is None else F.relu6 if high == 6 else partial(_bounded, high=high)
    return making.elementwise(function, making.raw(), is_rectified=True)


def leaky_relu(making: Making[SlopeOptions]) -> Value:
    """A slope below zero."""
    slope = making.options.negative_slope
    return making.elementwise(partial(F.leaky_relu, negative_slope=slope), making.raw())


def softmax(making: Making[AxisOptions]) -> Value:
    """Over the last dimension."""
    value = making.one()
    axis = making.chosen("axis", making.options.axis)
    if axis not in (-1, len(value.shape)):
        raise making.refuse("axis: the last", axis)
    return making.activated(value, SOFTMAX)


def identity(making: Making[Options]) -> Value:
    """Nothing, after training."""
    return making.raw()


def flatten(making: Making[FlattenOptions]) -> Value:
    """Maps become a vector in torch's order, which is remembered."""
    value = making.one()
    if len(value.shape) == 1:
        return value
    size = math.prod(value.shape)
    order = value.shape if len(value.shape) == MAPS and math.prod(value.shape[:2]) > 1 else None
    return making.drawing.function(
        _vector, [value], (size,), maps=order, is_rectified=value.is_rectified
    )


def reshape(making: Making[ReshapeOptions]) -> Value:
    """By way of Keras' order, unless it is the same."""
    value = making.one()
    wanted = list(making.options.target_shape)
    size = math.prod(value.shape)
    known = math.prod(side for side in wanted if side != -1)
    if wanted.count(-1) > 1 or min(wanted, default=1) < -1 or known == 0 or size % known:
        raise making.refuse(f"a shape of {size:,} numbers", tuple(wanted))
    shape = tuple(size // known if side == -1 else side for side in wanted)
    if math.prod(shape) != size or len(shape) not in _TENSORS:
        raise making.refuse(f"a vector or maps of {size:,} numbers", shape)
    in_order = partial(_reshaped, before=value.shape, after=shape)
    return making.drawing.function(in_order, [value], shape, is_rectified=value.is_rectified)


def permute(making: Making[PermuteOptions]) -> Value:
    """Other dimensions than the images change places."""
    value = making.one()
    dims = making.options.dims
    if sorted(dims) != list(range(1, len(value.shape) + 1)):
        raise making.refuse(f"an order of {len(value.shape)} dimensions", dims)
    shape = tuple(value.shape[dim - 1] for dim in dims)
    moved = partial(_permuted, dims=dims)
    return making.drawing.function(moved, [value], shape, is_rectified=value.is_rectified)


def _bounded(x: Tensor, high: float) -> Tensor:
    return x.clamp(0.0, high)


def _reshaped(x: Tensor, before: tuple[int, ...], after: tuple[int, ...]) -> Tensor:
    """Numbers in Keras' order; a single position has no order."""
    if len(before) == MAPS and math.prod(before[:2]) > 1:
        x = x.permute(0, 2, 3, 1)
    if len(after) == MAPS and math.prod(after[:2]) == 1:
        return x.reshape(-1, after[2], 1, 1)
    x = x.reshape(-1, *after)
    return x.permute(0, 3, 1, 2) if len(after) == MAPS else x


def _permuted(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    if len(dims) != MAPS:
        return x.permute(0, *dims)
    return x.permute(0, 2, 3, 1).permute(0, *dims).permute(0, 3, 1, 2)
