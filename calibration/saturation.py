"""Weights that no CPU adds up wrongly: the bound on pairs, and the least harmful way to keep it.

x86 without VNNI multiplies uint8 activations with int8 weights by ``vpmaddubsw``, which adds each
two neighbouring products in a signed 16-bit integer and saturates. With activations of 255 two
weights of one sign overflow it if their sum is beyond ``floor((2^15 - 1) / 255) = 128``; then large
activations silently count for less. (Other signs cannot: one product alone fits.) Which two weights
are neighbours is the runtime's choice. Found by experiment (docs/portability.md):

* an even number of input channels (of one group): channels ``2i`` and ``2i + 1`` at one position
  of the kernel, in oneDNN, FBGEMM and ONNX Runtime's MLAS alike;
* an odd number: oneDNN pairs the channels of one position, FBGEMM and MLAS the row of all inputs
  with the channels innermost, so that pairs reach across positions.

Here only channel counts that are a multiple of four, to which every kernel packs, are trusted to be
paired so; otherwise any two weights of an output channel may meet.
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
_Number = TypeVar("_Number", np.int64, np.float32, np.float64)

# The largest sum of two weights whose products with 255 a signed 16-bit integer holds.
PAIR_LIMIT: Final = 128

# Channels are paired two by two for certain if their number is a multiple of this.
_PACKED_CHANNELS: Final = 4

# Of a scale, where no formula says which is best.
_FACTORS: Final = np.linspace(1.0, 2.0, 33)

# Weights at a time: what is computed with them stays in the processor's caches.
_BLOCK: Final = 2**18


def channels_at_risk(weight: IntArray) -> BoolArray:
    """Whether an output channel saturates on a CPU without VNNI, for some input.

    Args:
        weight: Integers in -128..127, shape (O, C, kH, kW) or (O, K), C the input channels of
            one group.

    Returns:
        Shape (O,).
    """
    sums = _pair_sums(weight) if _is_packed(weight) else _largest_sums(weight)
    return np.asarray((np.abs(sums) > PAIR_LIMIT).any(axis=1))


def quantize_protected(weight: FloatArray, params: QuantParams) -> IntArray:
    """The integers nearest to a weight that keep the bound, as int64; same shape as ``weight``.

    Args:
        weight: float32, shape (O, C, kH, kW) or (O, K).
        params: Its int8 parameters.
    """
    return _keep_bound(quantize(weight, params), weight, params)


def outermost_protected(weight: FloatArray, params: QuantParams) -> IntArray:
    """How far from zero each weight may be rounded, as int64; same shape as ``weight``.

    Whatever is chosen between zero and these integers keeps the bound.

    Args:
        weight: float32, shape (O, C, kH, kW) or (O, K).
        params: Its int8 parameters.
    """
    scale, _ = params.broadcast(weight.ndim)
    away = np.abs(weight / scale)
    np.minimum(np.ceil(away, out=away), params.dtype.qmax, out=away)
    integers = np.copysign(away, weight, out=away).astype(np.int64)
    return _keep_bound(integers, weight, params)


def protect_scale(weight: FloatArray, params: QuantParams) -> QuantParams:
    """Parameters whose scales are raised by as much as keeping the bound asks for.

    Args:
        weight: float32, shape (O, C, kH, kW) or (O, K).
        params: Its int8 parameters without the bound.
    """
    return with_scale(params, np.array(params.scale) * protecting_factor(weight, params))


def protecting_factor(weight: FloatArray, params: QuantParams) -> DoubleArray:
    """By which factor to raise each channel's scale so that keeping the bound costs least.

    In squared units of the given scale, a scale raised by ``f`` rounds K weights with an error of
    ``K * f^2 / 12``, and what still exceeds the bound is clipped. Two weights with the sum ``t``
    then both lose half of what is too much, ``(t - 128 f)^2 / 2`` in all.

    Args:
        weight: float32, shape (O, C, kH, kW) or (O, K).
        params: Its int8 parameters without the bound.

    Returns:
        Shape (O,), from 1 (clip alone) to 2 (clip nothing).
    """
    scale, _ = params.broadcast(weight.ndim)
    factors = np.ones(len(weight))
    rows = max(1, _BLOCK // weight[0].size)
    find = _convex_minimum if _is_packed(weight) else _grid_minimum
    for start in range(0, len(weight), rows):
        block = slice(start, start + rows)
        real = np.clip(weight[block] / scale[block], params.dtype.qmin, params.dtype.qmax)
        factors[block] = find(real)
    return factors


def _is_packed(weight: npt.NDArray[np.generic]) -> bool:
    """Whether channels meet two by two in every runtime."""
    return int(weight.shape[1]) % _PACKED_CHANNELS == 0


def _pair_sums(weight: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
    """Sums of the weights of channels 2i and 2i + 1: shape (O, pairs)."""
    first, second = _pairs(weight)
    return (first + second).reshape(len(weight), -1)


def _pairs(
    weight: npt.NDArray[_Number],
) -> tuple[npt.NDArray[_Number], npt.NDArray[_Number]]:
    """The weights of channels 2i, and of channels 2i + 1: views of shape (O, ..., C / 2)."""
    # Channels last, as fused convolutions hold them: then both are read in one sweep.
    inner = np.moveaxis(weight, 1, -1)
    return inner[..., 0::2], inner[..., 1::2]


def _largest_sums(weight: IntArray) -> IntArray:
    """The two sums of two weights that are farthest from zero: shape (O, 2)."""
    ordered = np.sort(weight.reshape(len(weight), -1), axis=1)
    return np.stack([ordered[:, :2].sum(axis=1), ordered[:, -2:].sum(axis=1)], axis=1)


def _convex_minimum(real: DoubleArray) -> DoubleArray:
    """The factor for weights in units of their scale, where they meet two by two: shape (O,).

    The error is convex in ``f``. With the m largest sums clipped, its derivative vanishes at
    ``f = 128 * sum(t) / (K / 6 + 128^2 * m)``.
    """
    sums = np.abs(_pair_sums(real))
    factors = np.ones(len(real))
    risky = np.flatnonzero((sums > PAIR_LIMIT).any(axis=1))
    # Only sums beyond the bound are ever clipped.
    most = int((sums > PAIR_LIMIT).sum(axis=1).max(initial=0))
    if not most:
        return factors
    largest = -np.sort(-sums[risky], axis=1)[:, :most]
    count = np.arange(1, most + 1)
    taps = real[0].size
    vanishing = PAIR_LIMIT * np.cumsum(largest, axis=1) / (taps / 6 + PAIR_LIMIT**2 * count)
    # As many are clipped as it takes for the next sum to be within the bound.
    following = np.pad(largest[:, 1:], ((0, 0), (0, 1)))
    clipped = np.argmax(following <= PAIR_LIMIT * vanishing, axis=1)
    factors[risky] = np.maximum(vanishing[np.arange(len(risky)), clipped], 1.0)
    return factors


def _grid_minimum(real: DoubleArray) -> DoubleArray:
    """The same where any two weights may meet."""
    rows = real.reshape(len(real), -1)
    errors = []
    for factor in _FACTORS:
        clipping = sum(_best_cap(side * rows / factor)[1] for side in (1, -1))
        errors.append(factor**2 * (rows.shape[1] / 12 + clipping))
    best: DoubleArray = _FACTORS[np.argmin(errors, axis=0)]
    return best


def _keep_bound(integers: IntArray, weight: FloatArray, params: QuantParams) -> IntArray:
    """Replaces integers beyond the bound by the nearest to the weights that keep it, in place."""
    (_mend_pairs if _is_packed(weight) else _mend_any)(integers, weight, params)
    return integers


def _mend_pairs(integers: IntArray, weight: FloatArray, params: QuantParams) -> None:
    first, second = _pairs(integers)
    sums = first + second
    # Few, and NumPy finds them many times faster in one dimension.
    over = np.unravel_index(np.flatnonzero(np.abs(sums) > PAIR_LIMIT), sums.shape)
    scale = np.array(params.scale)[over[0]]
    real = [
        np.clip(side[over] / scale, params.dtype.qmin, params.dtype.qmax) for side in _pairs(weight)
    ]
    limit = np.copysign(PAIR_LIMIT, sums[over])
    # Both give up the same: the nearest point on the line where their sum is the limit.
    mended = np.rint((limit + real[0] - real[1]) / 2)
    first[over] = mended
    second[over] = limit - mended


def _mend_any(integers: IntArray, weight: FloatArray, params: QuantParams) -> None:
    at_risk = np.flatnonzero(channels_at_risk(integers))
    if not at_risk.size:
        return
    scale, _ = params.broadcast(weight.ndim)
    real = np.clip(weight[at_risk] / scale[at_risk], params.dtype.qmin, params.dtype.qmax)
    for side in (1, -1):
        rows = side * real.reshape(len(real), -1)
        cap, _ = _best_cap(rows)
        caps = np.repeat(cap[:, np.newaxis], rows.shape[1], axis=1)
        caps[np.arange(len(rows)), rows.argmax(axis=1)] = PAIR_LIMIT - cap
        capped = np.minimum(side * integers[at_risk], caps.reshape(real.shape))
        integers[at_risk] = side * capped


def _best_cap(rows: DoubleArray) -> tuple[IntArray, DoubleArray]:
    """What all positive weights but the largest may be at most, if the largest takes the rest.

    Args:
        rows: Weights in units of their scale, shape (O, K).

    Returns:
        The cap of least squared error, in 1..64, and that error; both of shape (O,).
    """
    largest = rows.max(axis=1)
    best = np.full(len(rows), PAIR_LIMIT // 2, dtype=np.int64)
    least = np.full(len(rows), np.inf)
    for cap in range(PAIR_LIMIT // 2, 0, -1):
        over = np.maximum(rows - cap, 0.0)
        error = np.einsum("ok,ok->o", over, over) - np.maximum(largest - cap, 0.0) ** 2
        error += np.maximum(largest - (PAIR_LIMIT - cap), 0.0) ** 2
        better = error < least
        best[better], least[better] = cap, error[better]
    return best, least
