"""Scales by which no result lies near a tie, so that every runtime rounds it alike.

Runtimes agree on integers but not on float arithmetic: one multiplies a sum by ``s_x * s_w / s_y``,
another divides a product by ``s_y``, a third adds the bias as a float. Results that differ by a few
float32 units in the last place round differently where they lie that close to n + 1/2; over twenty
layers a few such elements become many.

Here scales are raised a little until the multiplier is a fraction ``p / q`` with odd ``q``: then
``acc * p / q = n + 1/2`` has no solution in integers, and no sum comes closer to a tie than
``1 / (2 q)``. With ``q`` in the hundreds that is far more than any order of float operations errs.

A curve such as a sigmoid has 256 results for the 256 integers that it reads: of a few hundred
scales one is taken for which all of them keep away from ties.
"""

from typing import Final

import numpy as np

from eightbit.calibration.qparams import DoubleArray, FloatArray, IntArray, QuantParams, with_scale

# By how much of itself a scale may be raised, where a smaller denominator can be had for it.
_RAISE: Final = 1 / 128

# An addend that is small beside the sum adds little to the noise, but others may read it too.
_RAISE_OF_ADDENDS: Final = 1 + 1 / 16

# The largest denominator that two scales at a residual add may share.
_LARGEST_DENOMINATOR: Final = 1023

# The largest of a product of two tensors: a quarter of 1 / 2q is what float32 errs there.
_LARGEST_OF_PRODUCTS: Final = 2047

# Scales to try where no fraction helps: the numbers to be rounded are given.
_CANDIDATES: Final = 257


def tie_free_weights(
    weight: FloatArray, params: QuantParams, input_scale: float, output_scale: float
) -> QuantParams:
    """A layer's weight parameters by which no sum lies near a tie, scales raised by 1 % at most.

    A channel without weights has only its bias, which a scale that is too small rounds badly: its
    multiplier is at least 1/1023. ``weight``: float32, shape (O, ...).
    """
    scale = np.array(params.scale)
    unit = output_scale / input_scale
    is_dead = ~weight.reshape(len(weight), -1).any(axis=1)
    scale[is_dead] = np.maximum(scale[is_dead], unit / _LARGEST_DENOMINATOR)
    return with_scale(params, tie_free_multipliers(scale / unit) * unit)


def tie_free_mean(input_scale: float, positions: int, wanted: float) -> float:
    """A scale from ``wanted`` to 1 % above it by which no mean over the positions is near a tie."""
    unit = input_scale / positions
    (multiplier,) = tie_free_multipliers(np.array([unit / wanted / (1 + _RAISE)]))
    return unit / float(multiplier)


def tie_free_multipliers(wanted: DoubleArray) -> DoubleArray:
    """Multipliers from ``wanted`` to 1 % above it that are fractions with small odd denominators.

    Positive, float64, shape (O,); each the fraction of the smallest numerator that is near enough.
    """
    # Whole numbers are fractions of denominator one, and near enough from 1 / _RAISE on.
    result = np.ceil(wanted)
    pending = np.flatnonzero(wanted < 1 / _RAISE)
    numerator = 0
    while pending.size:
        numerator += 1
        denominator = np.floor(numerator / wanted[pending])
        denominator = np.maximum(denominator - (denominator % 2 == 0), 0.5)  # 0.5: there is none
        fraction = numerator / denominator
        found = (denominator >= 1) & (fraction <= wanted[pending] * (1 + _RAISE))
        result[pending[found]] = fraction[found]
        pending = pending[~found]
    return result


def tie_free_add(
    addends: tuple[float, float], total: float, *, fixed: bool
) -> tuple[tuple[float, float], float]:
    """Scales of a residual add by which no sum lies near a tie.

    Both addends' scales become fractions ``p / q`` of the sum's with a common odd ``q``: the
    smallest with which the noise of the three roundings, the sum of their squared scales, grows by
    1.5 % at most (0.07 dB). Where ``fixed``, the second addend keeps its scale.

    Returns:
        The scales of the addends and of the sum, none below the given one; unchanged where no such
        ``q`` is small enough. An addend that is small beside the sum is raised by 6 % at most.
    """
    first, second = addends
    q = np.arange(1, _LARGEST_DENOMINATOR + 1, 2, dtype=np.float64)
    if fixed:
        # Where the sum is wanted coarser than q times the addend, no fraction of that q will do.
        p = np.floor(second * q / total)
        totals = np.divide(second * q, p, out=np.full_like(q, np.inf), where=p > 0)
        seconds = np.full_like(q, second)
    else:
        totals = np.full_like(q, total)
        seconds = np.ceil(second * q / total) * total / q
    with np.errstate(invalid="ignore"):
        firsts = np.ceil(first * q / totals) * totals / q
        noise = firsts**2 + seconds**2 + totals**2
    enough = noise <= (first**2 + second**2 + total**2) * (1 + 2 * _RAISE)
    enough &= (firsts <= first * _RAISE_OF_ADDENDS) & (seconds <= second * _RAISE_OF_ADDENDS)
    if not enough.any():
        # Scales that are thousands of times apart: their sums may lie near ties.
        return addends, total
    best = int(np.argmax(enough))
    return (float(firsts[best]), float(seconds[best])), float(totals[best])


def tie_free_product(factors: tuple[float, float], wanted: float) -> float:
    """A scale from ``wanted`` to 1 % above it by which no product of integers is near a tie."""
    unit = factors[0] * factors[1]
    return unit / float(tie_free_products(unit / wanted / (1 + _RAISE))[0])


def tie_free_products(wanted: float) -> DoubleArray:
    """Multipliers from ``wanted`` to 1 % above it by which no product of integers is near a tie.

    Fractions ``p / q`` with odd ``q``, small ones first; float64, shape (K,), K at least 1.
    """
    q = np.arange(1, _LARGEST_OF_PRODUCTS + 1, 2, dtype=np.float64)
    p = np.maximum(np.ceil(wanted * q), 1.0)
    # Where there is one numerator near enough, there may be the next.
    numerators, denominators = np.stack([p, p + 1], axis=1).ravel(), q.repeat(2)
    fractions = numerators / denominators
    fractions = fractions[fractions <= wanted * (1 + _RAISE)]
    if not fractions.size:
        return tie_free_multipliers(np.array([wanted]))
    _, places = np.unique(fractions, return_index=True)
    return np.asarray(fractions[np.sort(places)])


def raised(wanted: float) -> DoubleArray:
    """Scales to try, from ``wanted`` to 1 % above it: float64, shape (K,)."""
    return wanted * np.linspace(1.0, 1 + _RAISE, _CANDIDATES)


def tie_distances(steps: DoubleArray, zero_points: IntArray) -> DoubleArray:
    """How far exact results keep from ties, in steps of their uint8 grid.

    What saturates is far from any tie; what is not a number lies on one.

    Args:
        steps: Results over their scale: float64, shape (K, L).
        zero_points: Of the grids: int64, broadcast against them.

    Returns:
        The smallest distance of each row, float64, shape (K,), from 0 to 1/2.
    """
    inside = np.clip(np.nan_to_num(steps, nan=0.5), -zero_points, 255 - zero_points)
    return np.asarray(np.abs(inside % 1.0 - 0.5).min(axis=-1))


def tie_free_scale(levels: FloatArray, wanted: float) -> float:
    """The scale from ``wanted`` to 1 % above it by which no value in ``levels`` lies near a tie."""
    candidates = raised(wanted)
    fractions = np.remainder(levels.reshape(-1, 1) / candidates, 1.0)
    return float(candidates[np.argmax(np.abs(fractions - 0.5).min(axis=0))])
