from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import Method, TensorStatistics, choose_params
from eightbit.calibration.octaves import octave_weights
from eightbit.calibration.range_methods import mse_range, weighted_mse_range
from eightbit.calibration.squared_error import squared_error

MakeStatistics = Callable[..., TensorStatistics]


def test_without_outlier_images_it_is_mse(
    statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    observed = statistics_of(gaussian, images=9, others={1: (2 * gaussian[::9], 1)})
    auto, mse = (
        squared_error(choose_params(observed, method), *observed.elements())
        for method in (Method.WEIGHTED_MSE, Method.MSE)
    )
    assert auto == pytest.approx(mse, rel=0.002)


def test_a_few_outlier_images_do_not_rule_the_range(
    statistics_of: MakeStatistics, gaussian: npt.NDArray[np.float64]
) -> None:
    usual = mse_range(statistics_of(gaussian, images=500))[1]
    observed = statistics_of(gaussian, images=500, others={6: (64 * gaussian[::500], 1)})
    assert mse_range(observed)[1] > 30 * usual
    assert weighted_mse_range(observed)[1] < 6 * usual


@pytest.mark.parametrize("scale", [1.0, 64.0], ids=["without outliers", "with outliers"])
@pytest.mark.parametrize("method", [Method.MINMAX, Method.PERCENTILE, Method.MSE, Method.ENTROPY])
def test_it_has_the_least_weighted_error_of_all_methods(
    method: Method,
    scale: float,
    statistics_of: MakeStatistics,
    gaussian: npt.NDArray[np.float64],
) -> None:
    octave = int(np.log2(scale)) or 1
    other = np.maximum(scale * gaussian[::9], 0)
    observed = statistics_of(gaussian, images=9, others={octave: (other, 1)})
    elements = observed.elements(octave_weights(observed.images))
    auto = squared_error(choose_params(observed, Method.WEIGHTED_MSE), *elements)
    # mse and entropy are no candidates themselves: the search finds what they would find.
    assert auto <= 1.001 * squared_error(choose_params(observed, method), *elements)
