"""The integer contract on numbers that can be checked with pencil and paper."""

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import (
    QuantDType,
    QuantParams,
    activation_params,
    bias_params,
    dequantize,
    quantize,
    requantize,
    weight_params,
)


def floats(*numbers: float) -> npt.NDArray[np.float32]:
    return np.array(numbers, dtype=np.float32)


def integers(*numbers: int) -> npt.NDArray[np.int64]:
    return np.array(numbers, dtype=np.int64)


def uint8(scale: float, zero_point: int) -> QuantParams:
    return QuantParams(dtype=QuantDType.UINT8, scale=(scale,), zero_point=(zero_point,))


def per_channel(dtype: QuantDType, *scales: float) -> QuantParams:
    return QuantParams(dtype=dtype, scale=scales, zero_point=(0,) * len(scales), axis=0)


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        pytest.param(0.0, 127.5, 0.5, 0, id="after a ReLU zero is the lowest integer"),
        pytest.param(-127.5, 0.0, 0.5, 255, id="without positives zero is the highest integer"),
        pytest.param(-64.0, 191.0, 1.0, 64, id="on both sides zero lies between"),
        pytest.param(-0.5, 254.5, 1.0, 0, id="a zero point of one half rounds to even 0"),
        pytest.param(-1.5, 253.5, 1.0, 2, id="a zero point of three halves rounds to even 2"),
        pytest.param(3.0, 510.0, 2.0, 0, id="a range above zero is extended down to it"),
        pytest.param(-510.0, -3.0, 2.0, 255, id="a range below zero is extended up to it"),
        pytest.param(7.65, 7.65, float(np.float32(0.03)), 0, id="a constant is a range from zero"),
        pytest.param(0.0, 0.0, float(np.float32(1 / 255)), 0, id="all zero is the range 0 to 1"),
        pytest.param(-0.0, 0.0, float(np.float32(1 / 255)), 0, id="negative zero is zero"),
        pytest.param(0.0, 1e-30, 2.0**-60, 0, id="a tiny range gets the smallest scale"),
        pytest.param(0.0, 1e-45, 2.0**-60, 0, id="a denormal range gets the smallest scale"),
        pytest.param(-(2.0**-54), 2.0**-54, 2.0**-60, 64, id="zero counts in smallest scales"),
        pytest.param(-128 * 2.0**100, 127 * 2.0**100, 2.0**100, 128, id="a huge range"),
    ],
)
def test_activation_params(low: float, high: float, scale: float, zero_point: int) -> None:
    assert activation_params(low, high) == uint8(scale, zero_point)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        pytest.param(float("nan"), 1.0, id="low is NaN"),
        pytest.param(0.0, float("nan"), id="high is NaN"),
        pytest.param(float("-inf"), 1.0, id="low is infinite"),
        pytest.param(0.0, float("inf"), id="high is infinite"),
        pytest.param(2.0, 1.0, id="low is above high"),
    ],
)
def test_activation_params_refuses_what_is_no_range(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="expected finite low <= high, found"):
        activation_params(low, high)


def test_weight_params_take_each_channels_largest_magnitude() -> None:
    weight = np.stack([floats(127.0, -1.0), floats(-63.5, 10.0)])
    params = weight_params(weight, floats(0.0, 0.0), input_scale=1.0)
    assert params == per_channel(QuantDType.INT8, 1.0, 0.5)


def test_weight_params_look_at_every_tap_of_a_channel() -> None:
    weight = np.zeros((2, 3, 3, 3), dtype=np.float32)
    weight[0, 2, 2, 2] = -254.0
    weight[1, 0, 1, 0] = 31.75
    params = weight_params(weight, floats(0.0, 0.0), input_scale=1.0)
    assert params == per_channel(QuantDType.INT8, 2.0, 0.25)


def test_weight_scale_is_rounded_up_to_float32() -> None:
    # 2/127 lies between 8454660 and 8454661 times 2^-29: 2^30 / 127 = 8454660.03..
    params = weight_params(floats(2.0).reshape(1, 1), floats(0.0), input_scale=1.0)
    assert params.scale == (8454661 * 2.0**-29,)


def test_dead_channel_without_a_bias_gets_the_smallest_scale() -> None:
    params = weight_params(np.zeros((1, 4), np.float32), floats(0.0), input_scale=0.5)
    assert params == per_channel(QuantDType.INT8, 2.0**-60)


def test_dead_channel_with_a_bias_gets_a_scale_that_holds_the_bias() -> None:
    # 1 / (2^-1 * 2^30) = 2^-29, and the bias is 2^30 steps of 2^-1 * 2^-29.
    params = weight_params(np.zeros((1, 4), np.float32), floats(1.0), input_scale=0.5)
    assert params == per_channel(QuantDType.INT8, 2.0**-29)
    assert quantize(floats(1.0), bias_params(params, 0.5)).tolist() == [2**30]


def test_large_bias_raises_the_weight_scale_to_its_floor() -> None:
    # The weights alone ask for 2^-10; the biases for 2^20 / (2^-12 * 2^30) = 4.
    weight = np.full((2, 1), 127 * 2.0**-10, dtype=np.float32)
    bias = floats(2.0**20, -(2.0**20))
    params = weight_params(weight, bias, input_scale=2.0**-12)
    assert params == per_channel(QuantDType.INT8, 4.0, 4.0)
    assert quantize(bias, bias_params(params, 2.0**-12)).tolist() == [2**30, -(2**30)]


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_weight_params_refuse_what_is_not_finite(broken: float) -> None:
    whole, damaged = floats(1.0).reshape(1, 1), floats(broken).reshape(1, 1)
    with pytest.raises(ValueError, match="expected finite weights and biases"):
        weight_params(damaged, floats(0.0), input_scale=1.0)
    with pytest.raises(ValueError, match="expected finite weights and biases"):
        weight_params(whole, floats(broken), input_scale=1.0)


def test_bias_params_multiply_the_scales() -> None:
    params = bias_params(per_channel(QuantDType.INT8, 0.5, 0.25), input_scale=0.125)
    assert params == per_channel(QuantDType.INT32, 0.0625, 0.03125)


def test_bias_scale_is_rounded_to_float32() -> None:
    # float32(0.1) = 13421773 * 2^-27. Its square is 180143990463529 * 2^-54, 48 bits long;
    # 180143990463529 / 2^24 = 10737418.56 rounds to 10737419.
    tenth = float(np.float32(0.1))
    params = bias_params(per_channel(QuantDType.INT8, tenth), input_scale=tenth)
    assert params.scale == (10737419 * 2.0**-30,)


@pytest.mark.parametrize(
    ("x", "q"),
    [
        pytest.param(0.0, 11, id="zero is the zero point"),
        pytest.param(-0.0, 11, id="negative zero is the zero point"),
        pytest.param(0.25, 11, id="half a step rounds to even 0, before 11 is added"),
        pytest.param(0.75, 13, id="one and a half steps round to even 2"),
        pytest.param(1.25, 13, id="two and a half steps round to even 2"),
        pytest.param(-0.25, 11, id="minus half a step rounds to even 0"),
        pytest.param(-0.75, 9, id="minus one and a half steps round to even -2"),
        pytest.param(0.26, 12, id="just over half a step rounds up"),
        pytest.param(122.0, 255, id="the highest integer"),
        pytest.param(122.5, 255, id="above it clamps"),
        pytest.param(-5.5, 0, id="the lowest integer"),
        pytest.param(-6.0, 0, id="below it clamps"),
        pytest.param(3e38, 255, id="a huge number clamps"),
        pytest.param(float("inf"), 255, id="infinity clamps"),
        pytest.param(float("-inf"), 0, id="minus infinity clamps"),
    ],
)
def test_quantize_an_activation(x: float, q: int) -> None:
    quantized = quantize(floats(x), uint8(0.5, 11))
    assert quantized.dtype == np.int64
    assert quantized.tolist() == [q]


def test_quantize_refuses_nan() -> None:
    with pytest.raises(ValueError, match="found NaN"):
        quantize(floats(1.0, float("nan")), uint8(0.5, 11))


def test_quantize_weights_channel_by_channel() -> None:
    weight = np.stack([floats(3.0, -2.5, 200.0), floats(3.0, -2.5, -200.0)])
    quantized = quantize(weight, per_channel(QuantDType.INT8, 1.0, 0.5))
    assert quantized.tolist() == [[3, -2, 127], [6, -5, -127]]


def test_quantize_along_another_axis() -> None:
    params = QuantParams(dtype=QuantDType.INT8, scale=(1.0, 0.5), zero_point=(0, 0), axis=1)
    assert quantize(np.ones((1, 2, 1), np.float32), params).tolist() == [[[1], [2]]]


def test_quantize_clamps_a_bias_at_half_of_int32() -> None:
    bias = floats(2.0**31, -(2.0**31), 2.0**30)
    quantized = quantize(bias, per_channel(QuantDType.INT32, 1.0, 1.0, 1.0))
    assert quantized.tolist() == [2**30, -(2**30), 2**30]


def test_dequantize_takes_the_zero_point_away() -> None:
    real = dequantize(integers(0, 11, 12, 255), uint8(0.5, 11))
    assert real.dtype == np.float32
    assert real.tolist() == [-5.5, 0.0, 0.5, 122.0]


def test_dequantize_channel_by_channel() -> None:
    q = np.stack([integers(3, -127), integers(3, -127)])
    real = dequantize(q, per_channel(QuantDType.INT8, 1.0, 0.5))
    assert real.tolist() == [[3.0, -127.0], [1.5, -63.5]]


def test_dequantize_rounds_once_to_float32() -> None:
    # 3 * 13421773 = 40265319 = 4 * 10066329.75, which 24 bits hold as 4 * 10066330.
    real = dequantize(integers(3), uint8(float(np.float32(0.1)), 0))
    assert real.tolist() == [10066330 * 2.0**-25]


@pytest.mark.parametrize(
    ("acc", "q"),
    [
        pytest.param(0, 7, id="zero is the zero point"),
        pytest.param(1, 7, id="one half rounds to even 0, before 7 is added"),
        pytest.param(3, 9, id="three halves round to even 2"),
        pytest.param(5, 9, id="five halves round to even 2"),
        pytest.param(-1, 7, id="minus one half rounds to even 0"),
        pytest.param(-3, 5, id="minus three halves round to even -2"),
        pytest.param(496, 255, id="the highest integer"),
        pytest.param(2**31 - 1, 255, id="the largest sum clamps"),
        pytest.param(-(2**31), 0, id="the smallest sum clamps"),
    ],
)
def test_requantize(acc: int, q: int) -> None:
    quantized = requantize(integers(acc), per_channel(QuantDType.INT32, 0.5), uint8(1.0, 7))
    assert quantized.dtype == np.int64
    assert quantized.tolist() == [q]


def test_requantize_channel_by_channel() -> None:
    acc = np.stack([integers(8, -8), integers(8, -8)])
    quantized = requantize(acc, per_channel(QuantDType.INT32, 1.0, 0.25), uint8(0.5, 100))
    assert quantized.tolist() == [[116, 84], [104, 96]]


def test_requantize_multiplies_with_a_float32_number() -> None:
    # float32(1 / 3) = 11184811 * 2^-25, so 3 * 2^25 becomes 3 * 11184811 and not 2^25.
    bias, output = per_channel(QuantDType.INT32, 1.0), per_channel(QuantDType.INT32, 3.0)
    assert requantize(integers(3 * 2**25), bias, output).tolist() == [33554433]


def test_one_layer_from_real_numbers_to_the_output_integer() -> None:
    # x = (1, 0), w = (1, -1/2), b = 1/2: the layer's answer is 3/2.
    source, output = uint8(0.5, 3), uint8(0.125, 100)
    weight = per_channel(QuantDType.INT8, 0.25)
    bias = bias_params(weight, 0.5)
    x_q = quantize(floats(1.0, 0.0), source)
    w_q = quantize(floats(1.0, -0.5).reshape(1, 2), weight)
    b_q = quantize(floats(0.5), bias)
    assert (x_q.tolist(), w_q.tolist(), b_q.tolist()) == ([5, 3], [[4, -2]], [4])
    acc = w_q @ (x_q - 3) + b_q
    assert acc.tolist() == [12]
    y_q = requantize(acc, bias, output)
    assert y_q.tolist() == [112]
    assert dequantize(y_q, output).tolist() == [1.5]
