"""From a layer's weights to the range that the integers of each output channel shall cover."""

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import numpy as np

from eightbit.calibration.qparams import (
    DoubleArray,
    FloatArray,
    QuantDType,
    QuantParams,
    largest_magnitude,
    rounding_residue,
    weight_params,
)


class WeightMethod(StrEnum):
    """How the range of a channel's weights is chosen."""

    MINMAX = "minmax"
    MSE = "mse"


# By how much `mse` shrinks a range. Rounding costs about K * s^2 / 12 for K weights, clipping the
# largest alone (w - 127 * s)^2; the sum is least at 127 * s = w / (1 + K / (12 * 127^2)), and
# higher if more weights clip: above 0.97 * w for every kernel of a ResNet, K <= 512 * 3 * 3. What
# the steps in between find is mostly how the weights happen to fall on the grid.
_SHRINKS: Final = tuple(np.linspace(1.0, 0.97, 7).tolist())

# Weights at a time: what is computed with them stays in the processor's second-level cache.
_BLOCK: Final = 2**16


def choose_weight_params(
    weight: FloatArray, bias: FloatArray, input_scale: float, method: WeightMethod
) -> QuantParams:
    """Parameters of an int8 weight by the given method; arguments and errors of `weight_params`."""
    return weight_params(weight, bias, input_scale, _METHODS[method])


def least_error_magnitude(weight: FloatArray) -> DoubleArray:
    """Magnitude per channel whose scale leaves the least squared error of the weights, shape (O,).

    A search over a grid, as for activations (Banner et al., arXiv:1810.05723, section 3, gives
    the same trade between rounding and clipping in closed form for Gaussian weights). ``weight`` is
    finite float32 of shape (O, K); of equal errors the largest magnitude wins.
    """
    largest = largest_magnitude(weight)
    best = np.empty(len(weight))
    rows = max(1, _BLOCK // weight.shape[1])
    for start in range(0, len(weight), rows):
        block = slice(start, start + rows)
        best[block] = _best_shrinks(weight[block], largest[block])
    return largest * best


def _best_shrinks(weight: FloatArray, largest: DoubleArray) -> DoubleArray:
    scale = np.where(largest > 0, largest / QuantDType.INT8.qmax, 1.0).astype(np.float32)
    # A scale that underflowed: whatever its grid, `weight_params` puts its own floor above it.
    scale = np.maximum(scale, np.finfo(np.float32).tiny)
    integers = weight / scale[:, np.newaxis]
    errors = []
    for shrink in _SHRINKS:
        residue = rounding_residue(integers * np.float32(1 / shrink), QuantDType.INT8)
        errors.append(np.einsum("ok,ok->o", residue, residue) * shrink**2)
    best: DoubleArray = np.array(_SHRINKS)[np.argmin(errors, axis=0)]
    return best


_METHODS: Final[dict[WeightMethod, Callable[[FloatArray], DoubleArray]]] = {
    WeightMethod.MINMAX: largest_magnitude,
    WeightMethod.MSE: least_error_magnitude,
}
