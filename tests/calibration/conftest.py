"""Statistics as an observer would leave them, from values and how often each occurs."""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest

from eightbit.calibration import TensorStatistics
from eightbit.calibration.histogram import BINS_PER_SIDE, Histogram, exponent_of
from eightbit.calibration.statistics import OctaveStatistics

MakeStatistics = Callable[..., TensorStatistics]


def _octave(values: npt.ArrayLike, counts: npt.ArrayLike | None, images: int) -> OctaveStatistics:
    x = np.asarray(values, dtype=np.float64)
    exponent = exponent_of(float(np.abs(x).max()))
    bins = np.floor(x * BINS_PER_SIDE / 2.0**exponent).astype(int) + BINS_PER_SIDE
    grid = np.zeros(2 * BINS_PER_SIDE, dtype=np.int64)
    np.add.at(grid, bins, np.ones_like(bins) if counts is None else np.asarray(counts))
    return OctaveStatistics(images=images, histogram=Histogram.from_grid(exponent, grid))


@pytest.fixture(scope="session")
def statistics_of() -> MakeStatistics:
    """Make statistics of values, each as often as its count says, 1 by default.

    All lie in octave 0; ``images`` says how many they come from, ``others`` are further octaves as
    ``{octave: (values, images)}``.
    """

    def make(
        values: npt.ArrayLike,
        counts: npt.ArrayLike | None = None,
        *,
        images: int = 1,
        others: dict[int, tuple[npt.ArrayLike, int]] | None = None,
    ) -> TensorStatistics:
        octaves = {0: _octave(values, counts, images)}
        together = [np.asarray(values, dtype=np.float64)]
        for octave, (more, count) in (others or {}).items():
            octaves[octave] = _octave(more, None, count)
            together.append(np.asarray(more, dtype=np.float64))
        x = np.concatenate(together)
        low, high = float(x.min()), float(x.max())
        # As if all came in one batch.
        return TensorStatistics(low=low, high=high, octaves=octaves, moving_average=(low, high))

    return make


@pytest.fixture(scope="session")
def gaussian() -> npt.NDArray[np.float64]:
    """100,000 quantiles of the standard normal distribution, out to 4.4."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((i + 0.5) / 100_000) for i in range(100_000)])
