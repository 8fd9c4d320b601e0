"""What one pass over the images leaves of a tensor: exact extremes and bounded histograms.

All but the moving average is a function of the set of images alone, whatever their order, and
merging two results gives exactly that of the union.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Final

import numpy as np

from eightbit.calibration.histogram import Histogram, Values

Range = tuple[float, float]

# What torch.ao.quantization.MovingAverageMinMaxObserver takes by default.
AVERAGING_CONSTANT: Final = 0.01


def averaged(average: Range | None, batch: Range) -> Range:
    """The moving average after one more batch: ``a + 0.01 * (x - a)``; the first is itself."""
    if average is None:
        return batch
    low, high = (a + AVERAGING_CONSTANT * (x - a) for a, x in zip(average, batch, strict=True))
    return low, high


@dataclass(frozen=True, kw_only=True)
class OctaveStatistics:
    """Number and sampled elements of the images whose root mean square lies in one octave."""

    images: int
    histogram: Histogram

    def merge(self, other: "OctaveStatistics") -> "OctaveStatistics":
        """Both sets of images together, exactly."""
        return OctaveStatistics(
            images=self.images + other.images, histogram=self.histogram.merge(other.histogram)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorStatistics:
    """The statistics of one tensor; the moving average is not compared by ``==``.

    Attributes:
        low: Exact minimum of all elements.
        high: Exact maximum of all elements.
        octaves: The sampled elements by octave of their image, ascending.
        moving_average: Average of the batches' extremes in order; None after a merge.

    Raises:
        ValueError: A bound is not finite, ``low > high``, or there is no octave.
    """

    low: float
    high: float
    octaves: Mapping[int, OctaveStatistics]
    moving_average: Range | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"expected finite low <= high, found {self.low}..{self.high}")
        if not self.octaves:
            raise ValueError("expected the statistics of at least one octave, found none")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorStatistics):
            return NotImplemented
        extremes = (self.low, self.high) == (other.low, other.high)
        return extremes and self.octaves == other.octaves

    __hash__ = None  # type: ignore[assignment]

    @property
    def images(self) -> Mapping[int, int]:
        """Number of images by octave."""
        return {octave: part.images for octave, part in self.octaves.items()}

    @cached_property
    def histogram(self) -> Histogram:
        """The sampled elements of all images, on the coarsest of the octaves' grids."""
        return reduce(Histogram.merge, (part.histogram for part in self.octaves.values()))

    def values(self, histogram: Histogram) -> Values:
        """What stands for the elements of each bin, within ``low..high``; shape (B,)."""
        return np.clip(histogram.centres(), self.low, self.high)

    def elements(self, weights: Mapping[int, float] | None = None) -> tuple[Values, Values]:
        """Sampled values and counts, times the octaves' weights if given; shapes (E,), (E,)."""
        values, counts = [], []
        for octave, part in self.octaves.items():
            used = np.flatnonzero(part.histogram.counts)
            values.append(self.values(part.histogram)[used])
            weight = 1.0 if weights is None else weights[octave]
            counts.append(part.histogram.counts[used] * weight)
        return np.concatenate(values), np.concatenate(counts)

    def merge(self, other: "TensorStatistics") -> "TensorStatistics":
        """The statistics of both sets of images together, exactly, without a moving average."""
        octaves = dict(self.octaves)
        for octave, part in other.octaves.items():
            octaves[octave] = octaves[octave].merge(part) if octave in octaves else part
        return TensorStatistics(
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            octaves=dict(sorted(octaves.items())),
        )
