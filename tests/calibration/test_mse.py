import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import Method, TensorStatistics, activation_params, choose_params
from eightbit.calibration.range_methods import mse_range
from eightbit.calibration.squared_error import squared_error

MakeStatistics = Callable[..., TensorStatistics]


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (-1.0, 0.0), (-0.25, 3.0)], ids=str)
def test_the_range_of_a_uniform_distribution_is_kept(
    bounds: tuple[float, float], statistics_of: MakeStatistics
) -> None:
    # Shrinking a width W by d saves d * W / (6 * 255^2) and costs about d^3 / (3 * W) at one end,
    # so the best d is W / (255 * sqrt(2)): 0.3 % of the width; the zero point moves it by 0.2 %.
    full = bounds[1] - bounds[0]
    low, high = mse_range(statistics_of(np.linspace(*bounds, 100_001)))
    assert low == pytest.approx(bounds[0], abs=0.01 * full)
    assert high == pytest.approx(bounds[1], abs=0.01 * full)


def gaussian_error(clip: float) -> float:
    """Expected squared error of 256 levels over -clip..clip for a standard normal variable."""
    beyond = math.erfc(clip / math.sqrt(2)) / 2
    density = math.exp(-clip * clip / 2) / math.sqrt(2 * math.pi)
    clipping = 2 * ((1 + clip * clip) * beyond - clip * density)
    rounding = (2 * clip / 255) ** 2 / 12 * (1 - 2 * beyond)
    return clipping + rounding


def test_a_gaussian_is_clipped_where_brute_force_does(
    statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    clips = np.arange(2.0, 6.0, 0.001)
    errors = [gaussian_error(float(clip)) for clip in clips]
    best = float(clips[int(np.argmin(errors))])
    assert 3.8 < best < 4.3
    low, high = mse_range(statistics_of(gaussian))
    assert -low == pytest.approx(best, abs=0.09)
    assert high == pytest.approx(best, abs=0.09)


def test_a_gaussian_is_quantized_as_well_as_by_brute_force_on_the_same_sample(
    statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    observed = statistics_of(gaussian)
    elements = observed.elements()
    clips = np.arange(3.0, observed.high, 0.005)
    least = min(squared_error(activation_params(-clip, clip), *elements) for clip in clips)
    assert squared_error(choose_params(observed, Method.MSE), *elements) <= least * 1.005


def test_an_outlier_weighs_clipping_against_rounding(statistics_of: MakeStatistics) -> None:
    # (10 - a)^2 / n + (a / 255)^2 / 12 is least at a = 10 / (1 + n / 780,300).
    values = [*((np.arange(1000) + 0.5) / 1000), 10.0]
    _, high = mse_range(statistics_of(values, [*[1000] * 1000, 1]))
    assert high == pytest.approx(10 / (1 + 1_000_000 / 780_300), abs=0.1)


def test_outliers_are_found_on_both_sides(statistics_of: MakeStatistics) -> None:
    values = [*np.linspace(-1.0, 2.0, 100_001), -10.0, 20.0]
    low, high = mse_range(statistics_of(values, [*[10_000] * 100_001, 1, 1]))
    assert low == pytest.approx(-1.0, abs=0.1)
    assert high == pytest.approx(2.0, abs=0.2)


def test_every_image_counts_the_same(
    statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    apart = statistics_of(gaussian, images=9, others={4: (16 * gaussian[::9], 1)})
    together = statistics_of([*gaussian, *(16 * gaussian[::9])], images=10)
    assert mse_range(apart) == pytest.approx(mse_range(together), rel=0.02)
