"""What has weights, or belongs to what has: layers, their activations, sums and concatenations."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from eightbit.models.networks.quantizable import ConvReLU2d, LinearReLU
from eightbit.quantize.network.lowering import MAPS, Call, Lowering, first, pair, set_weights
from eightbit.quantize.network.operators import (
    CLIP,
    CONCAT,
    FLOAT,
    PRODUCT,
    ConvClip2d,
)


def _convolution(lowering: Lowering, call: Call) -> fx.Node:
    weight, x = call["weight"], call["input"]
    if isinstance(weight, fx.Node) or not isinstance(x, fx.Node):
        return lowering.in_float(call)
    stride, dilation = pair(call["stride"]), pair(call["dilation"])
    padding = call["padding"]
    if padding == "valid":
        padding = (0, 0)
    if padding == "same":
        totals = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        padding = tuple(total // 2 for total in totals)
        if any(total % 2 for total in totals):
            (down, right) = (total % 2 for total in totals)
            x = lowering.moved("pad", x, ([0, right, 0, down],))
    return lowering.add_convolution(
        *(call, x, weight, call["bias"]),
        stride=stride,
        padding=pair(padding),
        dilation=dilation,
        groups=call["groups"],
    )


def _linear(lowering: Lowering, call: Call) -> fx.Node:
    weight, x, bias = call["weight"], call["input"], call["bias"]
    rank = len(call.input_shape)
    if isinstance(weight, fx.Node) or not isinstance(x, fx.Node) or rank not in (2, MAPS):
        return lowering.in_float(call)
    if rank == MAPS:  # over channels that stand last: a convolution of one pixel
        maps = lowering.permuted(x, call.input_shape, (0, 3, 1, 2))
        result = lowering.add_convolution(call, maps, weight[:, :, None, None], bias)
        batch, *sides, channels = call.shape
        return lowering.permuted(result, (batch, channels, *sides), (0, 2, 3, 1))
    layer = nn.Linear(weight.shape[1], len(weight))
    set_weights(layer, weight, bias)
    return lowering.drawing.module(x, layer, lowering.layer_name(call, weight))


def _batch_norm(lowering: Lowering, call: Call) -> fx.Node:
    x, mean = call["input"], call["running_mean"]
    if call["training"] or mean is None:
        raise call.refuse("statistics of training", "none, those of each batch")
    statistics = (mean, call["running_var"], call["eps"], call["weight"], call["bias"])
    layer = lowering.drawing.module_of(x) if call.is_only_reader else None
    with torch.no_grad():
        if type(layer) is nn.Conv2d:
            set_weights(layer, *fuse_conv_bn_weights(layer.weight, layer.bias, *statistics))
            return x  # type: ignore[no-any-return]
        if type(layer) is nn.Linear:
            set_weights(layer, *fuse_linear_bn_weights(layer.weight, layer.bias, *statistics))
            return x  # type: ignore[no-any-return]
        if len(call.shape) != MAPS:
            return lowering.in_float(call)
        # Alone it is a convolution of one pixel and one channel.
        ones = torch.ones(len(mean), 1, 1, 1)
        weight, bias = fuse_conv_bn_weights(ones, None, *statistics)
    return lowering.add_convolution(call, x, weight, bias, groups=len(mean))


def _batch_norm_with_statistics(lowering: Lowering, call: Call) -> list[fx.Node]:
    values = {**call.values, "training": False}
    return [_batch_norm(lowering, replace(call, values=values))]


def _relu(lowering: Lowering, call: Call) -> fx.Node:
    return _bounded(lowering, call, None)


def _relu6(lowering: Lowering, call: Call) -> fx.Node:
    return _bounded(lowering, call, 6.0)


def _hardtanh(lowering: Lowering, call: Call) -> fx.Node:
    return _clipped(lowering, call, call["min_val"], call["max_val"])


def _clamp(lowering: Lowering, call: Call) -> fx.Node:
    return _clipped(lowering, call, call["min"], call["max"])


def _clamp_min(lowering: Lowering, call: Call) -> fx.Node:
    return _clipped(lowering, call, call["min"], None)


def _clipped(lowering: Lowering, call: Call, low: float | None, high: float | None) -> fx.Node:
    if low == 0 and (high is None or high > 0):
        return _bounded(lowering, call, None if high is None else float(high))
    arguments = (first(call), low, high)
    clamp = FLOAT["float.clamp.default"]
    return lowering.drawing.function(clamp, arguments, name=call.named("clamp"))


def _bounded(lowering: Lowering, call: Call, high: float | None) -> fx.Node:
    """Between 0 and a bound: part of what computes the input, if nothing else reads that."""
    x = first(call)
    module = lowering.drawing.module_of(x) if call.is_only_reader else None
    if type(module) is nn.Conv2d:
        fused = (
            ConvReLU2d(module, nn.ReLU())
            if high is None
            else ConvClip2d(module, nn.Hardtanh(0.0, high))
        )
        lowering.drawing.replace_module(x, fused)
        return x
    if type(module) is nn.Linear and high is None:
        lowering.drawing.replace_module(x, LinearReLU(module, nn.ReLU()))
        return x
    if x.target is torch.add and call.is_only_reader:
        activation = F.relu if high is None else CLIP
        arguments = (x,) if high is None else (x, 0.0, high)
        result = lowering.drawing.function(activation, arguments)
        lowering.drawing.rename(x, result)
        return result
    if high is None:
        return lowering.moved("rectify", x, ())
    return lowering.drawing.function(CLIP, (x, 0.0, high), name=call.named("clip"))


def _add(lowering: Lowering, call: Call) -> fx.Node:
    x, y = call["self"], call["other"]
    for one, other in ((x, y), (y, x)):
        if isinstance(one, fx.Node) and _is_all(other, 0):
            return one
    alike = all(isinstance(part, fx.Node) and part.op != "get_attr" for part in (x, y))
    if not alike or call["alpha"] != 1 or not _same_shape(lowering, call):
        return lowering.in_float(call)
    return lowering.drawing.function(torch.add, (x, y), name=call.named("add"))


def _difference(lowering: Lowering, call: Call) -> fx.Node:
    return _unless_neutral(lowering, call, 0)


def _product(lowering: Lowering, call: Call) -> fx.Node:
    return _unless_neutral(lowering, call, 1)


def _silu(lowering: Lowering, call: Call) -> fx.Node:
    """A product with its sigmoid: in integers both are faster than one curve in float."""
    x = first(call)
    gate = lowering.drawing.function(
        FLOAT["float.sigmoid.default"], (x,), name=call.named("sigmoid")
    )
    return lowering.drawing.function(PRODUCT, (x, gate), name=call.named("silu"))


def _unless_neutral(lowering: Lowering, call: Call, neutral: int) -> fx.Node:
    """An operator of two, none where the second changes nothing.

    ONNX Runtime takes such a one away as well, and then makes one of the two roundings around it.
    """
    x = call["self"]
    if isinstance(x, fx.Node) and _is_all(call["other"], neutral):
        return x
    return lowering.in_float(call)


def _is_all(value: Any, number: int) -> bool:
    """Whether an argument is a number, or weights that are nothing but that, for any shape."""
    if isinstance(value, torch.Tensor):
        return value.numel() == 1 and bool((value == number).all())
    return isinstance(value, int | float) and value == number


def _same_shape(lowering: Lowering, call: Call) -> bool:
    return all(shape == call.shape for shape in call.shapes)


def _concat(lowering: Lowering, call: Call) -> Any:
    tensors, dimension = list(call["tensors"]), call["dim"] % len(call.shape)
    if len(tensors) == 1:
        return tensors[0]
    tensors = [
        part if isinstance(part, fx.Node) else lowering.drawing.parameter(part, call.named("part"))
        for part in tensors
    ]
    return lowering.drawing.function(CONCAT, (tensors, dimension), name=call.named("concat"))


LOWERED_LAYERS: Final[Mapping[str, Callable[[Lowering, Call], Any]]] = {
    "conv2d.default": _convolution,
    "conv2d.padding": _convolution,
    "linear.default": _linear,
    "batch_norm.default": _batch_norm,
    "_native_batch_norm_legit_no_training.default": _batch_norm_with_statistics,
    "relu.default": _relu,
    "relu6.default": _relu6,
    "hardtanh.default": _hardtanh,
    "clamp.default": _clamp,
    "clamp_min.default": _clamp_min,
    "silu.default": _silu,
    "add.Tensor": _add,
    "add.Scalar": _add,
    "sub.Tensor": _difference,
    "sub.Scalar": _difference,
    "mul.Tensor": _product,
    "mul.Scalar": _product,
    "div.Tensor": _product,
    "div.Scalar": _product,
    "cat.default": _concat,
    "concat.default": _concat,
    "concatenate.default": _concat,
}
