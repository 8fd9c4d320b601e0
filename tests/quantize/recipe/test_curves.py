"""Curves as tables of 256 integers, and products, whose results lie near no tie."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from eightbit.calibration import QuantDType, QuantParams, quantize
from eightbit.models import Preprocessing
from eightbit.quantize.network.graph import (
    operation_kind,
    source_name,
    sources,
    tensor_name,
    trace,
)
from eightbit.quantize.network.importing import imported
from eightbit.quantize.network.operators import Kind
from eightbit.quantize.network.placement import quantized_tensors
from eightbit.quantize.recipe.alignment import align
from eightbit.quantize.recipe.curves import (
    SAFE_DISTANCE,
    Curve,
    curves,
    product_distance,
)

SIDE = 8
PREPROCESSING = Preprocessing(resize=SIDE, crop=SIDE)

# By how much scales are raised, and how far float32 rounds them.
RAISE = 1 / 128 + 1e-6

CURVES: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "hard sigmoid": F.hardsigmoid,
    "tanh": torch.tanh,
    "softplus": F.softplus,
    "elu": F.elu,
    "leaky relu": F.leaky_relu,
    "hard swish": F.hardswish,
    "gelu": F.gelu,
    "gelu by tanh": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "clip": lambda x: x.clamp(-0.7, 0.4),
    "a chain": lambda x: 1 - (2 * torch.sigmoid(x - 1)) ** 2,
}
MONOTONE = ("sigmoid", "hard sigmoid", "tanh", "softplus", "elu", "leaky relu", "clip")

scales = st.floats(1e-3, 0.1)
zero_points = st.integers(0, 255)


class Maps(nn.Module):
    """A function of maps between convolutions."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Maps again."""
        out: Tensor = self.b(self.function(self.a(x)))
        return out


@cache
def traced(name: str) -> fx.GraphModule:
    return trace(imported(Maps({**CURVES, **PRODUCTS}[name]).eval(), SIDE))


def the_curve(name: str) -> tuple[str, Curve]:
    network = traced(name)
    ((tensor, curve),) = curves(network, quantized_tensors(network.graph)).items()
    return tensor, curve


def grid(scale: float, zero_point: int) -> QuantParams:
    scale = float(np.float32(scale))
    return QuantParams(dtype=QuantDType.UINT8, scale=(scale,), zero_point=(zero_point,))


def table(curve: Curve, source: QuantParams, result: QuantParams) -> np.ndarray:
    """The integers that a curve makes of 0..255: int64, shape (256,)."""
    x = (np.arange(256) - source.zero_point[0]) * source.scale[0]
    return quantize(curve.of(torch.from_numpy(x)).numpy(), result)


def test_a_table_by_hand() -> None:
    _, curve = the_curve("hard sigmoid")
    # x / 6 + 1/2 in steps of 1/200: from -3 (q = 64) to 3 (q = 192), 200/128 a step.
    found = table(curve, grid(3 / 64, 128), grid(1 / 200, 0))
    assert found[[0, 64, 65, 66, 128, 160, 191, 192, 255]].tolist() == (
        [0, 0, 2, 3, 100, 150, 198, 200, 200]
    )


def test_a_sigmoid_by_hand() -> None:
    _, curve = the_curve("sigmoid")
    # 1 / (1 + 1/e) = 0.731059, 1 / (1 + e) = 0.268941; in steps of 1/250 182.76 and 67.24.
    found = table(curve, grid(0.0625, 100), grid(1 / 250, 0))
    assert found[[100, 116, 84]].tolist() == [125, 183, 67]
    assert curve.is_safe(grid(0.0625, 100), grid(1 / 250, 0))
    # Half of 255 steps lies between two integers: runtimes would be free to differ.
    assert not curve.is_safe(grid(0.0625, 100), grid(1 / 255, 0))


def test_what_has_no_real_result_is_no_table() -> None:
    network = trace(imported(Maps(lambda x: torch.sqrt(x + 9)).eval(), SIDE))
    ((_, curve),) = curves(network, quantized_tensors(network.graph)).items()
    assert not curve.is_safe(grid(0.1, 128), grid(0.1, 128))


@pytest.mark.parametrize("name", CURVES)
@settings(max_examples=10, phases=[Phase.generate], derandomize=True)
@given(source=scales, source_zero=zero_points, result=scales, result_zero=zero_points)
def test_a_curve_keeps_away_from_ties(
    name: str, source: float, source_zero: int, result: float, result_zero: int
) -> None:
    tensor, curve = the_curve(name)
    before = grids(traced(name)) | {
        "a": grid(source, source_zero),
        tensor: grid(result, result_zero),
    }
    after = align(before, traced(name), PREPROCESSING)
    assert curve.is_safe(after["a"], after[tensor])
    for place in ("a", tensor):
        ratio = after[place].scale[0] / before[place].scale[0]
        assert 1 <= ratio <= 1 + RAISE
    if name in MONOTONE:
        assert (np.diff(table(curve, after["a"], after[tensor])) >= 0).all()


def grids(network: fx.GraphModule) -> dict[str, QuantParams]:
    return dict.fromkeys(quantized_tensors(network.graph), grid(0.01, 0))


# Of a product's integers, below which all its results lie within 65 steps.
_SPREAD = 0.001

PRODUCTS: dict[str, Callable[[Tensor], Tensor]] = {
    "a map and its gate": lambda x: x * torch.sigmoid(x.mean((2, 3), keepdim=True)),
    "silu": F.silu,
    "a gate beside a sum": lambda x: x + x * F.hardsigmoid(x.mean((2, 3), keepdim=True)),
    "products of products": lambda x: torch.sigmoid(x) * torch.tanh(x) * torch.sigmoid(x),
    "two gates behind a pool": lambda x: F.silu(F.hardswish(F.adaptive_avg_pool2d(x, 4))),
}


@pytest.mark.parametrize("name", PRODUCTS)
@settings(max_examples=20, phases=[Phase.generate], derandomize=True)
@given(data=st.data())
def test_products_keep_away_from_ties(name: str, data: st.DataObject) -> None:
    network = traced(name)
    before = {tensor: grid(data.draw(scales), data.draw(zero_points)) for tensor in grids(network)}
    after = align(before, network, PREPROCESSING)
    for tensor, curve in curves(network, after.keys()).items():
        assert curve.is_safe(after[source_name(curve.source)], after[tensor])
    for tensor, factors in products(network).items():
        first, second = (after[factor] for factor in factors)
        if first.scale[0] * second.scale[0] < _SPREAD * after[tensor].scale[0]:
            continue  # a handful of results in all: no fraction is as small
        assert product_distance(first, second, after[tensor]) >= SAFE_DISTANCE


def products(network: fx.GraphModule) -> dict[str, tuple[str, ...]]:
    """Names of the factors of every product, by its own."""
    return {
        str(tensor_name(node)): tuple(sources(node))
        for node in network.graph.nodes
        if operation_kind(node) is Kind.PRODUCT
    }
