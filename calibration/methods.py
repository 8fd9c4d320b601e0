"""From a tensor's statistics to the range that its integers shall cover."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from eightbit.calibration.qparams import (
    QuantParams,
    activation_params,
    dequantize,
    quantize,
)
from eightbit.calibration.statistics import TensorStatistics

Range = tuple[float, float]


class Method(StrEnum):
    """How the range of an activation is chosen.

    All of them read the same statistics: one pass over the images serves every method.
    """

    MINMAX = "minmax"
    PERCENTILE = "percentile"
    MSE = "mse"


# Of so many sampled elements, percentile leaves one outside at either end.
_ONE_OUTSIDE_OF = 20_000

# The mse search shrinks each bound by these factors, first coarsely, then around the best; 0.1
# covers outliers ten times the usual size.
_COARSE = tuple(np.linspace(1.0, 0.1, 19).tolist())
_FINE = tuple(np.linspace(0.05, -0.05, 11).tolist())
_SMALLEST_SHRINK = 0.05
_ROUNDS = 3


def choose_params(statistics: TensorStatistics, method: Method) -> QuantParams:
    """Parameters of the activation whose statistics these are, by the given method."""
    return activation_params(*_METHODS[method](statistics))


def minmax_range(statistics: TensorStatistics) -> Range:
    """All that was ever seen: nothing saturates, and one outlier coarsens everything."""
    return statistics.low, statistics.high


def percentile_range(statistics: TensorStatistics) -> Range:
    """All but the 0.005 % smallest and the 0.005 % largest elements (99.99 % inside)."""
    values, counts = statistics.occupied()
    below = np.cumsum(counts)
    outside = below[-1] // _ONE_OUTSIDE_OF
    low = values[int(np.searchsorted(below, outside, side="right"))]
    high = values[int(np.searchsorted(below, below[-1] - outside))]
    return float(low), float(high)


def mse_range(statistics: TensorStatistics) -> Range:
    """The range with the least mean squared error between the elements and their integers.

    Rounding costs more as the range grows, clipping more as it shrinks (Sung et al.,
    arXiv:1511.06488; Banner et al., arXiv:1810.05723, section 3). The error is computed with the
    contract's own arithmetic on the occupied bins, and the two bounds are searched in turn.
    """
    full = (min(statistics.low, 0.0), max(statistics.high, 0.0))
    values, counts = statistics.occupied()

    def least_error(ranges: Iterable[Range]) -> Range:
        # Of equal errors the first wins; a bound at zero gives the same range again and again.
        return min(
            dict.fromkeys(ranges),
            key=lambda bounds: squared_error(activation_params(*bounds), values, counts),
        )

    low, high = full
    for _ in range(_ROUNDS):
        before = low, high
        for near in (_coarsely, _finely):
            # The best so far comes first among its rivals: the error never grows.
            low, high = least_error((b, high) for b in (low, *near(low, full[0])))
            low, high = least_error((low, b) for b in (high, *near(high, full[1])))
        if (low, high) == before or 0.0 in full:
            break
    return low, high


def _coarsely(_: float, full: float) -> Iterator[float]:
    return (full * shrink for shrink in _COARSE)


def _finely(bound: float, full: float) -> Iterator[float]:
    shrink = bound / full if full else 1.0
    return (full * min(max(shrink + step, _SMALLEST_SHRINK), 1.0) for step in _FINE)


def squared_error(
    params: QuantParams, values: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]
) -> float:
    """Mean squared error of quantizing ``values``, each occurring ``counts`` times."""
    exact = values.astype(np.float32)
    error = dequantize(quantize(exact, params), params).astype(np.float64) - exact
    return float(np.dot(error * error, counts) / counts.sum())


_METHODS: dict[Method, Callable[[TensorStatistics], Range]] = {
    Method.MINMAX: minmax_range,
    Method.PERCENTILE: percentile_range,
    Method.MSE: mse_range,
}
