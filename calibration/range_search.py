"""The search for the range with the least squared error."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from eightbit.calibration.histogram import Values
from eightbit.calibration.qparams import QuantDType, activation_params
from eightbit.calibration.squared_error import ErrorModel, squared_error
from eightbit.calibration.statistics import Range, TensorStatistics

# Each bound is shrunk by these factors, down to 1/256: outliers 60 times the usual size were seen.
_COARSE: Final = np.exp2(-np.arange(33) / 4)
# Then around the best one, ever more closely; the last step is 0.3 %.
_REFINEMENTS: Final = tuple(np.exp2(np.arange(4, -5, -1) / steps) for steps in (16, 64, 256))
# The range that comes out has a whole number for a zero point: the last candidates do, too.
_STEPS: Final = 1.0 + np.arange(-4, 5) / 1024
_ZERO_POINTS: Final = np.arange(-2, 3)


def least_error_range(
    statistics: TensorStatistics, weights: Mapping[int, float], candidates: Sequence[Range]
) -> Range:
    """The range with the least weighted squared error between the elements and their integers.

    Rounding costs more as the range grows, clipping more as it shrinks (Sung et al.,
    arXiv:1511.06488; Banner et al., arXiv:1810.05723, section 3). Ranges are compared by
    `ErrorModel`; between its best and the candidates the exact arithmetic decides, so the result is
    never worse than any candidate. ``weights`` are those of the images by octave; of equal errors
    the first candidate wins.
    """
    full = (min(statistics.low, 0.0), max(statistics.high, 0.0))
    if full == (0.0, 0.0):
        return full
    model = ErrorModel(statistics, weights)
    searched = _refined(model, full, _coarsest(model, full, candidates))
    values, counts = statistics.elements(weights)
    return min(
        dict.fromkeys([*candidates, *searched]),
        key=lambda bounds: squared_error(activation_params(*bounds), values, counts),
    )


def _coarsest(model: ErrorModel, full: Range, candidates: Sequence[Range]) -> Range:
    """The best on the coarse grid, or the best candidate if that is better."""
    start, error = _best(model, full[0] * _COARSE, full[1] * _COARSE)
    lows = np.array([min(low, 0.0) for low, _ in candidates])
    highs = np.array([max(high, 0.0) for _, high in candidates])
    errors = model(lows, highs)
    chosen = int(errors.argmin())
    return (float(lows[chosen]), float(highs[chosen])) if errors[chosen] < error else start


def _refined(model: ErrorModel, full: Range, start: Range) -> Sequence[Range]:
    """The best ranges near to a good one."""
    low, high = start
    for factors in _REFINEMENTS:
        lows, highs = np.maximum(low * factors, full[0]), np.minimum(high * factors, full[1])
        (low, high), _ = _best(model, lows, highs)
    dtype = QuantDType.UINT8
    (zero_point,) = activation_params(low, high).zero_point
    steps = (high - low) / dtype.qmax * _STEPS[:, None]
    zero_points = np.unique(np.clip(zero_point + _ZERO_POINTS, dtype.qmin, dtype.qmax))
    if 0.0 in full:
        zero_points = np.array([zero_point])
    lows, highs = -zero_points * steps, (dtype.qmax - zero_points) * steps
    chosen = int(model(lows, highs).argmin())
    return [(low, high), (float(lows.flat[chosen]), float(highs.flat[chosen]))]


def _best(model: ErrorModel, lows: Values, highs: Values) -> tuple[Range, float]:
    """The best pair of any low with any high, and its error; a bound at zero is tried once."""
    lows, highs = (bounds if bounds.any() else bounds[:1] for bounds in (lows, highs))
    errors = model(lows[:, None], highs[None, :])
    row, column = np.unravel_index(int(errors.argmin()), errors.shape)
    return (float(lows[row]), float(highs[column])), float(errors[row, column])
