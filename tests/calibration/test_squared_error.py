from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import TensorStatistics, activation_params
from eightbit.calibration.squared_error import ErrorModel, squared_error

MakeStatistics = Callable[..., TensorStatistics]


def test_squared_error_by_hand() -> None:
    # Steps of one: 0.25 is off by 0.25 (twice), 3 is exact, 300 is clamped to 255.
    values, counts = np.array([0.25, 3.0, 300.0]), np.array([2.0, 1.0, 1.0])
    error = squared_error(activation_params(0.0, 255.0), values, counts)
    assert error == (2 * 0.25**2 + 0.0 + 45.0**2) / 4


def test_the_model_by_hand(statistics_of: MakeStatistics) -> None:
    # Bins of 2^11 are a quarter wide; the values are their centres.
    values, counts = [-20.125, 0.0, 0.375, 7.125, 300.125], [1, 5, 2, 3, 4]
    model = ErrorModel(statistics_of([*values, 2000.125], [*counts, 0]), {0: 1.0})
    # Steps of one: 0.375 rounds to zero, 7.125 anywhere, both others are clipped.
    expected = 10.125**2 + 2 * 0.375**2 + 3 / 12 + 4 * 55.125**2
    assert float(model(np.array(-10.0), np.array(245.0))) == pytest.approx(expected)


def test_the_model_weighs_octaves(statistics_of: MakeStatistics) -> None:
    observed = statistics_of([0.0, 1.0], others={3: ([9.0, 9.0], 1)})
    both, first = ErrorModel(observed, {0: 1.0, 3: 0.25}), ErrorModel(observed, {0: 1.0, 3: 0.0})
    low, high = np.array(0.0), np.array(2.0)
    centre = 9.0 + 8.0 / 8192 - 8.0 / 8192  # the extremes hold the bin's centre at 9
    assert float(both(low, high) - first(low, high)) == pytest.approx(0.5 * (centre - 2.0) ** 2)


@pytest.mark.parametrize("bounds", [(-3.0, 3.5), (-4.4, 4.4), (-1.0, 4.0), (0.0, 3.0)], ids=str)
def test_the_model_agrees_with_the_contract(
    bounds: tuple[float, float],
    statistics_of: MakeStatistics,
    gaussian: npt.NDArray[np.float64],
) -> None:
    observed = statistics_of(gaussian)
    params = activation_params(*bounds)
    (scale,), (zero_point,) = params.scale, params.zero_point
    grid = np.array(-zero_point * scale), np.array((255 - zero_point) * scale)
    exact = squared_error(params, *observed.elements()) * 100_000
    assert float(ErrorModel(observed, {0: 1.0})(*grid)) == pytest.approx(exact, rel=0.01)


def test_the_bounds_of_a_grid_are_broadcast(
    statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    model = ErrorModel(statistics_of(gaussian), {0: 1.0})
    lows, highs = np.array([-4.0, -3.0, 0.0]), np.array([1.0, 4.0])
    grid = model(lows[:, None], highs[None, :])
    single = [[float(model(np.array(low), np.array(high))) for high in highs] for low in lows]
    assert np.array_equal(grid, single)
