"""Operators that compute number by number, and those that reduce, as functions of torch."""

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eightbit.models.doors.onnx_graphs.graphs import Node, bounded
from eightbit.models.doors.onnx_graphs.host import axes_of, numbers

Compute = Callable[..., Any]


def plain(node: Node, value: Any) -> Any:
    """A number as Python's, an array as a tensor; a tensor as it is."""
    if not isinstance(value, np.ndarray):
        return value
    if value.size == 1:
        (number,) = numbers(value)
        return number
    if value.dtype == object:
        raise node.refuse("numbers of weights or of images", "sizes that depend on their number")
    return torch.from_numpy(np.array(value))


def one_number(node: Node, value: Any, default: float | None) -> float | None:
    """A bound, or another number that is no tensor; its default where it was left out."""
    if value is None:
        return default
    if not isinstance(value, np.ndarray) or value.size != 1:
        raise node.refuse("a constant number", "something else")
    return float(numbers(value)[0])


def _binary(function: Callable[[Any, Any], Any]) -> Compute:
    def compute(node: Node, left: Any, right: Any) -> Any:
        if node.opset < 7 or node.get("broadcast", 0):
            raise node.refuse("broadcasting as of opset 7", "that of an earlier one")
        sizes = [part.shape for part in (left, right)]
        bounded(node, _per_image(sizes))
        return function(plain(node, left), plain(node, right))

    return compute


def _per_image(shapes: list[Any]) -> list[int]:
    """The shape of what is broadcast, without the first dimension."""
    rank = max(len(shape) for shape in shapes)
    wide = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return [max(int(shape[at]) for shape in wide) for at in range(1, rank)]


def _folded(function: Callable[[Any, Any], Any]) -> Compute:
    pairwise = _binary(function)
    return lambda node, *parts: reduce(lambda x, y: pairwise(node, x, y), parts)


def _bound(choose: str) -> Callable[[Any, Any], Any]:
    """The smaller or the larger of two, of which one may be a number."""

    def compute(x: Any, y: Any) -> Any:
        x, y = (y, x) if not isinstance(x, Tensor) else (x, y)
        if isinstance(y, Tensor):
            return torch.minimum(x, y) if choose == "min" else torch.maximum(x, y)
        return x.clamp(max=y) if choose == "min" else x.clamp(min=y)

    return compute


def _unary(function: Callable[[Tensor], Tensor]) -> Compute:
    return lambda node, x: function(x)


def _clip(node: Node, x: Tensor, low: Any = None, high: Any = None) -> Tensor:
    lowest = one_number(node, low, node.get("min", None))
    highest = one_number(node, high, node.get("max", None))
    # What bounds nothing in float32 is none: exporters write its largest number.
    limit = float(np.finfo(np.float32).max)
    lowest = None if lowest is None or lowest <= -limit else lowest
    highest = None if highest is None or highest >= limit else highest
    return x if lowest is None and highest is None else x.clamp(lowest, highest)


def _hard_sigmoid(node: Node, x: Tensor) -> Tensor:
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-5) and beta == 0.5:
        return F.hardsigmoid(x)
    scaled: Tensor = x * alpha + beta
    return scaled.clamp(0, 1)


def _gelu(node: Node, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=node.get("approximate", "none"))


def _swish(node: Node, x: Tensor) -> Tensor:
    alpha = node.get("alpha", 1.0)
    return F.silu(x) if alpha == 1 else x * torch.sigmoid(x * alpha)


def _prelu(node: Node, x: Tensor, slope: Any) -> Tensor:
    slope = torch.as_tensor(slope)
    if slope.numel() not in (1, x.shape[1]) or (slope.numel() > 1 and slope.dim() != x.dim() - 1):
        raise node.refuse("a slope for each channel", f"slopes of shape {tuple(slope.shape)}")
    return F.prelu(x, slope.reshape(-1))


def _power(x: Any, y: Any) -> Any:
    if isinstance(y, Tensor):
        return x**y
    if y in (1, 2):
        return x if y == 1 else x * x
    return torch.sqrt(x) if y == 0.5 else x**y


def _softmax(function: Callable[..., Tensor]) -> Compute:
    def compute(node: Node, x: Tensor) -> Tensor:
        axis = node.get("axis", -1 if node.opset >= 13 else 1) % x.dim()
        if node.opset < 13 and any(size != 1 for size in x.shape[axis + 1 :]):
            # Over all dimensions from there on.
            flat = x.flatten(axis)
            return function(flat, dim=axis).reshape(x.shape)
        return function(x, dim=axis)

    return compute


def _reduced(function: Callable[..., Tensor]) -> Compute:
    def compute(node: Node, x: Tensor, axes: Any = None) -> Tensor:
        no_axes = axes is None and "axes" not in node.attributes
        if no_axes and node.get("noop_with_empty_axes", 0):
            return x
        dimensions = axes_of(node, x.dim(), axes)
        return function(x, dimensions, bool(node.get("keepdims", 1)))

    return compute


def _cast(node: Node, x: Tensor) -> Tensor:
    if node.get("to", 1) not in (1, 11):  # FLOAT, DOUBLE
        raise node.refuse("images and maps that stay float", f"type {node.get('to', 1)}")
    return x


def _dropout(node: Node, x: Tensor, ratio: Any = None, training: Any = None) -> Tensor:
    if training is not None and one_number(node, training, 0):
        raise node.refuse("a network in evaluation mode", "training_mode")
    return x


FUNCTIONS: Final[Mapping[str, Compute]] = {
    "Add": _binary(lambda x, y: x + y),
    "Sub": _binary(lambda x, y: x - y),
    "Mul": _binary(lambda x, y: x * y),
    "Div": _binary(lambda x, y: x / y),
    "Pow": _binary(_power),
    "Sum": _folded(lambda x, y: x + y),
    "Min": _folded(_bound("min")),
    "Max": _folded(_bound("max")),
    "Relu": _unary(F.relu),
    "LeakyRelu": lambda node, x: F.leaky_relu(x, node.get("alpha", 0.01)),
    "Elu": lambda node, x: F.elu(x, node.get("alpha", 1.0)),
    "PRelu": _prelu,
    "Sigmoid": _unary(torch.sigmoid),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary(F.hardswish),
    "Swish": _swish,
    "Mish": _unary(F.mish),
    "Gelu": _gelu,
    "Softplus": _unary(F.softplus),
    "Clip": _clip,
    "Abs": _unary(torch.abs),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _unary(torch.floor),
    "Log": _unary(torch.log),
    "Neg": _unary(torch.neg),
    "Reciprocal": _unary(torch.reciprocal),
    "Sqrt": _unary(torch.sqrt),
    "Tanh": _unary(torch.tanh),
    "Softmax": _softmax(F.softmax),
    "LogSoftmax": _softmax(F.log_softmax),
    "ReduceMean": _reduced(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceSum": _reduced(lambda x, axes, keep: x.sum(axes, keep)),
    "ReduceMax": _reduced(lambda x, axes, keep: x.amax(axes, keep)),
    "ReduceMin": _reduced(lambda x, axes, keep: x.amin(axes, keep)),
    "ReduceL2": _reduced(lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep)),
    "Cast": _cast,
    "Identity": lambda node, x: x,
    "Dropout": _dropout,
}
