from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import TensorStatistics
from eightbit.calibration.range_methods import percentile_range

MakeStatistics = Callable[..., TensorStatistics]


@pytest.mark.parametrize(
    ("end", "bound"),
    [
        pytest.param((20, 30, 250), 4997.5, id="fifty of a million stay outside"),
        pytest.param((20, 31, 249), 4998.5, id="the fifty-first does not"),
        pytest.param((51, 0, 249), 4999.5, id="nor the first if it is as frequent"),
    ],
)
def test_percentile_leaves_one_of_20000_outside_at_either_end(
    end: tuple[int, int, int], bound: float, statistics_of: MakeStatistics
) -> None:
    # Bins are one wide, and the values are their centres.
    values = np.arange(-5000, 5000) + 0.5
    counts = np.array([*end, *[100] * 9994, *end[::-1]])
    assert counts.sum() == 1_000_000
    assert percentile_range(statistics_of(values, counts)) == (-bound, bound)


def test_percentile_of_few_elements_is_all_of_them(statistics_of: MakeStatistics) -> None:
    observed = statistics_of(np.arange(-100, 100) + 0.5)
    low, high = percentile_range(observed)
    assert low == pytest.approx(-99.5, abs=observed.histogram.width / 2)
    assert high == pytest.approx(99.5, abs=observed.histogram.width / 2)


def test_percentile_range_lies_between_the_extremes(
    statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    observed = statistics_of(gaussian)
    low, high = percentile_range(observed)
    assert observed.low < low < 0 < high < observed.high
    # Five of the 100,000 quantiles lie outside; the next is the one at 5.5e-5.
    tail = NormalDist().inv_cdf(5.5e-5)
    assert low == pytest.approx(tail, abs=observed.histogram.width / 2)
    assert high == pytest.approx(-tail, abs=observed.histogram.width / 2)


def test_every_image_counts_the_same(statistics_of: MakeStatistics) -> None:
    both = statistics_of([1.0] * 40_000, others={5: ([50.0] * 3, 1)})
    assert percentile_range(both)[1] == 50.0
    assert percentile_range(statistics_of([1.0] * 80_000, others={5: ([50.0] * 3, 1)}))[1] < 1.01
