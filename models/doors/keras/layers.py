"""Layers with weights: convolutions, dense layers, normalisations."""

from dataclasses import replace
from functools import partial
from typing import Any, Final, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from eightbit.models.doors.keras.activations import LINEAR
from eightbit.models.doors.keras.drawing import MAPS, NO_PADS, Pads, Value
from eightbit.models.doors.keras.making import Making, same_pads, with_pads
from eightbit.models.doors.keras.options import (
    Activation,
    Layout,
    Number,
    Options,
    Padding,
    Pair,
    Size,
)

_NORM: Final = ("gamma", "beta", "moving_mean", "moving_variance")


class _Convolution(Options):
    """What all convolutions have."""

    kernel_size: Pair
    strides: Pair = (1, 1)
    padding: Padding = "valid"
    dilation_rate: Pair = (1, 1)
    data_format: Layout = None
    activation: Activation = LINEAR
    use_bias: bool = True


class Conv2DOptions(_Convolution):
    """Of `Conv2D`."""

    filters: Size
    groups: Size = 1


class DepthwiseOptions(_Convolution):
    """Of `DepthwiseConv2D`; what it inherits of `Conv2D` says nothing."""

    depth_multiplier: Size = 1
    filters: Any = None
    groups: Any = None


class SeparableOptions(_Convolution):
    """Of `SeparableConv2D`."""

    filters: Size
    depth_multiplier: Size = 1
    groups: Literal[1] = 1


class DenseOptions(Options):
    """Of `Dense`."""

    units: Size
    activation: Activation = LINEAR
    use_bias: bool = True


class BatchNormOptions(Options):
    """Of `BatchNormalization`."""

    axis: int | tuple[int, ...] = -1
    epsilon: Number = Field(default=1e-3, ge=0)
    center: bool = True
    scale: bool = True


class LayerNormOptions(Options):
    """Of `LayerNormalization`."""

    axis: int | tuple[int, ...] = -1
    epsilon: Number = Field(default=1e-3, ge=0)
    center: bool = True
    scale: bool = True
    rms_scaling: Literal[False] = False


def convolution(making: Making[Conv2DOptions]) -> Value:
    """Kernels are (height, width, inputs / groups, filters); torch's (filters, inputs, ...)."""
    options = making.options
    channels = making.raw(rank=MAPS).shape[-1]
    if channels % options.groups or options.filters % options.groups:
        raise making.refuse(f"groups that divide {channels} and {options.filters}", options.groups)
    shape = (*options.kernel_size, channels // options.groups, options.filters)
    kernel, *bias = making.arrays(("kernel", shape), *_bias(options, options.filters))
    value = _convolved(
        making, making.raw(), kernel.permute(3, 2, 0, 1), bias, groups=options.groups
    )
    return making.activated(value, options.activation)


def depthwise(making: Making[DepthwiseOptions]) -> Value:
    """Kernels are (height, width, inputs, multiplier); results are ordered by input."""
    options = making.options
    channels = making.raw(rank=MAPS).shape[-1]
    shape = (*options.kernel_size, channels, options.depth_multiplier)
    filters = channels * options.depth_multiplier
    kernel, *bias = making.arrays(("kernel", shape), *_bias(options, filters))
    value = _convolved(making, making.raw(), _by_input(kernel), bias, groups=channels)
    return making.activated(value, options.activation)


def separable(making: Making[SeparableOptions]) -> Value:
    """A depthwise convolution, then one of one pixel."""
    options = making.options
    channels = making.raw(rank=MAPS).shape[-1]
    inner = channels * options.depth_multiplier
    depthwise_kernel, pointwise, *bias = making.arrays(
        ("depthwise_kernel", (*options.kernel_size, channels, options.depth_multiplier)),
        ("pointwise_kernel", (1, 1, inner, options.filters)),
        *_bias(options, options.filters),
    )
    value = _convolved(
        making, making.raw(), _by_input(depthwise_kernel), [], groups=channels, part="/depthwise"
    )
    layer = _conv2d(pointwise.permute(3, 2, 0, 1), bias)
    shape = (*value.shape[:2], options.filters)
    value = making.drawing.module(f"{making.name}/pointwise", layer, value, shape)
    return making.activated(value, options.activation)


def dense(making: Making[DenseOptions]) -> Value:
    """Over the last dimension: of maps it is a convolution of one pixel."""
    options = making.options
    value = making.raw()
    if len(value.shape) not in (1, 2, MAPS):
        raise making.refuse("vectors or maps", value.shape)
    inputs = value.shape[-1]
    kernel, *bias = making.arrays(
        ("kernel", (inputs, options.units)), *_bias(options, options.units)
    )
    shape = (*value.shape[:-1], options.units)
    if len(value.shape) == MAPS:
        layer: nn.Module = _conv2d(kernel.T[:, :, None, None], bias)
        value = making.drawing.module(making.name, layer, making.one(), shape)
        return making.activated(value, options.activation)
    weight = kernel.T
    if value.maps is not None:
        # The vector is of maps in torch's order: so are the columns then.
        height, width, channels = value.maps
        weight = weight.reshape(-1, height, width, channels).permute(0, 3, 1, 2).flatten(1)
    layer = nn.Linear(inputs, options.units, bias=bool(bias), device="meta")
    layer.weight = _parameter(weight)
    if bias:
        layer.bias = _parameter(bias[0])
    value = making.drawing.module(making.name, layer, value, shape)
    return making.activated(value, options.activation)


def batch_norm(making: Making[BatchNormOptions]) -> Value:
    """Statistics of training over the channels."""
    options = making.options
    value = making.one()
    channels = _over_channels(making, options.axis, value)
    wanted = zip(_NORM, (options.scale, options.center, True, True), strict=True)
    names = [name for name, is_there in wanted if is_there]
    found = dict(zip(names, making.arrays(*((name, (channels,)) for name in names)), strict=True))
    kind = nn.BatchNorm2d if len(value.shape) == MAPS else nn.BatchNorm1d
    layer = kind(channels, eps=options.epsilon)
    layer.weight = _parameter(found.get("gamma", torch.ones(channels)))
    layer.bias = _parameter(found.get("beta", torch.zeros(channels)))
    layer.running_mean = found["moving_mean"].clone()
    layer.running_var = found["moving_variance"].clone()
    if bool((found["moving_variance"] + options.epsilon <= 0).any()):
        raise making.refuse("positive variances", "others")
    return making.drawing.module(making.name, layer, value, value.shape)


def layer_norm(making: Making[LayerNormOptions]) -> Value:
    """Over the channels of each position."""
    options = making.options
    value = making.one()
    channels = _over_channels(making, options.axis, value)
    names = [name for name, on in (("gamma", options.scale), ("beta", options.center)) if on]
    arrays = making.arrays(*((name, (channels,)) for name in names)) if names else ()
    found = dict(zip(names, arrays, strict=True))
    layer = _LayerNorm(channels, options.epsilon, is_map=len(value.shape) == MAPS)
    layer.weight = _parameter(found.get("gamma", torch.ones(channels)))
    layer.bias = _parameter(found.get("beta", torch.zeros(channels)))
    return making.drawing.module(making.name, layer, value, value.shape)


class _LayerNorm(nn.LayerNorm):
    """Over channels, which of maps stand second."""

    def __init__(self, channels: int, eps: float, *, is_map: bool) -> None:
        super().__init__(channels, eps=eps)
        self._is_map = is_map

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W), or (..., C), to the same."""
        if not self._is_map:
            return super().forward(x)
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _bias(options: Any, filters: int) -> list[tuple[str, tuple[int]]]:
    return [("bias", (filters,))] if options.use_bias else []


def _by_input(kernel: Tensor) -> Tensor:
    """A depthwise kernel (h, w, inputs, multiplier) as torch's (inputs * multiplier, 1, h, w)."""
    return kernel.permute(2, 3, 0, 1).flatten(0, 1)[:, None]


def _convolved(
    making: Making[Any],
    value: Value,
    weight: Tensor,
    bias: list[Tensor],
    *,
    groups: int,
    part: str = "",
) -> Value:
    """Append a convolution with its padding, and with the zeros that stand beside its input."""
    options = making.options
    kernel, strides, dilation = options.kernel_size, options.strides, options.dilation_rate
    pads: Pads = NO_PADS
    if options.padding == "same":
        pads = same_pads(value.shape[:2], kernel, strides, dilation)
    sides = tuple(
        (side + before + behind - spread * (taps - 1) - 1) // step + 1
        for side, before, behind, spread, taps, step in zip(
            *(value.shape[:2], (pads[2], pads[0]), (pads[3], pads[1]), dilation, kernel, strides),
            strict=True,
        )
    )
    if min(sides) < 1:
        raise making.refuse("maps no smaller than the kernel", value.shape)
    left, right, top, bottom = with_pads(value.pads, pads)
    if value.is_reversed and groups == 1:
        weight = weight.flip(1)
    elif value.is_reversed:
        value = making.drawing.plain(replace(value, pads=NO_PADS))
    source = Value(step=value.step, shape=value.shape)
    if (left, top) != (right, bottom):
        # torch pads alike on both sides: what is more on one stands beside the input.
        more = (
            max(left - right, 0),
            max(right - left, 0),
            max(top - bottom, 0),
            max(bottom - top, 0),
        )
        source = making.drawing.function(partial(F.pad, pad=more), [source])
    layer = _conv2d(
        weight,
        bias,
        stride=strides,
        padding=(min(top, bottom), min(left, right)),
        dilation=dilation,
        groups=groups,
    )
    return making.drawing.module(f"{making.name}{part}", layer, source, (*sides, len(weight)))


def _conv2d(weight: Tensor, bias: list[Tensor], **options: Any) -> nn.Conv2d:
    inputs = weight.shape[1] * options.get("groups", 1)
    kernel = (weight.shape[2], weight.shape[3])
    layer = nn.Conv2d(inputs, len(weight), kernel, bias=bool(bias), device="meta", **options)
    layer.weight = _parameter(weight)
    if bias:
        layer.bias = _parameter(bias[0])
    return layer


def _parameter(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.clone(memory_format=torch.contiguous_format), requires_grad=False)


def _over_channels(making: Making[Any], axis: int | tuple[int, ...], value: Value) -> int:
    """Number of channels; refuses another dimension."""
    axes = (axis,) if isinstance(axis, int) else axis
    rank = len(value.shape) + 1
    if len(value.shape) not in (1, MAPS) or tuple(place % rank for place in axes) != (rank - 1,):
        raise making.refuse("axis: the channels, the last of vectors or maps", axes)
    return value.shape[-1]
