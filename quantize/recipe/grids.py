"""Grids that tensors share, and bounds that a grid itself enforces.

A concatenation of tensors of one grid moves integers and computes nothing. A clip costs nothing
where its upper bound rounds to the largest number of the grid, or lies above it: there rounding
saturates.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np
from torch import fx, nn

from eightbit.calibration import QuantDType, QuantParams, activation_params
from eightbit.quantize.network.graph import operation_kind, sources, tensor_name
from eightbit.quantize.network.operators import CLIP, Kind, activation_of

# By how much less than the largest number a bound may be, in steps: less than what rounds down.
_ROUNDED_UP: Final = 0.49

Grids = Mapping[str, QuantParams]


def upper_bounds(traced: fx.GraphModule) -> dict[str, float]:
    """The largest value of every tensor that is clipped where it is computed."""
    found: dict[str, float] = {}
    for node in traced.graph.nodes:
        name = tensor_name(node)
        if name is None or operation_kind(node) is Kind.FLOAT:
            continue
        if node.op == "call_module":
            bound = activation_of(traced.get_submodule(str(node.target)))
            if isinstance(bound, nn.Hardtanh):
                found[name] = float(bound.max_val)
        elif node.target is CLIP:
            found[name] = float(node.args[2])
    return found


def is_within(params: QuantParams, bound: float) -> bool:
    """Whether a bound rounds to the largest number of a grid, or lies above all of them."""
    return bound / params.scale[0] + params.zero_point[0] >= QuantDType.UINT8.qmax - _ROUNDED_UP


def within(params: QuantParams, bound: float | None) -> QuantParams:
    """The grid, its scale lowered as far as it takes not to reach over a bound."""
    if bound is None or is_within(params, bound):
        return params
    scale = float(np.float32(bound / (QuantDType.UINT8.qmax - params.zero_point[0])))
    return params.model_copy(update={"scale": (scale,)})


def share_grids(
    activations: Grids, traced: fx.GraphModule
) -> tuple[dict[str, QuantParams], dict[str, frozenset[str]]]:
    """One grid for a concatenation and the tensors that nothing else reads.

    A rectified tensor stays apart where the others' zero point is another: a runtime clips it by
    saturation. So does one with another upper bound.

    Returns:
        The activations, and for each tensor that shares its grid all those that have it.
    """
    shared = dict(activations)
    together: dict[str, frozenset[str]] = {}
    bounds = upper_bounds(traced)
    for group in _groups(activations, traced.graph):
        low = min(_low(activations[name]) for name in group)
        high = max(_high(activations[name]) for name in group)
        params = activation_params(low, high)
        fitting = frozenset(
            name
            for name in group
            if (low == 0 or activations[name].zero_point[0] > 0)
            and is_within(params, bounds.get(name, math.inf))
        )
        for name in fitting:
            shared[name] = params
            together[name] = fitting
    return shared, together


def _groups(activations: Grids, graph: fx.Graph) -> Iterable[frozenset[str]]:
    """Concatenations joined with what only they read, and through it with each other."""
    readers: dict[str, set[fx.Node]] = defaultdict(set)
    concatenations = [
        node
        for node in graph.nodes
        if operation_kind(node) is Kind.CONCAT and tensor_name(node) in activations
    ]
    for node in graph.nodes:
        if tensor_name(node) is not None or node.op == "output":
            for source in sources(node):
                readers[source].add(node)
    group_of: dict[str, frozenset[str]] = {}
    for node in concatenations:
        inputs = {
            source
            for source in sources(node)
            if source in activations and readers[source] <= set(concatenations)
        }
        joined = frozenset({str(tensor_name(node)), *inputs})
        for name in tuple(joined):
            joined |= group_of.get(name, frozenset())
        group_of |= dict.fromkeys(joined, joined)
    return dict.fromkeys(group_of.values())


def _low(params: QuantParams) -> float:
    return params.scale[0] * (QuantDType.UINT8.qmin - params.zero_point[0])


def _high(params: QuantParams) -> float:
    return params.scale[0] * (QuantDType.UINT8.qmax - params.zero_point[0])
