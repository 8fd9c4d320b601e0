"""The range with the least mean squared error over all elements."""

from eightbit.calibration.minmax import minmax_range
from eightbit.calibration.percentile import percentile_range
from eightbit.calibration.range_search import least_error_range
from eightbit.calibration.statistics import Range, TensorStatistics


def mse_range(statistics: TensorStatistics) -> Range:
    """The range with the least mean squared error between the elements and their integers.

    Every element counts the same, so a few images of many times the usual size rule the range.
    """
    weights = dict.fromkeys(statistics.octaves, 1.0)
    candidates = [minmax_range(statistics), percentile_range(statistics)]
    return least_error_range(statistics, weights, candidates)
