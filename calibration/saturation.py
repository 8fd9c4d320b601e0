"""Weights that no CPU adds up wrongly: the bound on pairs, and the least harmful way to keep it.

x86 without VNNI multiplies uint8 activations with int8 weights by ``vpmaddubsw``, which adds each
two neighbouring products in a signed 16-bit integer and saturates. With activations of 255 two
weights of one sign overflow it if their sum is beyond ``floor((2^15 - 1) / 255) = 128``; then large
activations silently count for less. (Other signs cannot: one product alone fits.) Which two weights
are neighbours is the runtime's choice. Found by experiment (docs/measured/pairs.md):

* an even number of input channels (of one group): channels ``2i`` and ``2i + 1`` at one position
  of the kernel, in oneDNN, FBGEMM and ONNX Runtime's MLAS alike;
* an odd number: oneDNN pairs the channels of one position, FBGEMM and MLAS the row of all inputs
  with the channels innermost, so that pairs reach across positions.

Where the orders differ, the bound is kept in both.
"""

from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from eightbit.calibration.qparams import (
    DoubleArray,
    FloatArray,
    IntArray,
    QuantParams,
    quantize,
    with_scale,
)

BoolArray = npt.NDArray[np.bool_]
_Number = TypeVar("_Number", np.int16, np.int64, np.float32, np.float64)

# The largest sum of two weights whose products with 255 a signed 16-bit integer holds.
PAIR_LIMIT: Final = 128

# Weights at a time: what is computed with them stays in the processor's caches.
_BLOCK: Final = 2**18


def channels_at_risk(weight: IntArray | npt.NDArray[np.int16]) -> BoolArray:
    """Whether an output channel saturates on a CPU without VNNI for some input, shape (O,).

    ``weight`` are integers in -128..127, shape (O, C, kH, kW) or (O, K), C per group.
    """
    # 16 bits hold any sum of two, and are read faster.
    return np.asarray((np.abs(_sums(weight.astype(np.int16))) > PAIR_LIMIT).any(axis=1))


def quantize_protected(weight: FloatArray, params: QuantParams) -> IntArray:
    """The integers nearest to a float32 weight that keep the bound, as int64; same shape."""
    return _keep_bound(quantize(weight, params), weight, params)


def outermost_protected(weight: FloatArray, params: QuantParams) -> IntArray:
    """Largest distance from zero at which each weight keeps the bound, as int64; same shape.

    Any integers between zero and these keep the bound.
    """
    scale, _ = params.broadcast(weight.ndim)
    away = np.abs(weight / scale)
    np.minimum(np.ceil(away, out=away), params.dtype.qmax, out=away)
    integers = np.copysign(away, weight, out=away).astype(np.int64)
    return _keep_bound(integers, weight, params)


def protect_scale(weight: FloatArray, params: QuantParams) -> QuantParams:
    """Parameters whose scales are raised by `protecting_factor`."""
    return with_scale(params, np.array(params.scale) * protecting_factor(weight, params))


def protecting_factor(weight: FloatArray, params: QuantParams) -> DoubleArray:
    """Factors, shape (O,), to raise the channels' scales by so that keeping the bound costs least.

    In squared units of the given scale, a scale raised by ``f`` rounds K weights with an error of
    ``K * f^2 / 12``, and what still exceeds the bound is clipped. Two weights with the sum ``t``
    then both lose half of the excess, ``(t - 128 f)^2 / 2`` in all. Factors are from 1 (clip alone)
    to 2 (clip nothing); ``params`` are those without the bound.
    """
    scale, _ = params.broadcast(weight.ndim)
    taps = weight[0].size
    factors = np.ones(len(weight))
    step = max(1, _BLOCK // taps)
    for start in range(0, len(weight), step):
        block = slice(start, start + step)
        real = np.clip(weight[block] / scale[block], params.dtype.qmin, params.dtype.qmax)
        factors[block] = _convex_minimum(_sums(real), taps)
    return factors


def _orders(weight: npt.NDArray[_Number]) -> tuple[npt.NDArray[_Number], ...]:
    """A weight in the order of each runtime, shape (O, K'), in which 2i and 2i + 1 meet."""
    channels = weight.shape[1]
    rows = weight.reshape(len(weight), channels, -1)
    paired = rows[:, : channels - channels % 2]
    # (O, C / 2, 2, positions): the two channels become neighbours.
    at_one_position = paired.reshape(len(rows), -1, 2, rows.shape[2]).swapaxes(2, 3)
    if channels % 2 == 0:
        return (at_one_position.reshape(len(rows), -1),)
    innermost = rows.swapaxes(1, 2).reshape(len(rows), -1)
    neighbours = innermost[:, : innermost.shape[1] - innermost.shape[1] % 2]
    return at_one_position.reshape(len(rows), -1), neighbours


def _sums(weight: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Sums of the weights that may meet, in any runtime: shape (O, pairs)."""
    orders = _orders(weight)
    return np.concatenate([order[:, 0::2] + order[:, 1::2] for order in orders], axis=1)


def _convex_minimum(sums: DoubleArray, taps: int) -> DoubleArray:
    """The best factor, from the sums of pairs in units of the scale: shape (O,).

    The error is convex in ``f``. With the m largest sums clipped, its derivative vanishes at
    ``f = 128 * sum(t) / (K / 6 + 128^2 * m)``.
    """
    sums = np.abs(sums)
    factors = np.ones(len(sums))
    # Only sums beyond the bound are ever clipped.
    beyond = (sums > PAIR_LIMIT).sum(axis=1)
    most = int(beyond.max(initial=0))
    if not most:
        return factors
    risky = np.flatnonzero(beyond)
    largest = -np.sort(-sums[risky], axis=1)[:, :most]
    count = np.arange(1, most + 1)
    vanishing = PAIR_LIMIT * np.cumsum(largest, axis=1) / (taps / 6 + PAIR_LIMIT**2 * count)
    # As many are clipped as it takes for the next sum to be within the bound.
    following = np.pad(largest[:, 1:], ((0, 0), (0, 1)))
    clipped = np.argmax(following <= PAIR_LIMIT * vanishing, axis=1)
    factors[risky] = np.maximum(vanishing[np.arange(len(risky)), clipped], 1.0)
    return factors


def _keep_bound(integers: IntArray, weight: FloatArray, params: QuantParams) -> IntArray:
    """Integers with those beyond the bound replaced by the nearest to the weights that keep it."""
    shape = integers.shape
    mended = integers.astype(np.int16)
    rows_of, scale = weight.reshape(shape[0], -1), np.array(params.scale)
    for index, places in enumerate(_orders(np.arange(weight[0].size).reshape(1, *shape[1:]))):
        order = _orders(mended.reshape(shape))[index]
        mended = mended.reshape(shape[0], -1)
        rows, pairs = np.nonzero(np.abs(order[:, 0::2] + order[:, 1::2]) > PAIR_LIMIT)
        # Where those weights stand in their rows.
        first, second = (rows, places[0, 2 * pairs]), (rows, places[0, 2 * pairs + 1])
        # What another order has mended stays within the bound if it only comes nearer to zero.
        one, other = (
            np.clip(rows_of[at] / scale[rows], -np.abs(mended[at]) - 0.5, np.abs(mended[at]) + 0.5)
            for at in (first, second)
        )
        limit = np.copysign(PAIR_LIMIT, mended[first] + mended[second])
        # Both give up the same: the nearest point on the line where their sum is the limit.
        mended[first] = np.rint((limit + one - other) / 2)
        mended[second] = limit - mended[first]
    return mended.reshape(shape).astype(np.int64)
