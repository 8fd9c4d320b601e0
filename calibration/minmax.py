"""The whole range that was seen."""

from eightbit.calibration.statistics import Range, TensorStatistics


def minmax_range(statistics: TensorStatistics) -> Range:
    """All that was ever seen: nothing saturates, and one outlier coarsens everything."""
    return statistics.low, statistics.high
