"""Arithmetic with sizes and weights: what does not depend on the images' pixels.

Exporters compute shapes in the graph. Such values are arrays here, of Python's integers where the
number of images is among them; weights that are made of weights are computed once.
"""

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any, Final

import numpy as np
from onnx import helper

from eightbit.models.doors.onnx_graphs.graphs import Array, Node, bounded

Compute = Callable[..., Any]


def numbers(value: Any) -> list[Any]:
    """The numbers of an array, or of a list, as Python's."""
    return [part.item() if isinstance(part, np.generic) else part for part in np.ravel(value)]


def is_of_sizes(value: Array) -> bool:
    """Whether the number of images is among an array's numbers."""
    return value.dtype == object


def _tidy(value: Any, like: Array | None = None) -> Array:
    """An array; of whole numbers alone where it holds no size that is free."""
    found = np.asarray(value)
    if found.dtype != object:
        return found
    flat = list(found.ravel())
    if all(isinstance(part, int | float | bool | np.generic) for part in flat):
        return np.array(flat, dtype=None if like is None else like.dtype).reshape(found.shape)
    return found


def axes_of(node: Node, rank: int, given: Any, default: Any = None) -> list[int]:
    """Dimensions, counted from the front: an input where there is one, else an attribute."""
    axes = node.get("axes", default) if given is None else numbers(given)
    if axes is None:
        return list(range(rank))
    axes = [axes] if isinstance(axes, int) else list(axes)
    if any(not -rank <= axis < rank for axis in axes):
        raise node.refuse(f"dimensions of {rank}", axes)
    return [axis % rank for axis in axes]


def _binary(function: Callable[[Any, Any], Any]) -> Compute:
    def compute(node: Node, left: Array, right: Array) -> Array:
        bounded(node, np.broadcast_shapes(left.shape, right.shape))
        return _tidy(function(left, right))

    return compute


def _divide(left: Any, right: Any) -> Any:
    if all(np.issubdtype(part.dtype, np.integer) or part.dtype == object for part in (left, right)):
        return left // right  # of sizes, which are not negative
    return left / right


def _unary(function: Callable[[Any], Any]) -> Compute:
    return lambda node, x: _tidy(function(x))


def _cast(node: Node, x: Array) -> Array:
    kind = helper.tensor_dtype_to_np_dtype(node.get("to", 1))
    if is_of_sizes(x):
        if np.issubdtype(kind, np.integer):
            return x
        raise node.refuse("sizes that stay whole numbers", kind)
    return x.astype(kind)


def _gather(node: Node, x: Array, index: Array) -> Array:
    axis = node.get("axis", 0)
    bounded(node, (index.size, x.size // max(x.shape[axis] if x.ndim else 1, 1)))
    return np.asarray(np.take(x, index.astype(np.int64), axis=axis))


def slices(node: Node, shape: Any, inputs: tuple[Any, ...]) -> list[tuple[int, int, int, int]]:
    """Dimension, start, end and step of each cut of a Slice; of versions 1 and 10 on."""
    rank = len(shape)
    given = [None if value is None else numbers(value) for value in (*inputs, *[None] * 4)][:4]
    starts = node.get("starts", None) if given[0] is None else given[0]
    ends = node.get("ends", None) if given[1] is None else given[1]
    axes = given[2] if given[2] is not None else node.get("axes", range(len(starts)))
    steps = given[3] or [1] * len(starts)
    return [
        (axis % rank, start, end, step)
        for axis, start, end, step in zip(axes, starts, ends, steps, strict=True)
    ]


def _slice(node: Node, x: Array, *inputs: Any) -> Array:
    cuts = [slice(None)] * x.ndim
    for axis, start, end, step in slices(node, x.shape, inputs):
        # From the end backwards, the end is a place before the first.
        cuts[axis] = slice(start, None if step < 0 and end < -x.shape[axis] else end, step)
    return x[tuple(cuts)]


def _reshape(node: Node, x: Array, shape: Array) -> Array:
    sizes = [x.shape[at] if size == 0 else size for at, size in enumerate(numbers(shape))]
    return x.reshape(sizes)


def _squeeze(node: Node, x: Array, axes: Any = None) -> Array:
    default = [at for at, size in enumerate(x.shape) if size == 1]
    return np.squeeze(x, axis=tuple(axes_of(node, x.ndim, axes, default)))


def _unsqueeze(node: Node, x: Array, axes: Any = None) -> Array:
    given = node.get("axes", None) if axes is None else numbers(axes)
    rank = x.ndim + len(given)
    for axis in sorted(axis % rank for axis in given):
        x = np.expand_dims(x, axis)
    return x


def _filled(node: Node, shape: Array) -> Array:
    sizes = numbers(shape)
    bounded(node, sizes)
    value = node.get("value", np.zeros(1, np.float32))
    return np.full(sizes, value.reshape(-1)[0])


def _range(node: Node, start: Array, limit: Array, delta: Array) -> Array:
    first, end, step = (numbers(part)[0] for part in (start, limit, delta))
    bounded(node, [int(max((end - first) / step, 0)) + 1])
    return np.arange(first, end, step, dtype=start.dtype)


def _expand(node: Node, x: Array, shape: Array) -> Array:
    sizes = np.broadcast_shapes(x.shape, tuple(numbers(shape)))
    bounded(node, sizes)
    return np.broadcast_to(x, sizes)


def _tile(node: Node, x: Array, repeats: Array) -> Array:
    bounded(node, [size * by for size, by in zip(x.shape, numbers(repeats), strict=True)])
    return np.tile(x, numbers(repeats))


def _where(node: Node, condition: Array, x: Array, y: Array) -> Array:
    bounded(node, np.broadcast_shapes(condition.shape, x.shape, y.shape))
    return _tidy(np.where(condition.astype(bool), x, y))


def _split(node: Node, x: Array, sizes: Any = None) -> list[Array]:
    axis = node.get("axis", 0)
    given = numbers(sizes) if sizes is not None else node.get("split", None)
    parts = node.get("num_outputs", len(node.outputs))
    step = -(-x.shape[axis] // parts)
    cuts = np.cumsum(given)[:-1] if given else list(range(step, x.shape[axis], step))
    return list(np.split(x, cuts, axis=axis))


def _reduced(function: Callable[..., Any]) -> Compute:
    def compute(node: Node, x: Array, axes: Any = None) -> Array:
        dimensions = tuple(axes_of(node, x.ndim, axes))
        return _tidy(function(x, axis=dimensions, keepdims=bool(node.get("keepdims", 1))))

    return compute


def _concat(node: Node, *parts: Array) -> Array:
    bounded(node, [sum(part.size for part in parts)])
    return np.concatenate(parts, axis=node.get("axis", 0))


def constant(node: Node) -> Array:
    """What a Constant holds, in whichever attribute."""
    for name, kind in (
        *(("value", None), ("value_float", np.float32), ("value_floats", np.float32)),
        *(("value_int", np.int64), ("value_ints", np.int64)),
    ):
        if name in node.attributes:
            return np.asarray(node.attributes[name], dtype=kind)
    raise node.refuse("a constant of numbers", ", ".join(node.attributes) or "none")


def _folded(function: Callable[[Any, Any], Any]) -> Compute:
    pairwise = _binary(function)
    return lambda node, *parts: reduce(lambda x, y: pairwise(node, x, y), parts)


HOST: Final[Mapping[str, Compute]] = {
    "Constant": constant,
    "Identity": lambda node, x: x,
    "Cast": _cast,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": lambda node, x: x.transpose(node.get("perm", range(x.ndim)[::-1])),
    "Flatten": lambda node, x: x.reshape(int(np.prod(x.shape[: node.get("axis", 1)])), -1),
    "Expand": _expand,
    "Tile": _tile,
    "Where": _where,
    "Split": _split,
    "ConstantOfShape": _filled,
    "Range": _range,
    "Shape": lambda node, x: np.array(x.shape[node.get("start", 0) : node.get("end", None)]),
    "Size": lambda node, x: np.array(x.size),
    "Add": _binary(operator.add),
    "Sub": _binary(operator.sub),
    "Mul": _binary(operator.mul),
    "Div": _binary(_divide),
    "Pow": _binary(lambda x, y: np.power(x, y).astype(x.dtype)),
    "Mod": _binary(operator.mod),
    "Equal": _binary(operator.eq),
    "Less": _binary(operator.lt),
    "Greater": _binary(operator.gt),
    "And": _binary(np.logical_and),
    "Or": _binary(np.logical_or),
    "Not": _unary(np.logical_not),
    "Min": _folded(np.minimum),
    "Max": _folded(np.maximum),
    "Sum": _folded(operator.add),
    "Neg": _unary(operator.neg),
    "Abs": _unary(np.abs),
    "Sqrt": _unary(np.sqrt),
    "Exp": _unary(np.exp),
    "Reciprocal": _unary(lambda x: 1 / x),
    "Floor": _unary(np.floor),
    "Ceil": _unary(np.ceil),
    "ReduceProd": _reduced(np.prod),
    "ReduceSum": _reduced(np.sum),
    "ReduceMean": _reduced(np.mean),
    "ReduceMax": _reduced(np.max),
    "ReduceMin": _reduced(np.min),
}
