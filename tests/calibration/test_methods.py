import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import (
    Method,
    QuantParams,
    TensorStatistics,
    activation_params,
    choose_params,
    methods,
)
from eightbit.calibration.methods import (
    _METHODS,
    minmax_range,
    mse_range,
    percentile_range,
    squared_error,
)
from eightbit.calibration.statistics import BINS_PER_SIDE, exponent_of

EVERY_METHOD = pytest.mark.parametrize("method", Method)


def statistics_of(values: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> TensorStatistics:
    """What an observer would have seen: each value as often as its count says, 1 by default."""
    x = np.asarray(values, dtype=np.float64)
    exponent = exponent_of(float(np.abs(x).max()))
    bins = np.floor(x * BINS_PER_SIDE / 2.0**exponent).astype(int) + BINS_PER_SIDE
    histogram = np.zeros(2 * BINS_PER_SIDE, dtype=np.int64)
    np.add.at(histogram, bins, np.ones_like(bins) if counts is None else np.asarray(counts))
    return TensorStatistics(
        low=float(x.min()), high=float(x.max()), exponent=exponent, counts=histogram
    )


def error_of(params: QuantParams, observed: TensorStatistics) -> float:
    return squared_error(params, *observed.occupied())


def uniform(low: float, high: float) -> npt.NDArray[np.float64]:
    return np.linspace(low, high, 100_001)


def gaussian() -> npt.NDArray[np.float64]:
    """100,000 quantiles of the standard normal distribution, out to 4.4."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((i + 0.5) / 100_000) for i in range(100_000)])


def bulk_and_outlier(count: int) -> TensorStatistics:
    """So many elements spread over 0..1, and one of them at 10."""
    values = (np.arange(1000) + 0.5) / 1000
    return statistics_of([*values, 10.0], [*[count // 1000] * 1000, 1])


def test_every_method_has_its_entry() -> None:
    assert set(_METHODS) == set(Method)


@EVERY_METHOD
def test_choose_params_covers_the_range_of_the_method(method: Method) -> None:
    observed = statistics_of(gaussian())
    assert choose_params(observed, method) == activation_params(*_METHODS[method](observed))


def test_minmax_takes_the_extremes_that_no_sample_holds() -> None:
    counts = statistics_of([0.25, 0.5]).counts
    observed = TensorStatistics(low=-3.25, high=7.5, exponent=0, counts=counts.copy())
    assert minmax_range(observed) == (-3.25, 7.5)


@pytest.mark.parametrize(
    ("end", "bound"),
    [
        pytest.param((20, 30, 250), 4997.5, id="fifty of a million stay outside"),
        pytest.param((20, 31, 249), 4998.5, id="the fifty-first does not"),
        pytest.param((51, 0, 249), 4999.5, id="nor the first if it is as frequent"),
    ],
)
def test_percentile_leaves_one_of_20000_outside_at_either_end(
    end: tuple[int, int, int], bound: float
) -> None:
    # Bins are one wide, and the values are their centres.
    values = np.arange(-5000, 5000) + 0.5
    counts = np.array([*end, *[100] * 9994, *end[::-1]])
    assert counts.sum() == 1_000_000
    assert percentile_range(statistics_of(values, counts)) == (-bound, bound)


def test_percentile_of_few_elements_is_all_of_them() -> None:
    observed = statistics_of(np.arange(-100, 100) + 0.5)
    low, high = percentile_range(observed)
    assert low == pytest.approx(-99.5, abs=observed.bin_width / 2)
    assert high == pytest.approx(99.5, abs=observed.bin_width / 2)


def test_percentile_range_lies_between_the_extremes() -> None:
    observed = statistics_of(gaussian())
    low, high = percentile_range(observed)
    assert observed.low < low < 0 < high < observed.high
    # Five of the 100,000 quantiles lie outside; the next is the one at 5.5e-5.
    tail = NormalDist().inv_cdf(5.5e-5)
    assert low == pytest.approx(tail, abs=observed.bin_width / 2)
    assert high == pytest.approx(-tail, abs=observed.bin_width / 2)


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (-1.0, 0.0), (-0.25, 3.0)], ids=str)
def test_mse_keeps_the_range_of_a_uniform_distribution(bounds: tuple[float, float]) -> None:
    # Shrinking a width W by d saves d * W / (6 * 255^2) and costs about d^3 / (3 * W) at one end,
    # so the best d is W / (255 * sqrt(2)): 0.3 % of the width, less than the finest step.
    full = bounds[1] - bounds[0]
    low, high = mse_range(statistics_of(uniform(*bounds)))
    assert bounds[0] <= low <= bounds[0] + 0.011 * full
    assert bounds[1] - 0.011 * full <= high <= bounds[1]


def gaussian_error(clip: float) -> float:
    """Expected squared error of 256 levels over -clip..clip for a standard normal variable."""
    beyond = math.erfc(clip / math.sqrt(2)) / 2
    density = math.exp(-clip * clip / 2) / math.sqrt(2 * math.pi)
    clipping = 2 * ((1 + clip * clip) * beyond - clip * density)
    rounding = (2 * clip / 255) ** 2 / 12 * (1 - 2 * beyond)
    return clipping + rounding


def test_mse_clips_a_gaussian_where_brute_force_does() -> None:
    clips = np.arange(2.0, 6.0, 0.001)
    errors = [gaussian_error(float(clip)) for clip in clips]
    best = float(clips[int(np.argmin(errors))])
    assert 3.8 < best < 4.3
    observed = statistics_of(gaussian())
    low, high = mse_range(observed)
    # Two steps of the finest grid, 1 % of 4.4: one for the grid, one for the discrete sample.
    assert -low == pytest.approx(best, abs=0.09)
    assert high == pytest.approx(best, abs=0.09)


def test_mse_of_a_gaussian_is_as_good_as_brute_force_on_the_same_sample() -> None:
    observed = statistics_of(gaussian())
    clips = np.arange(3.0, observed.high, 0.005)
    least = min(error_of(activation_params(-clip, clip), observed) for clip in clips)
    # The error is flat around its minimum: half a fine step away costs less than 0.5 %.
    assert error_of(choose_params(observed, Method.MSE), observed) <= least * 1.005


def test_mse_of_an_outlier_weighs_clipping_against_rounding() -> None:
    # (10 - a)^2 / n + (a / 255)^2 / 12 is least at a = 10 / (1 + n / 780,300).
    _, high = mse_range(bulk_and_outlier(1_000_000))
    assert high == pytest.approx(10 / (1 + 1_000_000 / 780_300), abs=0.1)


def test_one_outlier_is_clipped_by_all_but_minmax() -> None:
    observed = bulk_and_outlier(100_000_000)
    bounds = {method: _METHODS[method](observed) for method in Method}
    assert bounds[Method.MINMAX][1] == 10.0
    assert bounds[Method.PERCENTILE][1] == pytest.approx(1.0, abs=0.002)
    assert bounds[Method.MSE][1] == pytest.approx(1.0, abs=0.1)


def test_mse_finds_outliers_on_both_sides() -> None:
    values = [*uniform(-1.0, 2.0), -10.0, 20.0]
    counts = [*[10_000] * 100_001, 1, 1]
    low, high = mse_range(statistics_of(values, counts))
    assert low == pytest.approx(-1.0, abs=0.1)
    assert high == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("side", [1, -1], ids=["as it is", "mirrored"])
@pytest.mark.parametrize(
    ("bulk", "outliers", "count", "gain"),
    [
        # The coarse grid of the second round has nothing as good as the first round's best.
        pytest.param((-1.0, 1.0), (-1.3, 3.3), 10_000, 1.0, id="first bound already found"),
        pytest.param((-0.3, 1.0), (-0.7, 1.8), 10_000, 1.0, id="second bound already found"),
        # The first bound is best chosen anew once the second is known.
        pytest.param((-0.3, 1.0), (-3.0, 1.7), 1000, 1.02, id="found later"),
    ],
)
def test_further_rounds_of_the_mse_search_never_lose_and_sometimes_gain(
    bulk: tuple[float, float],
    outliers: tuple[float, float],
    count: int,
    gain: float,
    side: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = side * np.array([*np.linspace(*bulk, 1001), *outliers])
    observed = statistics_of(values, [*[count] * 1001, 1, 1])
    errors = [error_of(choose_params(observed, Method.MSE), observed)]
    for rounds in (2, 1):
        monkeypatch.setattr(methods, "_ROUNDS", rounds)
        errors.append(error_of(choose_params(observed, Method.MSE), observed))
    assert errors == sorted(errors)
    if side == 1:
        assert errors[-1] >= gain * errors[0]


def test_squared_error_by_hand() -> None:
    # Steps of one: 0.25 is off by 0.25 (twice), 3 is exact, 300 is clamped to 255.
    values, counts = np.array([0.25, 3.0, 300.0]), np.array([2.0, 1.0, 1.0])
    error = squared_error(activation_params(0.0, 255.0), values, counts)
    assert error == (2 * 0.25**2 + 0.0 + 45.0**2) / 4


@EVERY_METHOD
def test_after_a_relu_zero_is_the_lowest_integer(method: Method) -> None:
    params = choose_params(statistics_of(np.maximum(gaussian(), 0.0)), method)
    assert params.zero_point == (0,)


@EVERY_METHOD
def test_without_positives_zero_is_the_highest_integer(method: Method) -> None:
    params = choose_params(statistics_of(uniform(-3.0, -1.0)), method)
    assert params.zero_point == (255,)
    assert params.scale[0] == pytest.approx(3.0 / 255, rel=0.02)


@EVERY_METHOD
@pytest.mark.parametrize("constant", [0.7, -0.7, 1e-20, 1e30])
def test_a_constant_is_a_range_from_zero(method: Method, constant: float) -> None:
    exact = float(np.float32(constant))
    expected = activation_params(min(exact, 0.0), max(exact, 0.0))
    assert choose_params(statistics_of([exact] * 10), method) == expected


@EVERY_METHOD
def test_an_all_zero_tensor_gets_the_range_0_to_1(method: Method) -> None:
    assert choose_params(statistics_of([0.0] * 10), method) == activation_params(0.0, 1.0)


@EVERY_METHOD
def test_a_narrow_range_far_from_zero_still_reaches_zero(method: Method) -> None:
    params = choose_params(statistics_of(uniform(9.0, 10.0)), method)
    assert params.zero_point == (0,)
    assert params.scale[0] == pytest.approx(10.0 / 255, rel=0.02)
