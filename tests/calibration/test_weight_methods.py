"""Weight ranges: the least squared error, above the floor."""

import numpy as np
import pytest

from eightbit.calibration import (
    QuantParams,
    WeightMethod,
    bias_params,
    choose_weight_params,
    dequantize,
    quantize,
)
from eightbit.calibration.qparams import DoubleArray, FloatArray, weight_params

NO_BIAS = np.zeros(8, dtype=np.float32)


def weights(taps: int, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    spread = rng.uniform(1e-4, 10, (8, 1, 1, 1))
    return (spread * rng.standard_normal((8, taps, 3, 3))).astype(np.float32)


def squared_errors(weight: FloatArray, params: QuantParams) -> DoubleArray:
    error = dequantize(quantize(weight, params), params).astype(np.float64) - weight
    return np.square(error).reshape(len(weight), -1).sum(axis=1)


def test_minmax_is_the_contract_itself() -> None:
    weight = weights(16)
    params = choose_weight_params(weight, NO_BIAS, 0.02, WeightMethod.MINMAX)
    assert params == weight_params(weight, NO_BIAS, 0.02)


@pytest.mark.parametrize("taps", [3, 64, 512])
def test_mse_leaves_no_channel_a_larger_error_than_minmax_and_some_a_smaller(taps: int) -> None:
    weight = weights(taps)
    least = squared_errors(weight, choose_weight_params(weight, NO_BIAS, 0.02, WeightMethod.MSE))
    plain = squared_errors(weight, choose_weight_params(weight, NO_BIAS, 0.02, WeightMethod.MINMAX))
    assert (least <= plain * (1 + 1e-6)).all()
    assert least.sum() < 0.99 * plain.sum()


def test_no_finer_search_finds_a_range_that_is_much_better() -> None:
    weight = weights(512)
    params = choose_weight_params(weight, NO_BIAS, 0.02, WeightMethod.MSE)
    found = squared_errors(weight, params)
    largest = np.abs(weight).reshape(8, -1).max(axis=1)
    for shrink in np.linspace(1.0, 0.3, 141):
        scale = tuple(float(s) for s in (largest * shrink / 127).astype(np.float32))
        other = squared_errors(weight, params.model_copy(update={"scale": scale}))
        assert (found < 1.03 * other).all(), shrink


@pytest.mark.parametrize("method", WeightMethod)
def test_a_large_bias_raises_the_scale_and_no_higher(method: WeightMethod) -> None:
    bias = np.full(8, 3e5, dtype=np.float32)
    params = choose_weight_params(weights(16), bias, 1e-4, method)
    integers = quantize(bias, bias_params(params, 1e-4))
    free = choose_weight_params(weights(16), NO_BIAS, 1e-4, method)
    raised = np.array(params.scale) > np.array(free.scale)
    assert raised.any()
    assert (np.array(params.scale)[~raised] == np.array(free.scale)[~raised]).all()
    assert (integers[raised] >= 2**30 * (1 - 1e-6)).all()
    assert integers.max() <= 2**30


@pytest.mark.parametrize("method", WeightMethod)
def test_a_dead_channel_and_a_tiny_one_have_a_scale(method: WeightMethod) -> None:
    weight = weights(16)
    weight[2] = 0
    weight[3] = np.float32(1e-44)
    scales = choose_weight_params(weight, NO_BIAS, 0.02, method).scale
    assert scales[2] == scales[3] == 2.0**-60


@pytest.mark.parametrize("method", WeightMethod)
def test_a_weight_that_is_not_finite_is_refused(method: WeightMethod) -> None:
    weight = weights(16)
    weight[1, 2, 0, 0] = np.nan
    with pytest.raises(ValueError, match="expected finite weights"):
        choose_weight_params(weight, NO_BIAS, 0.02, method)
