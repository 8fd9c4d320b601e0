"""The range of all but a fixed share of the elements."""

import numpy as np

from eightbit.calibration.statistics import Range, TensorStatistics

# Of so many sampled elements, one stays outside at either end.
_ONE_OUTSIDE_OF = 20_000


def percentile_range(statistics: TensorStatistics) -> Range:
    """All but the 0.005 % smallest and the 0.005 % largest elements (99.99 % inside)."""
    values = statistics.values(statistics.histogram)
    below = np.cumsum(statistics.histogram.counts)
    outside = below[-1] // _ONE_OUTSIDE_OF
    # Empty bins neither start nor end the range: both searches stop at a bin that adds elements.
    low = values[int(np.searchsorted(below, outside, side="right"))]
    high = values[int(np.searchsorted(below, below[-1] - outside))]
    return float(low), float(high)
