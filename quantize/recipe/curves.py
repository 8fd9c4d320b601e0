"""Functions of one quantized tensor, number by number: 256 integers in, 256 integers out.

A sigmoid between a dequantize and a quantize is computed in float, by every runtime with another
approximation. Still it is a table: each of the 256 integers that it can read has one exact result.
Where all of these keep away from ties by more than float32 errs, every runtime finds the table's
integer; `alignment` chooses scales for that. So it is with a product of two quantized tensors,
``(q_a - z_a) * (q_b - z_b) * (s_a * s_b / s_y)``, whose first two factors are an exact integer.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import fx

from eightbit.calibration import QuantDType, QuantParams
from eightbit.calibration.qparams import DoubleArray, real_numbers, signed_steps
from eightbit.calibration.ties import tie_distances
from eightbit.quantize.network.graph import (
    attribute,
    inputs_of,
    operation_kind,
    source_name,
    sources,
    tensor_name,
)
from eightbit.quantize.network.operators import CLIP, ELEMENTWISE, MOVING, NAMES, Kind
from eightbit.quantize.recipe.quantized import Quantized

# In steps. Four operations of float32 on numbers up to 255 err by half of that at most.
SAFE_DISTANCE: Final = 1.2e-4

# By how many times more than torch's float32 kernels another runtime's may err.
_WORSE_KERNELS: Final = 4

# Operators that map numbers to numbers one by one; with weights, those that are one number.
_ONE_BY_ONE: Final = frozenset(f"float.{name}" for name in {*ELEMENTWISE, "prelu.default"})


@dataclass(frozen=True, kw_only=True, eq=False)
class Curve:
    """A function of one number, as a chain of a network's operations.

    Attributes:
        source: The node whose numbers it takes.
        steps: The operations in order; the last one's tensor is rounded.
    """

    traced: fx.GraphModule
    source: fx.Node
    steps: tuple[fx.Node, ...]

    def of(self, x: torch.Tensor) -> torch.Tensor:
        """Its values for numbers of any shape, computed in their dtype."""
        values = {self.source: x}

        def value(node: fx.Node) -> torch.Tensor:
            if node.op == "get_attr":
                return attribute(self.traced, str(node.target)).detach().reshape(()).to(x.dtype)
            return values[node]

        for step in self.steps:
            call: Any = (step.args, step.kwargs)
            arguments, keywords = fx.map_arg(call, value)
            target: Any = step.target
            values[step] = target(*arguments, **keywords)
        return values[self.steps[-1]]

    def distances(
        self, sources: Sequence[QuantParams], results: Sequence[QuantParams]
    ) -> DoubleArray:
        """How far its 256 results keep from ties on pairs of grids, in steps of the second.

        Both sequences have K grids; returns float64, shape (K,).
        """
        values = self.of(torch.from_numpy(np.stack([_levels(source) for source in sources])))
        scales = np.array([result.scale for result in results])
        zero_points = np.array([result.zero_point for result in results])
        return tie_distances(values.numpy() / scales, zero_points)

    def is_safe(self, source: QuantParams, result: QuantParams) -> bool:
        """Whether float32 finds the exact integers, even if kernels err more than torch's."""
        x = torch.from_numpy(_levels(source))
        exact, found = (self.of(x).double().numpy() / result.scale[0] for x in (x, x.float()))
        # What saturates may err as much as it likes.
        near = np.abs(exact + result.zero_point[0]) <= 2 * QuantDType.UINT8.qmax
        error = float(np.abs(found - exact)[near].max(initial=0.0))
        (distance,) = self.distances([source], [result])
        return bool(distance >= max(SAFE_DISTANCE, _WORSE_KERNELS * error))


def _levels(params: QuantParams) -> DoubleArray:
    """Every number of a grid: float64, shape (256,)."""
    integers = np.arange(QuantDType.UINT8.qmin, QuantDType.UINT8.qmax + 1)
    return real_numbers(signed_steps(integers, params), params)


def curves(traced: fx.GraphModule, quantized: Collection[str]) -> dict[str, Curve]:
    """The curves of a network by the names of their tensors, given those that are quantized."""
    found = {}
    for node in traced.graph.nodes:
        name = tensor_name(node)
        if name in quantized and operation_kind(node) is Kind.FLOAT:
            curve = _curve(traced, node, quantized)
            if name is not None and curve is not None:
                found[name] = curve
    return found


def _curve(traced: fx.GraphModule, node: fx.Node, quantized: Collection[str]) -> Curve | None:
    """What a node computes of the nearest quantized tensor; None if that is no curve."""
    steps: list[fx.Node] = []
    while not steps or source_name(node) not in quantized:
        read = {source for source in inputs_of(node) if source.op != "get_attr"}
        if len(read) != 1 or not _is_one_by_one(traced, node):
            return None
        steps.insert(0, node)
        (node,) = read
    return Curve(traced=traced, source=node, steps=tuple(steps))


def _is_one_by_one(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op != "call_function":
        return False
    if node.target in (MOVING["rectify"], CLIP):
        return True
    weights = [source for source in inputs_of(node) if source.op == "get_attr"]
    return NAMES.get(node.target) in _ONE_BY_ONE and all(
        attribute(traced, str(source.target)).numel() == 1 for source in weights
    )


def product_distance(first: QuantParams, second: QuantParams, result: QuantParams) -> float:
    """How far the products of two tensors' integers keep from ties, in steps of the result."""
    lows, highs = (
        [bound - params.zero_point[0] for params in (first, second)]
        for bound in (QuantDType.UINT8.qmin, QuantDType.UINT8.qmax)
    )
    corners = np.multiply.outer([lows[0], highs[0]], [lows[1], highs[1]])
    products = np.arange(corners.min(), corners.max() + 1, dtype=np.float64)
    multiplier = first.scale[0] * second.scale[0] / result.scale[0]
    (distance,) = tie_distances(products[np.newaxis] * multiplier, np.array(result.zero_point))
    return float(distance)


def alike_everywhere(quantized: Quantized) -> set[str]:
    """Names of the curves and products that every runtime rounds to the same integers.

    Those of operations within a curve, which are not rounded, are among them.
    """
    network, activations = quantized.network, quantized.recipe.activations
    found: set[str] = set()
    for name, curve in curves(network.traced, activations.keys()).items():
        if curve.is_safe(activations[source_name(curve.source)], activations[name]):
            found.update(str(tensor_name(step)) for step in curve.steps)
    for node in network.graph.nodes:
        if operation_kind(node) is Kind.PRODUCT and _is_safe_product(node, activations):
            found.add(str(tensor_name(node)))
    return found


def _is_safe_product(node: fx.Node, activations: Mapping[str, QuantParams]) -> bool:
    names = [*sources(node), str(tensor_name(node))]
    if not activations.keys() >= set(names):
        return False
    first, second, result = (activations[name] for name in names)
    return product_distance(first, second, result) >= SAFE_DISTANCE
