import math

import numpy as np
import pytest

from eightbit.calibration import TensorStatistics
from eightbit.calibration.histogram import Histogram
from eightbit.calibration.statistics import OctaveStatistics, Range


def octave(counts: list[int], *, first: int = 0, exponent: int = 13, images: int = 1):
    """Bins one wide, unless said otherwise."""
    histogram = Histogram(exponent=exponent, first=first, counts=np.array(counts, dtype=np.int64))
    return OctaveStatistics(images=images, histogram=histogram)


def statistics(
    octaves: dict[int, OctaveStatistics],
    *,
    low: float = -100.0,
    high: float = 100.0,
    average: Range | None = None,
) -> TensorStatistics:
    return TensorStatistics(low=low, high=high, octaves=octaves, moving_average=average)


def test_merge_by_hand() -> None:
    first = statistics({0: octave([1, 2]), 5: octave([4], images=3)}, low=-0.1, high=0.4)
    second = statistics({5: octave([8], first=2), 3: octave([16])}, low=0.2, high=1.5)
    expected = statistics(
        {0: octave([1, 2]), 3: octave([16]), 5: octave([4, 0, 8], images=4)}, low=-0.1, high=1.5
    )
    assert first.merge(second) == second.merge(first) == expected
    assert list(second.merge(first).octaves) == [0, 3, 5]


def test_a_merge_has_no_moving_average() -> None:
    one = statistics({0: octave([1])}, average=(0.0, 1.0))
    assert one.merge(one).moving_average is None


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(statistics({0: octave([1])}, low=-0.5), id="another minimum"),
        pytest.param(statistics({0: octave([1])}, high=0.5), id="another maximum"),
        pytest.param(statistics({1: octave([1])}), id="another octave"),
        pytest.param(statistics({0: octave([1]), 1: octave([1])}), id="more octaves"),
        pytest.param(statistics({0: octave([1], images=2)}), id="another number of images"),
        pytest.param(statistics({0: octave([2])}), id="another histogram"),
        pytest.param("statistics", id="another type"),
    ],
)
def test_statistics_differ_in_every_field(other: object) -> None:
    assert statistics({0: octave([1])}) == statistics({0: octave([1])})
    assert statistics({0: octave([1])}) != other


def test_the_order_of_the_images_is_not_compared() -> None:
    assert statistics({0: octave([1])}) == statistics({0: octave([1])}, average=(0.0, 1.0))


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
        statistics({0: octave([1])}, low=low, high=high)


def test_statistics_of_no_octave_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one octave"):
        statistics({})


def test_the_histogram_of_all_images_is_on_the_coarsest_grid() -> None:
    observed = statistics({0: octave([1, 2, 4]), 1: octave([8], exponent=14)})
    assert observed.histogram == octave([11, 4], exponent=14).histogram
    assert observed.images == {0: 1, 1: 1}


def test_elements_by_hand() -> None:
    observed = statistics({0: octave([3, 0, 5], first=-2), 1: octave([7], first=4, exponent=14)})
    values, counts = observed.elements()
    assert values.tolist() == [-1.5, 0.0, 9.0]
    assert counts.tolist() == [3.0, 5.0, 7.0]
    assert observed.elements({0: 1.0, 1: 0.25})[1].tolist() == [3.0, 5.0, 1.75]


def test_elements_stay_between_the_extremes() -> None:
    bins = {0: octave([1, 0, 1, 0, 0, 0, 1], first=-2)}
    values, _ = statistics(bins, low=-1.25, high=4.125).elements()
    assert values.tolist() == [-1.25, 0.0, 4.125]
    values, _ = statistics({0: octave([1])}, low=0.75, high=0.75).elements()
    assert values.tolist() == [0.75]
