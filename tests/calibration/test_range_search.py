"""The fast search against an exhaustive one with the contract's own arithmetic."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import TensorStatistics, activation_params
from eightbit.calibration.range_methods import percentile_range
from eightbit.calibration.range_search import least_error_range
from eightbit.calibration.squared_error import squared_error

MakeStatistics = Callable[..., TensorStatistics]
Values = npt.NDArray[np.float64]

ELEMENTS = 50_000


def _draws() -> dict[str, Values]:
    rng = np.random.default_rng(0)
    normal, laplace = rng.standard_normal(ELEMENTS), rng.laplace(size=ELEMENTS)
    return {
        "normal": normal,
        "laplace": laplace,
        "uniform": rng.uniform(-1.0, 3.0, ELEMENTS),
        "uniform far from zero": rng.uniform(9.0, 10.0, ELEMENTS),
        "after a ReLU": np.maximum(normal, 0.0),
        "laplace after a ReLU": np.maximum(laplace - 0.5, 0.0),
        "nothing positive": -np.abs(normal),
        "mostly zeros": np.where(rng.random(ELEMENTS) < 0.99, 0.0, normal),
        "two peaks": np.where(rng.random(ELEMENTS) < 0.5, normal / 10 - 5, normal / 10 + 3),
        "heavy tails": rng.standard_t(3, ELEMENTS),
        "a few outliers": np.array([*normal, *(60 * normal[:5])]),
        "outliers after a ReLU": np.array([*np.abs(normal), 250.0, 250.0]),
        "five values": rng.integers(0, 5, ELEMENTS).astype(float),
        "values on both sides": rng.choice([-1.0, 0.0, 0.3, 2.5], ELEMENTS),
        "normalised pixels": rng.integers(0, 256, ELEMENTS) / 255 / 0.225 - 2.0,
    }


DRAWS = _draws()


def error_of(observed: TensorStatistics, bounds: tuple[float, float]) -> float:
    return squared_error(activation_params(*bounds), *observed.elements())


def exhaustive(observed: TensorStatistics) -> float:
    """The least error on a grid of factors down to 1/64, then ever more closely around it."""
    full = min(observed.low, 0.0), max(observed.high, 0.0)
    steps = [np.exp2(-np.arange(0, 6.25, 0.5))]
    steps += [np.exp2(np.linspace(-width, width, 7)) for width in (0.5, 0.17, 0.06, 0.02, 0.006)]
    best, error = full, error_of(observed, full)
    for factors in steps:
        centre = best
        for low in np.unique(np.maximum(centre[0] * factors, full[0])):
            for high in np.unique(np.minimum(centre[1] * factors, full[1])):
                if (tried := error_of(observed, (low, high))) < error:
                    best, error = (low, high), tried
    return error


@pytest.mark.parametrize("name", DRAWS)
def test_the_search_finds_what_an_exhaustive_one_finds(
    name: str, statistics_of: MakeStatistics
) -> None:
    observed = statistics_of(DRAWS[name])
    candidates = [(observed.low, observed.high), percentile_range(observed)]
    found = least_error_range(observed, {0: 1.0}, candidates)
    assert error_of(observed, found) <= 1.02 * exhaustive(observed)


def test_it_is_never_worse_than_a_candidate(statistics_of: MakeStatistics) -> None:
    # Three values on the grid of exactly this range, which no smooth model knows of.
    observed = statistics_of([0.125, 17.125, 24.125, 8000.0], [1000, 1000, 1000, 0])
    candidate = (0.0, 255 * 0.125)
    found = least_error_range(observed, {0: 1.0}, [(0.0, 24.125), candidate])
    assert error_of(observed, found) <= error_of(observed, candidate)


def test_bounds_of_candidates_may_leave_out_zero(statistics_of: MakeStatistics) -> None:
    observed = statistics_of(DRAWS["uniform far from zero"])
    found = least_error_range(observed, {0: 1.0}, [(9.0, 10.0)])
    assert error_of(observed, found) <= error_of(observed, (0.0, 10.0))


def test_a_weight_decides_between_small_and_large_images(statistics_of: MakeStatistics) -> None:
    x = DRAWS["normal"]
    observed = statistics_of(x, images=9, others={6: (64 * x[:500], 1)})
    equal = least_error_range(observed, {0: 1.0, 6: 1.0}, [(observed.low, observed.high)])
    weighed = least_error_range(observed, {0: 1.0, 6: 4.0**-6}, [(observed.low, observed.high)])
    alone = least_error_range(observed, {0: 1.0, 6: 0.0}, [(observed.low, observed.high)])
    assert alone[1] == pytest.approx(4.0, abs=0.4)
    assert alone[1] < weighed[1] < equal[1]
