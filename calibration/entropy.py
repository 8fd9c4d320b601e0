"""The range that loses the least information about the distribution of the elements."""

from typing import Final

import numpy as np

from eightbit.calibration.histogram import Histogram, Values
from eightbit.calibration.qparams import QuantDType
from eightbit.calibration.statistics import Range, TensorStatistics

_LEVELS: Final = QuantDType.UINT8.qmax + 1
# Thresholds on the magnitude that are tried: parts of the largest, down to 1/16 as in TensorRT,
# which starts with 128 of 2048 bins.
_THRESHOLDS: Final = np.linspace(1.0, 1.0 / 16.0, 121)


def entropy_range(statistics: TensorStatistics) -> Range:
    """The range with the least Kullback-Leibler divergence between the elements and their levels.

    TensorRT's calibration (S. Migacz, "8-bit Inference with TensorRT", GTC 2017): for each
    threshold on the magnitude, P is the distribution of the clipped elements, with those outside
    added to the outermost bins, and Q that of the elements inside, spread evenly over the
    occupied bins of each quantization level. Adapted to asymmetric uint8: 256 levels cover
    ``max(low, -T)..min(high, T)``, so a tensor with one sign spends none on the other. The bin at
    zero is left out, as NVIDIA's later tools do: zeros are exact at any range.
    """
    low, high = min(statistics.low, 0.0), max(statistics.high, 0.0)
    if low == high:
        return low, high
    thresholds = max(-low, high) * _THRESHOLDS
    lows, highs = np.maximum(low, -thresholds), np.minimum(high, thresholds)
    chosen = int(_divergences(statistics.histogram, lows, highs).argmin())
    return float(lows[chosen]), float(highs[chosen])


def _divergences(histogram: Histogram, lows: Values, highs: Values) -> Values:
    """KL(P || Q) of each range ``lows..highs`` in nats; infinite where Q is zero and P is not.

    With ``c`` elements in a bin, ``C`` and ``B`` elements and occupied bins in its level, ``N``
    elements altogether and ``M`` inside, it is ``sum(p log(p / q))`` with ``p = c / N`` and
    ``q = C / (B M)``. Prefix sums over the bins of ``c``, ``c log c`` and the occupied bins leave
    sums over the levels only. Shapes (T,), (T,), to (T,).
    """
    counts = histogram.counts.astype(np.float64)
    if 0 <= -histogram.first < len(counts):
        counts[-histogram.first] = 0.0
    total = counts.sum()
    if total == 0.0:
        return np.zeros(len(lows))
    # The boundaries of the levels as bins; shape (T, 257).
    edges = np.linspace(lows, highs, _LEVELS + 1, axis=1) / histogram.width - histogram.first
    bins = np.clip(np.floor(edges + 0.5), 0, len(counts)).astype(np.int64)
    prefix = np.zeros((3, len(counts) + 1))
    np.cumsum([counts, _x_log_x(counts), counts > 0], axis=1, out=prefix[:, 1:])
    inside, _, occupied = np.diff(prefix[:, bins], axis=2)
    start, end = bins[:, 0], np.maximum(bins[:, -1], 1)
    below, above = prefix[0, start], total - prefix[0, bins[:, -1]]
    # P: the outermost bins of the range also hold what was clipped.
    p_log_p = prefix[1, bins[:, -1]] - prefix[1, start]
    clipped = inside.copy()
    last = np.minimum(start, len(counts) - 1), end - 1
    for outside, bin_, level in ((below, last[0], 0), (above, last[1], -1)):
        p_log_p += _x_log_x(counts[bin_] + outside) - _x_log_x(counts[bin_])
        clipped[:, level] += outside
        occupied[:, level] += (outside > 0) & (counts[bin_] == 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_q = np.log(inside / (occupied * inside.sum(axis=1, keepdims=True)))
        spent = np.where(clipped > 0, clipped * log_q, 0.0).sum(axis=1)
    divergence: Values = p_log_p / total - np.log(total) - spent / total
    return np.where(np.isnan(divergence), np.inf, divergence)


def _x_log_x(x: Values) -> Values:
    """``x log x``, zero at zero."""
    return x * np.log(np.maximum(x, 1.0))
