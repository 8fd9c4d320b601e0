"""Maps whose channels stand last are computed with their channels second.

Sources that keep images as (N, H, W, C) permute dimensions around every convolution. Where what
follows a permutation computes number by number, or along named dimensions, it is done before the
permutation in its place; so permutations meet, and two that undo each other are none.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

import torch
from torch import fx

from eightbit.quantize.network.lowering import Call, Lowering, inverted, is_reshape
from eightbit.quantize.network.operators import ELEMENTWISE

# Compute each number from one number of each input, which may be weights.
_BY_NUMBER: Final = ELEMENTWISE | {
    *("clamp_max.default", "clamp_min.default", "floor.default", "hardtanh.default"),
    *("relu.default", "relu6.default", "silu.default"),
}

# Name their dimensions in an argument `dim`.
_ALONG: Final = frozenset(
    {
        *("cat.default", "concat.default", "concatenate.default", "mean.dim", "sum.dim_IntList"),
        *("softmax.int", "chunk.default", "split.Tensor", "split_with_sizes.default"),
        *("slice.Tensor", "narrow.default"),
    }
)
_PADDING: Final = frozenset({"pad.default", "constant_pad_nd.default"})
_REDUCING: Final = frozenset({"mean.dim", "sum.dim_IntList"})

_LINEAR: Final = "linear.default"

_Tensor = TypeVar("_Tensor", fx.Node, torch.Tensor)
Lower = Callable[[Lowering, Call], Any]


def lowered(lowering: Lowering, call: Call, lower: Lower) -> Any:
    """Lower a call, before the permutation of what it reads wherever that changes nothing."""
    if call.key == _LINEAR:
        return lower(lowering, _of_unflattened(lowering, call))
    order = _order(lowering, call)
    if order is None:
        return lower(lowering, call)
    result = lower(lowering, _turned(lowering, call, order))
    if call.key in _REDUCING and not call["keepdim"]:
        gone = {size % len(order) for size in call["dim"]}
        order = tuple(place for at, place in enumerate(order) if at not in gone)
        order = tuple(sorted(order).index(place) for place in order)
    if isinstance(result, list):
        parts = zip(result, call.parts, strict=True)
        return [_again(lowering, part, shape, order) for part, shape in parts]
    return _again(lowering, result, call.shape, order)


def _order(lowering: Lowering, call: Call) -> tuple[int, ...] | None:
    """How all that a call reads is permuted; None where it is not, or not all alike."""
    if call.key not in _BY_NUMBER | _ALONG | _PADDING or _has_no_named_dimension(call):
        return None
    rank, nodes = len(call.input_shape), _tensors(call, fx.Node)
    orders = {known[1] for node in nodes if (known := lowering.permutation(node)) is not None}
    if len(orders) != 1 or rank <= 2:
        return None
    (order,) = orders
    inverse = inverted(order)
    alike = all(
        len(shape := lowering.shapes[node]) == rank == len(order)
        and (lowering.permutation(node) is not None or is_reshape(shape, inverse))
        for node in nodes
    )
    weights = all(tensor.dim() <= rank for tensor in _tensors(call, torch.Tensor))
    return order if alike and weights else None


def _has_no_named_dimension(call: Call) -> bool:
    if call.key in _PADDING:
        return bool(call.values.get("mode", "constant") != "constant")
    return call.key in _ALONG and call["dim"] in (None, [])


def _tensors(call: Call, kind: type[_Tensor]) -> list[_Tensor]:
    """What a call reads: nodes, or weights."""
    found: list[_Tensor] = []
    fx.node.map_aggregate(
        tuple(call.values.values()),
        lambda value: found.append(value) if isinstance(value, kind) else None,
    )
    return found


def _turned(lowering: Lowering, call: Call, order: tuple[int, ...]) -> Call:
    """The call as it is before a permutation of its result."""
    inverse = inverted(order)
    rank = len(order)

    def turned(value: Any) -> Any:
        if isinstance(value, fx.Node):
            return lowering.permuted(value, lowering.shapes[value], inverse)
        if not isinstance(value, torch.Tensor) or value.dim() == 0:
            return value
        full = value.reshape([1] * (rank - value.dim()) + list(value.shape))
        return lowering.kept(full.permute(inverse), value)

    values = dict(fx.node.map_aggregate(dict(call.values), turned))
    if call.key in _ALONG:
        dim = values["dim"]
        values["dim"] = order[dim] if isinstance(dim, int) else sorted(order[size] for size in dim)
    if call.key in _PADDING:
        values["pad"] = _turned_pads(values["pad"], order)
    return replace(
        call,
        values=values,
        given={name: values[name] for name in call.given},
        shape=_permuted_shape(call.shape, inverse),
        input_shape=_permuted_shape(call.input_shape, inverse),
        shapes=tuple(_permuted_shape(shape, inverse) for shape in call.shapes),
    )


def _again(
    lowering: Lowering, node: fx.Node, shape: tuple[int, ...], order: tuple[int, ...]
) -> fx.Node:
    """A result, permuted."""
    return lowering.permuted(node, _permuted_shape(shape, inverted(order)), order)


def _of_unflattened(lowering: Lowering, call: Call) -> Call:
    """A linear layer that reads a permuted map, flattened, as one that reads it unpermuted."""
    x, weight = call["input"], call["weight"]
    are_vectors = len(call.input_shape) == 2
    if not are_vectors or not isinstance(x, fx.Node) or not isinstance(weight, torch.Tensor):
        return call
    before = lowering.flattened(x)
    found = None if before is None else lowering.permutation(before[0])
    if before is None or found is None or found[1][0] != 0 or -1 in before[1][1:]:
        return call
    source, order = found
    inverse = inverted(order)
    columns = weight.reshape(len(weight), *before[1][1:]).permute(inverse)
    turned = lowering.kept(columns.reshape(weight.shape), weight)
    shape = _permuted_shape(before[1], inverse)
    x = lowering.reshaped(source, shape, call.input_shape)
    return replace(call, values={**call.values, "input": x, "weight": turned})


def _turned_pads(pads: list[int], order: tuple[int, ...]) -> list[int]:
    """Padding, of the last dimension first as torch has it, before a permutation."""
    rank = len(order)
    pairs = [(0, 0)] * rank
    for place, pair in enumerate(zip(pads[::2], pads[1::2], strict=True)):
        pairs[order[rank - 1 - place]] = pair
    while len(pairs) > 1 and pairs[0] == (0, 0):
        pairs = pairs[1:]
    return [size for pair in reversed(pairs) for size in pair]


def _permuted_shape(shape: tuple[int, ...], order: tuple[int, ...]) -> tuple[int, ...]:
    """A shape's sizes in another order; of fewer dimensions it is that of weights, and stays."""
    return tuple(shape[place] for place in order) if len(shape) == len(order) else shape
