import math

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import TensorStatistics
from eightbit.calibration.statistics import (
    BINS_PER_SIDE,
    SMALLEST_EXPONENT,
    coarsen,
    exponent_of,
)


def counts_at(bins: dict[int, int]) -> npt.NDArray[np.int64]:
    """Counts by bin, numbered from zero upwards and downwards."""
    counts = np.zeros(2 * BINS_PER_SIDE, dtype=np.int64)
    for index, count in bins.items():
        counts[index + BINS_PER_SIDE] = count
    return counts


def occupied_bins(counts: npt.NDArray[np.int64]) -> dict[int, int]:
    return {int(i) - BINS_PER_SIDE: int(counts[i]) for i in np.flatnonzero(counts)}


def statistics(
    bins: dict[int, int], *, low: float = -1.0, high: float = 1.0, exponent: int = 1
) -> TensorStatistics:
    return TensorStatistics(low=low, high=high, exponent=exponent, counts=counts_at(bins))


@pytest.mark.parametrize(
    ("largest", "exponent"),
    [
        pytest.param(0.0, SMALLEST_EXPONENT, id="zero gives way to any other"),
        pytest.param(2.0**-149, SMALLEST_EXPONENT, id="a denormal is as good as zero"),
        pytest.param(2.0**-100, -99, id="just above the smallest"),
        pytest.param(0.75, 0, id="three quarters lie under one"),
        pytest.param(1.0, 1, id="a power of two lies under the next"),
        pytest.param(math.nextafter(1.0, 0.0), 0, id="just under a power of two"),
        pytest.param(float(np.finfo(np.float32).max), 128, id="the largest float32"),
    ],
)
def test_exponent_of(largest: float, exponent: int) -> None:
    assert exponent_of(largest) == exponent


@pytest.mark.parametrize(
    ("doublings", "coarse"),
    [
        pytest.param(0, {-8192: 1, -3: 2, -1: 4, 0: 8, 1: 16, 2: 32, 8191: 64}, id="none"),
        pytest.param(1, {-4096: 1, -2: 2, -1: 4, 0: 24, 1: 32, 4095: 64}, id="one"),
        pytest.param(2, {-2048: 1, -1: 6, 0: 56, 2047: 64}, id="two"),
        pytest.param(14, {-1: 7, 0: 120}, id="all that the grid has"),
        pytest.param(228, {-1: 7, 0: 120}, id="from the smallest to the largest exponent"),
    ],
)
def test_coarsen_adds_neighbours_up(doublings: int, coarse: dict[int, int]) -> None:
    counts = counts_at({-8192: 1, -3: 2, -1: 4, 0: 8, 1: 16, 2: 32, 8191: 64})
    assert occupied_bins(coarsen(counts, doublings)) == coarse


def test_merge_by_hand() -> None:
    fine = statistics({-1: 1, 3: 2}, low=-0.1, high=0.4, exponent=-1)
    coarse = statistics({0: 10, 1: 20}, low=0.2, high=1.5, exponent=1)
    expected = statistics({-1: 1, 0: 12, 1: 20}, low=-0.1, high=1.5, exponent=1)
    assert fine.merge(coarse) == expected
    assert coarse.merge(fine) == expected


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(statistics({0: 1}, low=-0.5), id="another minimum"),
        pytest.param(statistics({0: 1}, high=0.5), id="another maximum"),
        pytest.param(statistics({0: 1}, exponent=2), id="another exponent"),
        pytest.param(statistics({1: 1}), id="another bin"),
        pytest.param(statistics({0: 2}), id="another count"),
        pytest.param("statistics", id="another type"),
    ],
)
def test_statistics_differ_in_every_field(other: object) -> None:
    assert statistics({0: 1}) == statistics({0: 1})
    assert statistics({0: 1}) != other


@pytest.mark.parametrize(
    ("low", "high"),
    [
        pytest.param(math.nan, 1.0, id="low is NaN"),
        pytest.param(0.0, math.inf, id="high is infinite"),
        pytest.param(1.0, 0.0, id="low is above high"),
    ],
)
def test_extremes_are_finite_and_in_order(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="expected finite low <= high"):
        statistics({}, low=low, high=high)


def test_the_number_of_bins_is_fixed() -> None:
    with pytest.raises(ValueError, match=r"expected 16384 bins, found shape \(5,\)"):
        TensorStatistics(low=0.0, high=1.0, exponent=1, counts=np.zeros(5, dtype=np.int64))


def test_counts_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        statistics({}).counts[0] = 1


def test_occupied_gives_centres_and_zero_itself() -> None:
    # 2^13 bins cover 0..2^13, so a bin is 1 wide.
    observed = statistics({-2: 3, 0: 5, 4: 7}, low=-100.0, high=100.0, exponent=13)
    assert observed.bin_width == 1.0
    values, counts = observed.occupied()
    assert values.tolist() == [-1.5, 0.0, 4.5]
    assert counts.tolist() == [3.0, 5.0, 7.0]


def test_occupied_stays_between_the_extremes() -> None:
    values, _ = statistics({-2: 1, 0: 1, 4: 1}, low=-1.25, high=4.125, exponent=13).occupied()
    assert values.tolist() == [-1.25, 0.0, 4.125]
    values, _ = statistics({0: 1}, low=0.75, high=0.75, exponent=13).occupied()
    assert values.tolist() == [0.75]
