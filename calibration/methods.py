"""From a tensor's statistics to the range that its integers shall cover."""

from collections.abc import Callable, Iterable
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


# Of the sampled elements, this share is left outside at either end.
_TAIL = 5e-5

# The mse search shrinks each bound by these factors, first coarsely, then around the best; 0.1
# covers outliers ten times the usual size.
_COARSE = np.linspace(1.0, 0.1, 19)
_FINE = np.linspace(0.05, -0.05, 11)
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
    shares = np.cumsum(counts) / counts.sum()
    low = values[int(np.searchsorted(shares, _TAIL))]
    high = values[min(int(np.searchsorted(shares, 1.0 - _TAIL)), len(values) - 1)]
    return float(low), float(high)


def mse_range(statistics: TensorStatistics) -> Range:
    """The range with the least mean squared error between the elements and their integers.

    Rounding costs more as the range grows, clipping more as it shrinks (Sung et al.,
    arXiv:1511.06488; Banner et al., arXiv:1810.05723, section 3). The error is computed with the
    contract's own arithmetic on the occupied bins, and the two bounds are searched in turn.
    """
    full = (min(statistics.low, 0.0), max(statistics.high, 0.0))
    values, counts = statistics.occupied()

    def least_error(shrinks: Iterable[tuple[float, float]]) -> tuple[float, float]:
        # dict keeps the order: of equal errors the first, widest range wins.
        distinct = {(full[0] * a, full[1] * b): (a, b) for a, b in shrinks}
        errors = [squared_error(activation_params(*r), values, counts) for r in distinct]
        return list(distinct.values())[int(np.argmin(errors))]

    best = (1.0, 1.0)
    for _ in range(_ROUNDS):
        before = best
        best = least_error((float(s), best[1]) for s in _COARSE)
        best = least_error((best[0], float(s)) for s in _COARSE)
        best = least_error((_inside(best[0] + s), best[1]) for s in _FINE)
        best = least_error((best[0], _inside(best[1] + s)) for s in _FINE)
        if best == before or 0.0 in full:
            break
    return full[0] * best[0], full[1] * best[1]


def _inside(shrink: float) -> float:
    return float(np.clip(shrink, 0.05, 1.0))


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
