"""The moving average of the batches' extremes, as torch keeps it."""

from typing import Final

from eightbit.calibration.statistics import Range, TensorStatistics

# What torch.ao.quantization.MovingAverageMinMaxObserver takes by default.
AVERAGING_CONSTANT: Final = 0.01


def averaged(average: Range | None, batch: Range) -> Range:
    """The moving average after one more batch: ``a + 0.01 * (x - a)``; the first is itself."""
    if average is None:
        return batch
    low, high = (a + AVERAGING_CONSTANT * (x - a) for a, x in zip(average, batch, strict=True))
    return low, high


def moving_average_range(statistics: TensorStatistics) -> Range:
    """The average of minimum and maximum of the batches, each of eight images in their order.

    It is what torch's ``MovingAverageMinMaxObserver`` computes. It depends on the order of the
    images: the first batch counts most, and after 32 of them still for three quarters.

    Raises:
        ValueError: The statistics were merged from two passes, which have no common order.
    """
    if statistics.moving_average is None:
        raise ValueError(
            "moving-average: expected the statistics of one pass over the images, found merged "
            "ones, which have no order; take another method or collect in one pass"
        )
    return statistics.moving_average
