"""What holds of the integer contract whatever the numbers are."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eightbit.calibration import (
    QuantParams,
    activation_params,
    bias_params,
    dequantize,
    quantize,
    requantize,
    weight_params,
)

# Well inside float32, so that no range is wider than float32's largest number.
LARGEST = float(np.float32(1e37))

reals = st.floats(-LARGEST, LARGEST, width=32)
scales = st.floats(2.0**-60, 2.0**20, width=32)


@st.composite
def ranges(draw: st.DrawFn) -> tuple[float, float]:
    """Of one magnitude or of two, on one side of zero or on both."""
    low, high = sorted((draw(reals), draw(reals)))
    return low, high


@st.composite
def ranges_and_elements(
    draw: st.DrawFn,
) -> tuple[QuantParams, npt.NDArray[np.float32]]:
    """Parameters, and elements of the range that they were made for."""
    low, high = draw(ranges())
    low, high = min(low, 0.0), max(high, 0.0)
    inside = st.floats(low, high, width=32)
    elements = [low, high, *draw(st.lists(inside, max_size=20))]
    return activation_params(low, high), np.array(elements, dtype=np.float32)


@given(ranges())
def test_real_zero_is_exact(bounds: tuple[float, float]) -> None:
    params = activation_params(*bounds)
    zero = np.zeros(1, dtype=np.float32)
    assert quantize(zero, params).tolist() == list(params.zero_point)
    assert dequantize(quantize(zero, params), params).tolist() == [0.0]


@given(ranges_and_elements())
def test_no_element_of_the_range_is_off_by_more_than_half_a_step(
    given_: tuple[QuantParams, npt.NDArray[np.float32]],
) -> None:
    params, x = given_
    error = np.abs(dequantize(quantize(x, params), params).astype(np.float64) - x)
    # Half a step; the scale is rounded to float32, which moves the end of the range by 255 * 2^-24
    # steps, and so is the result, again by 255 * 2^-24 steps at most.
    assert error.max() <= params.scale[0] * (0.5 + 2 * 255 * 2.0**-24)


@given(ranges(), arrays(np.float32, 20, elements=st.floats(width=32, allow_nan=False)))
def test_quantize_keeps_the_order(bounds: tuple[float, float], x: npt.NDArray[np.float32]) -> None:
    q = quantize(np.sort(x), activation_params(*bounds))
    assert (np.diff(q) >= 0).all()
    assert 0 <= q.min() <= q.max() <= 255


@given(ranges())
def test_every_integer_survives_the_way_to_real_numbers_and_back(
    bounds: tuple[float, float],
) -> None:
    params = activation_params(*bounds)
    q = np.arange(256)
    assert np.array_equal(quantize(dequantize(q, params), params), q)


@given(
    arrays(np.float32, (3, 4), elements=st.floats(-(2.0**40), 2.0**40, width=32)),
    arrays(np.float32, 3, elements=st.floats(-(2.0**40), 2.0**40, width=32)),
    scales,
)
def test_no_weight_is_clamped_and_none_is_off_by_more_than_half_a_step(
    weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], input_scale: float
) -> None:
    params = weight_params(weight, bias, input_scale)
    steps, _ = params.broadcast(2)
    assert (np.abs(weight) <= 127 * steps).all()
    error = np.abs(dequantize(quantize(weight, params), params).astype(np.float64) - weight)
    # Half a step, and the rounding of the result to float32.
    assert (error <= steps * (0.5 + 127 * 2.0**-24)).all()


@given(
    arrays(np.float32, (3, 4), elements=st.floats(-1.0, 1.0, width=32)),
    arrays(np.float32, 3, elements=st.floats(-(2.0**40), 2.0**40, width=32)),
    scales,
)
def test_no_bias_is_clamped_and_none_is_off_by_more_than_half_a_step(
    weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], input_scale: float
) -> None:
    params = bias_params(weight_params(weight, bias, input_scale), input_scale)
    step = np.array(params.scale)
    assert (np.abs(bias) <= 2.0**30 * step).all()
    error = np.abs(quantize(bias, params) * step - bias)
    # Half a step, and the rounding of the quotient (up to 2^30) to float64.
    assert (error <= step * (0.5 + 2.0**-23)).all()


@given(
    arrays(np.int64, (3, 20), elements=st.integers(-(2**31), 2**31 - 1)),
    arrays(np.float32, (3, 4), elements=st.floats(-1.0, 1.0, width=32)),
    scales,
    ranges(),
)
def test_requantize_keeps_the_order_and_the_range(
    acc: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float32],
    input_scale: float,
    bounds: tuple[float, float],
) -> None:
    bias = bias_params(weight_params(weight, np.zeros(3, np.float32), input_scale), input_scale)
    output = activation_params(*bounds)
    q = requantize(np.sort(acc, axis=1), bias, output)
    assert (np.diff(q, axis=1) >= 0).all()
    assert 0 <= q.min() <= q.max() <= 255
    zero = requantize(np.zeros((3, 1), np.int64), bias, output)
    assert zero.tolist() == [list(output.zero_point)] * 3
