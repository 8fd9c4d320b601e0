"""The magnitudes of the channels between convolutions, balanced: numbers only.

`equalization` says why, and rescales the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from torch import nn

from eightbit.calibration.qparams import DoubleArray
from eightbit.quantize.network.fusion import float_parameters
from eightbit.quantize.recipe.tables import MAX_EXPONENT, Int8Array

# A bias so many times the weights' norm makes a nearly constant channel, whose magnitude is the
# bias: what training has shut off must not be blown up because its weights are small.
_BIAS_DOMINATES: Final = 4.0

_SWEEPS: Final = 200
_CONVERGED: Final = 1e-6


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What would balance a chain of convolutions.

    Attributes:
        exponents: Per convolution but the last one int8, shape (O,): its output channel ``i`` times
            ``2^e_i``, the next one's input channel ``i`` divided by it.
        saved_bits: By how many bits the widest channel of an activation, and the widest input
            channel of the weights that read it, come closer to the others: their sum, where it is
            largest.
    """

    exponents: tuple[Int8Array, ...]
    saved_bits: float


def balance(chain: Sequence[nn.Conv2d]) -> Balance:
    """Exponents with which each channel's incoming and outgoing weights have like norms.

    Args:
        chain: Convolutions each of which feeds the next one alone.
    """
    energies = [_energy(layer) for layer in chain]
    if not all(np.isfinite(energy).all() for energy in energies):
        # Damaged weights are refused where scales are chosen, by their layer's name.
        untouched = (np.zeros(layer.out_channels, dtype=np.int8) for layer in chain[:-1])
        return Balance(exponents=tuple(untouched), saved_bits=0.0)
    exact = _balanced_logs(energies)
    exponents, saved = [], [0.0]
    for index, layer in enumerate(chain[:-1]):
        incoming, outgoing = _incoming(energies, exact, index), _outgoing(energies, exact, index)
        _, bias = float_parameters(layer)
        squared = bias.astype(np.float64) ** 2
        constant = squared > _BIAS_DOMINATES**2 * incoming
        magnitude = np.where(constant, incoming + squared, incoming)
        exponent = _rounded(_half_log_ratio(outgoing, magnitude))
        exponents.append(exponent)
        saved.append(_saved(incoming + squared, exponent) + _saved(outgoing, -exponent))
    return Balance(exponents=tuple(exponents), saved_bits=max(saved))


def _energy(layer: nn.Conv2d) -> DoubleArray:
    """Squared norm of each kernel: (O, I), zero where groups do not connect."""
    weight, _ = float_parameters(layer)
    kernels: DoubleArray = np.square(weight, dtype=np.float64).sum(axis=(2, 3))
    if layer.groups == 1:
        return kernels
    dense = np.zeros((layer.out_channels, layer.in_channels))
    rows, columns = layer.out_channels // layer.groups, kernels.shape[1]
    for group in range(layer.groups):
        row, column = group * rows, group * columns
        dense[row : row + rows, column : column + columns] = kernels[row : row + rows]
    return dense


def _balanced_logs(energies: Sequence[DoubleArray]) -> list[DoubleArray]:
    """Real exponents of balance: shape (O,) per convolution but the last.

    A channel's factor changes the norms that its neighbours see, so they are set in turn until
    nothing moves, as in Osborne's balancing of matrices (J. ACM 7(4), 1960). The sum of squares
    that it minimises is convex in the exponents: the end does not depend on the start.
    """
    logs = [np.zeros(len(energy)) for energy in energies[:-1]]
    for _ in range(_SWEEPS):
        moved = 0.0
        for index, before in enumerate(logs):
            logs[index] = _half_log_ratio(
                _outgoing(energies, logs, index), _incoming(energies, logs, index)
            )
            moved = max(moved, float(np.abs(logs[index] - before).max()))
        if moved < _CONVERGED:
            break
    return logs


def _incoming(
    energies: Sequence[DoubleArray], logs: Sequence[DoubleArray], index: int
) -> DoubleArray:
    """Squared norm of each output channel's weights, its input already rescaled."""
    energy = energies[index]
    return energy.sum(axis=1) if index == 0 else energy @ np.exp2(-2 * logs[index - 1])


def _outgoing(
    energies: Sequence[DoubleArray], logs: Sequence[DoubleArray], index: int
) -> DoubleArray:
    """Squared norm of the next convolution's weights for each channel, its output rescaled."""
    energy = energies[index + 1]
    last = index + 1 == len(logs)
    return energy.sum(axis=0) if last else np.exp2(2 * logs[index + 1]) @ energy


def _half_log_ratio(outgoing: DoubleArray, incoming: DoubleArray) -> DoubleArray:
    """``log2 sqrt(r2 / r1)`` from squared norms; 0 for a dead channel, which stays as it is."""
    alive = (outgoing > 0) & (incoming > 0)
    ratio = np.divide(outgoing, incoming, out=np.ones_like(outgoing), where=alive)
    return np.log2(ratio) / 4


def _rounded(exact: DoubleArray) -> Int8Array:
    """Whole exponents, 0 for the middle channel.

    Where the roundings' borders lie must not depend on powers of two that the channels were scaled
    by before: they lie opposite the mean of the fractions, as points of a circle.
    """
    turn = np.exp(2j * np.pi * exact).sum()
    phase = float(np.angle(turn)) / (2 * np.pi)
    whole = np.floor(exact - phase + 0.5)
    middle = np.sort(whole)[len(whole) // 2]
    exponents: DoubleArray = np.clip(whole - middle, -MAX_EXPONENT, MAX_EXPONENT)
    return exponents.astype(np.int8)


def _saved(squared: DoubleArray, exponent: Int8Array) -> float:
    """Bits by which the largest of some channels gets smaller, from squared magnitudes."""
    after = squared * np.exp2(2.0 * exponent)
    largest = float(squared.max())
    return float(np.log2(largest / after.max())) / 2 if largest > 0 else 0.0
