from collections.abc import Callable
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import TensorStatistics
from eightbit.calibration.entropy import _divergences, entropy_range
from eightbit.calibration.histogram import Histogram

MakeStatistics = Callable[..., TensorStatistics]


def divergence_by_definition(histogram: Histogram, low: int, high: int) -> float:
    """KL(P || Q) of the range that covers the bins ``low <= bin < high``, bin by bin."""
    counts = dict(enumerate(histogram.counts.tolist(), start=histogram.first)) | {0: 0}
    inside = range(max(low, histogram.first), min(high, histogram.first + len(histogram.counts)))
    p = {b: counts[b] for b in inside}
    p[inside[0]] += sum(c for b, c in counts.items() if b < inside[0])
    p[inside[-1]] += sum(c for b, c in counts.items() if b > inside[-1])
    edges = np.floor(np.linspace(low, high, 257) + 0.5).astype(int)
    q = dict.fromkeys(inside, 0.0)
    for start, end in pairwise(edges):
        level = [b for b in inside if start <= b < end]
        occupied = [b for b in level if p[b]]
        for b in occupied:
            q[b] = sum(counts[b] for b in level) / len(occupied)
    total, kept = sum(p.values()), sum(q.values())
    return sum(
        c / total * np.log((c / total) / (q[b] / kept)) if q[b] else np.inf
        for b, c in p.items()
        if c
    )


@pytest.mark.parametrize("low", [-700, -512, 0])
@pytest.mark.parametrize("high", [512, 700, 1500])
def test_the_divergence_is_that_of_its_definition(low: int, high: int) -> None:
    rng = np.random.default_rng(high)
    # Empty bins in the tails, a gap, and more zeros than anything else; bins are one wide.
    counts = rng.poisson(40 * np.exp(-np.abs(np.arange(-600, 1200)) / 300))
    counts[400:420], counts[600], counts[-1], counts[0] = 0, 9999, 1, 1
    histogram = Histogram(exponent=13, first=-600, counts=counts)
    found = _divergences(histogram, np.array([low], float), np.array([high], float))
    expected = divergence_by_definition(histogram, low, high)
    assert 0.0 < expected < np.inf
    assert float(found[0]) == pytest.approx(expected, rel=1e-9)


def test_a_level_that_only_the_clipped_would_fill_is_no_range() -> None:
    counts = np.zeros(2000, dtype=np.int64)
    counts[:300], counts[-1] = 5, 1
    histogram = Histogram(exponent=13, first=1, counts=counts)
    found = _divergences(histogram, np.zeros(2), np.array([1000.0, 2001.0]))
    assert found[0] == np.inf
    assert found[1] < np.inf


def test_a_uniform_distribution_keeps_its_range(statistics_of: MakeStatistics) -> None:
    low, high = entropy_range(statistics_of(np.linspace(-1.0, 3.0, 100_001)))
    assert low == -1.0
    assert high == pytest.approx(3.0, rel=0.02)


def test_a_far_tail_is_clipped_on_both_sides(
    statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    low, high = entropy_range(statistics_of([*gaussian, -40.0, 30.0]))
    assert -12.0 < low < -2.0
    assert 2.0 < high < 12.0


def test_zeros_do_not_matter(
    statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    x = np.abs(gaussian) + 0.01
    assert entropy_range(statistics_of([*x, *[0.0] * 900_000])) == entropy_range(statistics_of(x))
