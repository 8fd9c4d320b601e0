"""The range that is best for the predictions of most images."""

from eightbit.calibration.minmax import minmax_range
from eightbit.calibration.octaves import octave_weights
from eightbit.calibration.percentile import percentile_range
from eightbit.calibration.range_search import least_error_range
from eightbit.calibration.statistics import Range, TensorStatistics


def auto_range(statistics: TensorStatistics) -> Range:
    """The range with the least squared error where images of unusual size count less.

    The candidates are the ranges of `minmax` and `percentile` and a search around the best;
    `octave_weights` has the weights. `entropy` is no candidate: on 134 tensors of three trained
    networks its range won 11 times, by no more than 0.03 % of the error, and it takes as long as
    a third of all the rest, about a millisecond per tensor.
    """
    candidates = [minmax_range(statistics), percentile_range(statistics)]
    return least_error_range(statistics, octave_weights(statistics.images), candidates)
