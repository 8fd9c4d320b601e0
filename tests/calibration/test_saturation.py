"""By how much a scale is raised so that no pair of weights saturates."""

import numpy as np
import pytest

from eightbit.calibration.qparams import DoubleArray, weight_params
from eightbit.calibration.saturation import (
    PAIR_LIMIT,
    channels_at_risk,
    protect_scale,
    protecting_factor,
    quantize_protected,
)


def test_one_pair_by_hand() -> None:
    # In units of the scale 127 and 127, a sum of 254: with K = 2 weights the error is
    # 2 f^2 / 12 + (254 - 128 f)^2 / 2, least at f = 128 * 254 / (2 / 6 + 128^2).
    weight = np.ones((1, 2), np.float32)
    params = weight_params(weight, np.zeros(1, np.float32), 1.0)
    assert protecting_factor(weight, params)[0] == pytest.approx(32512 / (1 / 3 + 16384), rel=1e-6)
    assert quantize_protected(weight, params).tolist() == [[64, 64]]


def test_nothing_is_raised_where_nothing_meets() -> None:
    # One of each pair is zero, or the signs differ.
    weight = np.float32([[1.0, 0.0, 0.3, -0.9], [0.25, 0.25, 0.0, 1.0]])
    params = weight_params(weight, np.zeros(2, np.float32), 1.0)
    assert protecting_factor(weight, params).tolist() == [1.0, 1.0]
    assert protect_scale(weight, params) == params
    assert quantize_protected(weight, params).tolist() == [[127, 0, 38, -114], [32, 32, 0, 127]]


def model_error(sums: DoubleArray, taps: int, factor: float) -> float:
    excess = np.maximum(0.0, np.abs(sums) - PAIR_LIMIT * factor)
    return taps * factor**2 / 12 + float((excess**2).sum()) / 2


@pytest.mark.parametrize("shape", [(6, 8, 3, 3), (6, 3, 3, 3), (6, 64), (6, 6, 1, 1)])
def test_the_factor_is_where_the_error_is_least(shape: tuple[int, ...]) -> None:
    weight = np.random.default_rng(3).standard_t(3, shape).astype(np.float32)
    params = weight_params(weight, np.zeros(6, np.float32), 1.0)
    real = weight / params.broadcast(weight.ndim)[0]
    rows = real.reshape(6, shape[1], -1)
    even = shape[1] - shape[1] % 2
    pairs = [(rows[:, 0:even:2] + rows[:, 1:even:2]).reshape(6, -1)]
    if shape[1] % 2:
        flat = rows.swapaxes(1, 2).reshape(6, -1)
        last = flat.shape[1] - flat.shape[1] % 2
        pairs.append(flat[:, 0:last:2] + flat[:, 1:last:2])
    sums = np.concatenate(pairs, axis=1)
    grid = np.linspace(1.0, 2.0, 2001)
    found = protecting_factor(weight, params)
    assert found.max() > 1.05
    for channel, factor in enumerate(found):
        errors = [model_error(sums[channel], weight[0].size, one) for one in grid]
        assert model_error(sums[channel], weight[0].size, factor) <= min(errors) * (1 + 1e-9)


def test_what_is_protected_is_at_no_risk() -> None:
    weight = np.random.default_rng(4).standard_t(2, (32, 3, 5, 5)).astype(np.float32)
    params = weight_params(weight, np.zeros(32, np.float32), 1.0)
    assert channels_at_risk(quantize_protected(weight, protect_scale(weight, params))).sum() == 0
