import numpy as np
import pytest

from eightbit.calibration import (
    CalibrationResult,
    Converged,
    Method,
    QuantParams,
    activation_params,
    largest_change,
)
from eightbit.calibration.convergence import Watched, images_per_look, watched_method
from eightbit.calibration.histogram import Histogram, exponent_of
from eightbit.calibration.statistics import OctaveStatistics, TensorStatistics


def params(low: float, high: float) -> QuantParams:
    return activation_params(low, high)


def seen(images: int, **highs: float) -> CalibrationResult:
    """So many images whose tensors reach from zero to the given values."""
    histogram = Histogram(exponent=exponent_of(99.0), first=0, counts=np.array([1]))
    octaves = {0: OctaveStatistics(images=images, histogram=histogram)}
    return CalibrationResult(
        tensors={
            name: TensorStatistics(low=0.0, high=high, octaves=octaves)
            for name, high in highs.items()
        },
        digests=tuple(bytes([i]) for i in range(images)),
        threads=1,
    )


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        pytest.param((0.0, 1.0), (0.0, 1.0), 0.0, id="none"),
        pytest.param((0.0, 1.0), (0.0, 1.5), 0.5, id="half as much again"),
        pytest.param((0.0, 1.0), (0.0, 0.5), 0.5, id="half"),
        pytest.param((-1.0, 1.0), (-2.0, 2.0), 1.0, id="both bounds add up"),
        pytest.param((-1.0, 3.0), (-2.0, 2.0), 0.5, id="a shift counts twice"),
    ],
)
def test_change_by_hand(
    before: tuple[float, float], after: tuple[float, float], change: float
) -> None:
    name, found = largest_change({"conv1": params(*before)}, {"conv1": params(*after)})
    assert name == "conv1"
    # Zero points are whole: a bound moves by up to half a step of 255.
    assert found == pytest.approx(change, abs=2 / 255)


def test_the_tensor_that_moves_most_is_named() -> None:
    before = {name: params(0.0, 1.0) for name in ("a", "b", "c")}
    after = {"a": params(0.0, 1.1), "b": params(0.0, 0.8), "c": params(0.0, 1.0)}
    assert largest_change(before, after) == ("b", pytest.approx(0.2))


@pytest.mark.parametrize("after", [{}, {"b": params(0.0, 1.0)}], ids=["none", "another"])
def test_other_tensors_are_refused(after: dict[str, QuantParams]) -> None:
    with pytest.raises(ValueError, match="expected the same tensors twice"):
        largest_change({"a": params(0.0, 1.0)}, after)
    with pytest.raises(ValueError, match="expected the same tensors twice"):
        largest_change({}, {})


def test_it_stops_after_two_quiet_checkpoints() -> None:
    rule = Converged(Method.MINMAX)
    assert [rule(seen(32 * i + 32, a=1.0, b=2.0)) for i in range(2)] == [False, False]
    assert rule.change == ("a", 0.0)
    assert not rule.settled
    assert rule(seen(96, a=1.0, b=2.0))
    assert rule.settled
    assert rule.curve == [(64, ("a", 0.0)), (96, ("a", 0.0))]


def test_a_range_that_moves_starts_the_count_again() -> None:
    rule = Converged(Method.MINMAX, tolerance=0.1)
    highs = [1.0, 1.0, 1.2, 1.25, 1.3, 9.0]
    assert [rule(seen(1, a=1.0, b=high)) for high in highs] == [False] * 4 + [True, False]
    assert rule.change == ("b", pytest.approx(7.7 / 1.3))


def test_who_only_watches_stops_nothing() -> None:
    watching = Watched(Method.MINMAX)
    assert [watching(seen(32 * i + 32, a=1.0)) for i in range(5)] == [False] * 5
    assert watching.curve == [(images, ("a", 0.0)) for images in (64, 96, 128, 160)]
    watching(seen(192, a=1.5))
    assert watching.change == ("a", pytest.approx(0.5, abs=2 / 255))


@pytest.mark.parametrize(
    ("samples", "every"), [(1, 32), (32, 32), (128, 32), (129, 64), (512, 128), (1000, 256)]
)
def test_a_fixed_number_of_images_is_looked_at_about_four_times(samples: int, every: int) -> None:
    assert images_per_look(samples) == every


@pytest.mark.parametrize("method", list(Method))
def test_only_quick_methods_are_watched_themselves(method: Method) -> None:
    is_quick = method in (Method.MINMAX, Method.MOVING_AVERAGE, Method.PERCENTILE)
    assert watched_method(method) is (method if is_quick else Method.PERCENTILE)


def test_the_largest_number_of_images_ends_it_unsettled() -> None:
    rule = Converged(Method.MINMAX, max_images=64)
    assert [rule(seen(32 * i, a=2.0**i)) for i in (1, 2)] == [False, True]
    assert not rule.settled


@pytest.mark.parametrize("limits", [{"tolerance": 0.0}, {"checkpoints": 0}, {"max_images": 0}])
def test_limits_are_positive(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="expected positive limits"):
        Converged(Method.MINMAX, **limits)
