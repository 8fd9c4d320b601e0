"""The squared error of quantizing a tensor: exactly, and from prefix sums for a fast search."""

from collections.abc import Mapping

import numpy as np

from eightbit.calibration.histogram import Counts, Values
from eightbit.calibration.qparams import QuantDType, QuantParams, dequantize, quantize
from eightbit.calibration.statistics import OctaveStatistics, TensorStatistics


def squared_error(params: QuantParams, values: Values, counts: Values) -> float:
    """Mean squared error of quantizing ``values``, each ``counts`` times: float64, shape (E,)."""
    exact = values.astype(np.float32)
    error = dequantize(quantize(exact, params), params).astype(np.float64) - exact
    return float(np.dot(error * error, counts) / counts.sum())


class ErrorModel:
    """Summed squared error of any number of ranges at once, almost without looking at elements.

    An element outside the range costs the square of its distance, exactly. Inside, elements fall
    anywhere between two steps and cost ``s^2 / 12`` on average (Widrow and Kollar, Quantization
    Noise, 2008, chapter 4), but those nearer to zero than half a step round to it and cost their
    own square, and exact zeros cost nothing. ``weights`` are those of the images by octave.
    """

    def __init__(self, statistics: TensorStatistics, weights: Mapping[int, float]) -> None:
        self._parts = [
            _PrefixSums(statistics, part, weights[octave])
            for octave, part in statistics.octaves.items()
        ]

    def __call__(self, low: Values, high: Values) -> Values:
        """Errors of the ranges ``low..high``, ``low <= 0 <= high``; broadcast against each other.

        Bounds that span a grid, shapes (L, 1) and (1, H), share their lookups.
        """
        step = (high - low) / QuantDType.UINT8.qmax
        total = self._parts[0].error(low, high, step)
        for part in self._parts[1:]:
            total += part.error(low, high, step)
        return total


class _PrefixSums:
    """Weighted moments of order 0 to 2 of all elements below each bin of one octave."""

    def __init__(self, statistics: TensorStatistics, part: OctaveStatistics, weight: float) -> None:
        histogram = part.histogram
        values = statistics.values(histogram)
        self._first, self._bins = histogram.first, len(values)
        self._per_unit = 1.0 / histogram.width
        # moments[order, i]: sum over the bins before the i-th; shape (3, B + 1).
        self._moments = np.zeros((3, self._bins + 1))
        terms = self._moments[:, 1:]
        np.multiply(histogram.counts, weight, out=terms[0])
        np.multiply(terms[0], values, out=terms[1])
        np.multiply(terms[1], values, out=terms[2])
        np.cumsum(terms, axis=1, out=terms)

    def error(self, low: Values, high: Values, step: Values) -> Values:
        below, above = self._before(low), self._before(high)
        count, total, squares = self._moments
        outside = squares[below] + low * (low * count[below] - 2.0 * total[below])
        rest = [moment[-1] - moment[above] for moment in self._moments]
        outside = outside + (rest[2] + high * (high * rest[0] - 2.0 * rest[1]))
        # Beside a bound at zero there is no inside: those elements are clipped to zero already.
        nearest = np.maximum(self._before(-0.5 * step), below)
        furthest = np.maximum(np.minimum(self._before(0.5 * step), above), nearest)
        rounded = count[above] - count[below] - (count[furthest] - count[nearest])
        to_zero = squares[furthest] - squares[nearest]
        error: Values = outside + to_zero + rounded * (step * step / 12.0)
        return error

    def _before(self, bound: Values) -> Counts:
        """How many bins have their centre below the bound."""
        bins = np.ceil(bound * self._per_unit - 0.5) - self._first
        before: Counts = np.clip(bins, 0, self._bins).astype(np.int64)
        return before
