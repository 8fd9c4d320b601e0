import math

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration.histogram import BINS_PER_SIDE, SMALLEST_EXPONENT, Histogram, exponent_of


def histogram(bins: dict[int, int], exponent: int = 1) -> Histogram:
    """Counts by bin, numbered from zero upwards and downwards."""
    counts = np.zeros(2 * BINS_PER_SIDE, dtype=np.int64)
    for index, count in bins.items():
        counts[index + BINS_PER_SIDE] = count
    return Histogram.from_grid(exponent, counts)


def occupied_bins(observed: Histogram) -> dict[int, int]:
    used = np.flatnonzero(observed.counts)
    return {int(i) + observed.first: int(observed.counts[i]) for i in used}


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
def test_coarsening_adds_neighbours_up(doublings: int, coarse: dict[int, int]) -> None:
    fine = histogram({-8192: 1, -3: 2, -1: 4, 0: 8, 1: 16, 2: 32, 8191: 64}, -100)
    coarsened = fine.coarsened(doublings - 100)
    assert occupied_bins(coarsened) == coarse
    assert coarsened == histogram(coarse, doublings - 100)


@pytest.mark.parametrize(
    ("bins", "other", "expected"),
    [
        pytest.param({3: 2}, {1: 20}, {0: 2, 1: 20}, id="side by side"),
        pytest.param({-1: 1, 3: 2}, {0: 10, 1: 20}, {-1: 1, 0: 12, 1: 20}, id="overlapping"),
        pytest.param({-8192: 1}, {8191: 2}, {-2048: 1, 8191: 2}, id="far apart"),
    ],
)
def test_merge_by_hand(
    bins: dict[int, int], other: dict[int, int], expected: dict[int, int]
) -> None:
    fine, coarse = histogram(bins, -1), histogram(other, 1)
    assert fine.merge(coarse) == coarse.merge(fine) == histogram(expected, 1)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(histogram({0: 1}, 2), id="another exponent"),
        pytest.param(histogram({1: 1}), id="another bin"),
        pytest.param(histogram({0: 2}), id="another count"),
        pytest.param(histogram({0: 1, 1: 1}), id="more bins"),
        pytest.param("histogram", id="another type"),
    ],
)
def test_histograms_differ_in_every_field(other: object) -> None:
    assert histogram({0: 1}) == histogram({0: 1})
    assert histogram({0: 1}) != other


@pytest.mark.parametrize("counts", [[], [0], [0, 1], [1, 0]], ids=str)
def test_both_ends_are_occupied(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="starts and ends with an occupied bin"):
        Histogram(exponent=0, first=0, counts=np.array(counts, dtype=np.int64))


@pytest.mark.parametrize(("first", "last"), [(-8193, -8193), (8192, 8192), (8191, 8192)])
def test_bins_lie_on_the_grid(first: int, last: int) -> None:
    counts: npt.NDArray[np.int64] = np.ones(last - first + 1, dtype=np.int64)
    with pytest.raises(ValueError, match=rf"expected bins -8192..8191, found {first}..{last}"):
        Histogram(exponent=0, first=first, counts=counts)


def test_no_element_is_no_histogram() -> None:
    with pytest.raises(ValueError, match="at least one element"):
        histogram({})


def test_counts_are_read_only_and_a_copy() -> None:
    counts = np.zeros(2 * BINS_PER_SIDE, dtype=np.int64)
    counts[BINS_PER_SIDE] = 1
    observed = Histogram.from_grid(0, counts)
    counts[BINS_PER_SIDE] = 2
    assert occupied_bins(observed) == {0: 1}
    with pytest.raises(ValueError, match="read-only"):
        observed.counts[0] = 1


def test_centres_are_those_of_the_bins_and_zero_itself() -> None:
    # 2^13 bins cover 0..2^13, so a bin is 1 wide.
    observed = histogram({-2: 3, 2: 7}, 13)
    assert observed.width == 1.0
    assert observed.centres().tolist() == [-1.5, -0.5, 0.0, 1.5, 2.5]
    assert histogram({3: 1, 4: 1}, 13).centres().tolist() == [3.5, 4.5]
    assert histogram({-3: 1}, 13).centres().tolist() == [-2.5]


def test_the_grid_survives() -> None:
    counts = np.random.default_rng(0).integers(0, 3, 2 * BINS_PER_SIDE)
    assert np.array_equal(Histogram.from_grid(0, counts).grid(), counts)
