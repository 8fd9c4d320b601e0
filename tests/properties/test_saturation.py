"""Protected weights in the emulated instructions of x86 without VNNI, whatever the weights are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.golden.x86_pairs import ORDERS, Order, convolution, saturates

from eightbit.calibration import quantize, weight_params
from eightbit.calibration.qparams import FloatArray, IntArray, QuantParams
from eightbit.calibration.saturation import (
    channels_at_risk,
    outermost_protected,
    quantize_protected,
)

every_order = pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)

# Three channels are a first layer's, one is a depthwise layer's, multiples of four all others'.
channels = st.sampled_from((1, 2, 3, 4, 5, 8))


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, ...]:
    """Of a convolution's weights, or of a linear layer's."""
    outputs = draw(st.integers(1, 4))
    if draw(st.booleans()):
        return outputs, draw(st.integers(1, 24))
    return outputs, draw(channels), draw(st.integers(1, 3)), draw(st.integers(1, 3))


@st.composite
def weights(draw: st.DrawFn) -> FloatArray:
    """Small ones, and some that come near the largest of their channel."""
    shape = draw(shapes())
    small = draw(arrays(np.float32, shape, elements=st.floats(-0.125, 0.125, width=32)))
    large = draw(arrays(np.float32, shape, elements=st.sampled_from((-1.0, -0.75, 0.0, 0.5, 1.0))))
    return (small + large).astype(np.float32)


def params_of(weight: FloatArray) -> QuantParams:
    return weight_params(weight, np.zeros(len(weight), np.float32), 1.0)


def as_int8(integers: IntArray) -> np.ndarray:
    assert np.abs(integers).max() <= 127
    return integers.astype(np.int8)


@every_order
@given(weight=weights())
def test_protected_weights_do_not_saturate(order: Order, weight: FloatArray) -> None:
    integers = quantize_protected(weight, params_of(weight))
    assert not channels_at_risk(integers).any()
    assert not saturates(as_int8(integers), order).any()


@every_order
@given(weight=weights(), data=st.data())
def test_any_rounding_up_to_the_outermost_integers_does_not_saturate(
    order: Order, weight: FloatArray, data: st.DataObject
) -> None:
    outermost = outermost_protected(weight, params_of(weight))
    towards_zero = data.draw(arrays(np.int64, weight.shape, elements=st.integers(0, 1)))
    for integers in (outermost, outermost - np.sign(outermost) * towards_zero):
        assert not saturates(as_int8(integers), order).any()


@every_order
@given(shapes().flatmap(lambda s: arrays(np.int64, s, elements=st.integers(-127, 127))))
def test_what_is_said_to_be_safe_is_safe(order: Order, integers: IntArray) -> None:
    found, said = saturates(as_int8(integers), order), channels_at_risk(integers)
    assert not (found & ~said).any()
    if integers.shape[1] % 4 == 0:
        # Here who meets whom is certain, and nothing is protected in vain.
        assert np.array_equal(found, said)


@given(weights())
def test_what_may_be_chosen_is_at_most_one_from_the_nearest(weight: FloatArray) -> None:
    # Tables of roundings hold -1, 0 and 1, and are relative to the nearest.
    params = params_of(weight)
    scale, _ = params.broadcast(weight.ndim)
    nearest, outermost = quantize_protected(weight, params), outermost_protected(weight, params)
    limit = np.abs(outermost)
    innermost = np.clip(np.trunc(weight / scale), -limit, limit)
    for chosen in (innermost, outermost):
        assert np.abs(chosen - nearest).max() <= 1


@given(weights())
def test_what_is_safe_is_left_alone(weight: FloatArray) -> None:
    params = params_of(weight)
    nearest, protected = quantize(weight, params), quantize_protected(weight, params)
    safe = ~channels_at_risk(nearest)
    assert np.array_equal(nearest[safe], protected[safe])
    # Elsewhere weights only move towards zero.
    assert (np.abs(protected) <= np.abs(nearest)).all()
    assert (protected * nearest >= 0).all()


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((8, 3, 3, 3), 1), ((8, 8, 3, 3), 1), ((8, 4, 3, 3), 2), ((8, 16, 1, 1), 1)],
    ids=["the first layer", "a 3x3 convolution", "two groups", "a 1x1 convolution"],
)
@every_order
def test_only_unprotected_convolutions_of_large_pixels_are_wrong(
    shape: tuple[int, ...], groups: int, order: Order
) -> None:
    rng = np.random.default_rng(0)
    # Of one sign mostly, so that many pairs are too large.
    weight = (rng.standard_normal(shape) + 1).astype(np.float32)
    params = params_of(weight)
    x = rng.integers(128, 256, (2, groups * shape[1], 6, 6)).astype(np.uint8)
    wrong = []
    for integers in (quantize(weight, params), quantize_protected(weight, params)):
        found = convolution(
            x, as_int8(integers), order, zero_point=7, stride=2, padding=1, groups=groups
        )
        wrong.append(not np.array_equal(found, exact(x, integers, groups)))
    assert wrong == [True, False]


def exact(x: np.ndarray, weight: IntArray, groups: int) -> IntArray:
    """The same convolution (zero point 7, stride 2, padding 1) in 64 bits."""
    steps = np.pad(x.astype(np.int64) - 7, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(steps, weight.shape[2:], axis=(2, 3))
    parts = zip(
        np.split(windows[:, :, ::2, ::2], groups, axis=1), np.split(weight, groups), strict=True
    )
    sums = [np.einsum("nchwij,ocij->nohw", part, kernel) for part, kernel in parts]
    return np.concatenate(sums, axis=1)
