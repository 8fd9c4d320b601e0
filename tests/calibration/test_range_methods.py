import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import Method, TensorStatistics, activation_params, choose_params
from eightbit.calibration.range_methods import (
    _METHODS,
    CANDIDATES,
    candidate_params,
    minmax_range,
    mse_range,
    percentile_range,
)
from eightbit.calibration.statistics import Range

MakeStatistics = Callable[..., TensorStatistics]

EVERY_METHOD = pytest.mark.parametrize("method", tuple(_METHODS))


def uniform(low: float, high: float) -> npt.NDArray[np.float64]:
    return np.linspace(low, high, 100_001)


def test_every_method_has_its_entry() -> None:
    assert set(_METHODS) == set(Method) - {Method.AUTO}
    assert set(CANDIDATES) < set(_METHODS)


def test_one_tensor_does_not_decide_what_the_answers_decide(statistics_of: MakeStatistics) -> None:
    with pytest.raises(ValueError, match="auto: expected the network's answers"):
        choose_params(statistics_of([0.25, 0.5]), Method.AUTO)


@pytest.mark.parametrize(
    ("method", "narrow"),
    [
        (Method.MINMAX_PERCENTILE, percentile_range),
        (Method.MINMAX_MSE, mse_range),
    ],
)
def test_half_way_is_the_geometric_mean_of_the_bounds(
    method: Method,
    narrow: Callable[[TensorStatistics], Range],
    statistics_of: MakeStatistics,
    gaussian: npt.NDArray[np.float64],
) -> None:
    outlier = np.append(gaussian, [-64.0, 100.0])
    observed = statistics_of(outlier)
    low, high = narrow(observed)
    assert _METHODS[method](observed) == pytest.approx(
        (-math.sqrt(64 * -low), 10 * math.sqrt(high))
    )
    positive = statistics_of(np.append(np.maximum(gaussian, 0.0), 100.0))
    low, high = _METHODS[method](positive)
    assert (low, high) == pytest.approx((0.0, 10 * math.sqrt(narrow(positive)[1])))


@EVERY_METHOD
def test_choose_params_covers_the_range_of_the_method(
    method: Method, statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    observed = statistics_of(gaussian)
    assert choose_params(observed, method) == activation_params(*_METHODS[method](observed))


def test_minmax_takes_the_extremes_that_no_sample_holds(statistics_of: MakeStatistics) -> None:
    octaves = statistics_of([0.25, 0.5]).octaves
    observed = TensorStatistics(low=-3.25, high=7.5, octaves=octaves)
    assert minmax_range(observed) == (-3.25, 7.5)


def test_moving_average_takes_the_average(statistics_of: MakeStatistics) -> None:
    octaves = statistics_of([0.25, 0.5]).octaves
    observed = TensorStatistics(low=-3.0, high=7.5, octaves=octaves, moving_average=(-1.0, 2.0))
    assert choose_params(observed, Method.MOVING_AVERAGE) == activation_params(-1.0, 2.0)


def test_moving_average_of_merged_statistics_is_refused(statistics_of: MakeStatistics) -> None:
    one = statistics_of([0.25, 0.5])
    with pytest.raises(ValueError, match="moving-average: expected the statistics of one pass"):
        choose_params(one.merge(one), Method.MOVING_AVERAGE)


@EVERY_METHOD
def test_all_other_methods_work_on_merged_statistics(
    method: Method, statistics_of: MakeStatistics
) -> None:
    one = statistics_of(uniform(-1.0, 3.0))
    if method is not Method.MOVING_AVERAGE:
        assert choose_params(one.merge(one), method) == choose_params(one, method)


def test_one_outlier_is_clipped_by_all_methods_that_look_at_counts(
    statistics_of: MakeStatistics,
) -> None:
    observed = statistics_of([*((np.arange(1000) + 0.5) / 1000), 10.0], [*[100_000] * 1000, 1])
    bounds = {method: choose(observed)[1] for method, choose in _METHODS.items()}
    assert bounds[Method.MINMAX] == bounds[Method.MOVING_AVERAGE] == 10.0
    assert bounds[Method.PERCENTILE] == pytest.approx(1.0, abs=0.002)
    for method in (Method.MSE, Method.ENTROPY, Method.WEIGHTED_MSE):
        assert bounds[method] == pytest.approx(1.0, abs=0.1)


@EVERY_METHOD
def test_after_a_relu_zero_is_the_lowest_integer(
    method: Method, statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    params = choose_params(statistics_of(np.maximum(gaussian, 0.0)), method)
    assert params.zero_point == (0,)


@EVERY_METHOD
def test_without_positives_zero_is_the_highest_integer(
    method: Method, statistics_of: MakeStatistics
) -> None:
    params = choose_params(statistics_of(uniform(-3.0, -1.0)), method)
    assert params.zero_point == (255,)
    assert params.scale[0] == pytest.approx(3.0 / 255, rel=0.02)


@EVERY_METHOD
@pytest.mark.parametrize("constant", [0.7, -0.7, 1e-20, 1e30])
def test_a_constant_is_a_range_from_zero(
    method: Method, constant: float, statistics_of: MakeStatistics
) -> None:
    exact = float(np.float32(constant))
    expected = activation_params(min(exact, 0.0), max(exact, 0.0))
    assert choose_params(statistics_of([exact] * 10), method) == expected


@EVERY_METHOD
def test_an_all_zero_tensor_gets_the_range_0_to_1(
    method: Method, statistics_of: MakeStatistics
) -> None:
    assert choose_params(statistics_of([0.0] * 10), method) == activation_params(0.0, 1.0)


@EVERY_METHOD
def test_a_narrow_range_far_from_zero_still_reaches_zero(
    method: Method, statistics_of: MakeStatistics
) -> None:
    params = choose_params(statistics_of(uniform(9.0, 10.0)), method)
    assert params.zero_point == (0,)
    assert params.scale[0] == pytest.approx(10.0 / 255, rel=0.02)


@pytest.mark.parametrize("outliers", [False, True])
def test_candidates_are_what_their_methods_choose(
    statistics_of: MakeStatistics, outliers: bool
) -> None:
    values = np.random.default_rng(0).standard_normal(20_000)
    others = {3: (8 * values[:2_000], 1)} if outliers else None
    statistics = statistics_of(values, images=9, others=others)
    candidates = candidate_params(statistics)
    assert candidates == {method: choose_params(statistics, method) for method in CANDIDATES}
    assert len({params.scale for params in candidates.values()}) >= 4
