"""The methods by which a tensor's statistics become the range that its integers shall cover."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from eightbit.calibration.auto import auto_range
from eightbit.calibration.entropy import entropy_range
from eightbit.calibration.minmax import minmax_range
from eightbit.calibration.moving_average import moving_average_range
from eightbit.calibration.mse import mse_range
from eightbit.calibration.percentile import percentile_range
from eightbit.calibration.qparams import QuantParams, activation_params
from eightbit.calibration.statistics import Range, TensorStatistics


class Method(StrEnum):
    """How the range of an activation is chosen.

    All of them read the same statistics: one pass over the images serves every method.
    """

    MINMAX = "minmax"
    MOVING_AVERAGE = "moving-average"
    PERCENTILE = "percentile"
    MSE = "mse"
    ENTROPY = "entropy"
    AUTO = "auto"


def choose_params(statistics: TensorStatistics, method: Method) -> QuantParams:
    """Parameters of the activation whose statistics these are, by the given method.

    Raises:
        ValueError: The method needs the order of the images, and merged statistics have none.
    """
    return activation_params(*_METHODS[method](statistics))


_METHODS: Final[dict[Method, Callable[[TensorStatistics], Range]]] = {
    Method.MINMAX: minmax_range,
    Method.MOVING_AVERAGE: moving_average_range,
    Method.PERCENTILE: percentile_range,
    Method.MSE: mse_range,
    Method.ENTROPY: entropy_range,
    Method.AUTO: auto_range,
}
