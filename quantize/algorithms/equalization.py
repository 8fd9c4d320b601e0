"""Cross-layer equalisation: channels that a checkpoint scales badly get a common scale again.

Between two convolutions a channel can be multiplied by any positive number, if the next layer's
weights for it are divided by the same: ReLU lets it through, and the network computes the same.
Float does not care. Integers do: one scale serves all channels of an activation, so a channel that
is large for no reason takes the resolution of all the others.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction"
(arXiv:1906.04721), section 4.1, with three differences:

* Factors are powers of two: the float function stays the same to the last bit (short of numbers
  that leave float32's normal range), and int8 exponents describe them.
* A channel's magnitude is the Euclidean norm of its weights, not their largest. Gradient descent
  itself keeps a channel's incoming and outgoing norms alike (Du et al., arXiv:1806.00900,
  corollary 2.1), so in a network as it comes out of training the ratio is nearly the same for all
  channels, and powers of two change nothing. The factors undo a rescaling; they do not invent one.
* By default only where it saves range: see `_SAVED_BITS`.

Only what lies inside a residual block is rescaled. A residual stream has several producers, which
would have to share their factors, through shortcuts that move channels in the CIFAR networks.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from eightbit.calibration.qparams import DoubleArray
from eightbit.models.errors import InputError
from eightbit.models.torch_state import own_state
from eightbit.quantize.config import Equalize
from eightbit.quantize.network.fusion import float_parameters
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.operators import activation_of
from eightbit.quantize.recipe.tables import MAX_EXPONENT, Int8Array, Int8Table

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
        saved_bits: Bits by which the widest channels of an activation and of the weights that read
            it come closer to the others, summed; the maximum over the chain.
    """

    exponents: tuple[Int8Array, ...]
    saved_bits: float


def balance(chain: Sequence[nn.Conv2d]) -> Balance:
    """Exponents that equalise each channel's incoming and outgoing weight norms along the chain.

    Each convolution of the chain is the only reader of the one before it.
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

    Rounding must not depend on powers of two that the channels were scaled by before: its borders
    lie opposite the circular mean of the fractions.
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


Int32Array = npt.NDArray[np.int32]

# `auto` equalises a chain of convolutions where this saves more bits of range than so, in an
# activation and the weights that read it together. As they come out of training, no chain of the
# four networks of docs/measured/peers.md would save more than 0.05; scaled by 2^-4..2^4, 8.
_SAVED_BITS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Equalized:
    """A rescaled network that computes the same function.

    Attributes:
        network: The rescaled float network; the given one where nothing was rescaled.
        exponents: For each rescaled convolution int8 exponents, shape (O,): output channel ``i``
            was multiplied by ``2^e_i``, and input channel ``i`` of the next one divided by it.
    """

    network: Network
    exponents: Mapping[str, Int8Table]


@own_state()
def equalize(network: Network, choice: Equalize) -> Equalized:
    """Rescale the channels between convolutions: never, everywhere, or where it saves range.

    Data-free and canonical: whatever powers of two the channels were scaled by before, the result
    is the same network, but for one common factor per layer, which costs integers nothing.
    """
    exponents: dict[str, Int8Table] = {}
    if choice is not Equalize.OFF:
        layers = _convolutions(network)
        for chain in _chains(network):
            balanced = balance([layers[name] for name in chain])
            if choice is Equalize.AUTO and balanced.saved_bits <= _SAVED_BITS:
                continue
            found = zip(chain[:-1], balanced.exponents, strict=True)
            exponents |= {name: Int8Table(exponent) for name, exponent in found if exponent.any()}
    return Equalized(network=apply_exponents(network, exponents), exponents=exponents)


def apply_exponents(network: Network, exponents: Mapping[str, Int8Table]) -> Network:
    """A copy rescaled by `equalize`'s exponents; the given network where there are none.

    Raises:
        InputError: The exponents are not for such a network.
    """
    if not exponents:
        return network
    rescaled = Network(module=copy.deepcopy(network.module), spec=network.spec)
    layers = _convolutions(rescaled)
    following = {name: after for chain in _chains(rescaled) for name, after in pairwise(chain)}
    for name, table in exponents.items():
        exponent = table.values.astype(np.int32)
        if name not in following:
            raise InputError(
                f"exponents: {name}: expected a convolution before another, found none"
            )
        if exponent.shape != (len(layers[name].weight),):
            raise InputError(
                f"exponents: {name}: expected {len(layers[name].weight)} numbers, found "
                f"{exponent.size}"
            )
        _rescale(layers[name], layers[following[name]], exponent)
    return rescaled


def _rescale(layer: nn.Conv2d, following: nn.Conv2d, exponent: Int32Array) -> None:
    """Multiply output channels by ``2^e``, and divide the next layer's input channels by it."""
    weight, bias = float_parameters(layer)
    _overwrite(layer.weight, np.ldexp(weight, exponent.reshape(-1, *[1] * (weight.ndim - 1))))
    if layer.bias is not None:
        _overwrite(layer.bias, np.ldexp(bias, exponent))
    weight, _ = float_parameters(following)
    channels = _by_input_channel(following, -exponent)
    _overwrite(following.weight, np.ldexp(weight, channels.reshape(*channels.shape, 1, 1)))


def _overwrite(parameter: torch.Tensor, value: npt.NDArray[np.float32]) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(value))


def _by_input_channel(layer: nn.Conv2d, values: Int32Array) -> Int32Array:
    """One value per input channel (I,) as one per kernel (O, I / groups)."""
    return np.repeat(values.reshape(layer.groups, -1), layer.out_channels // layer.groups, axis=0)


def _convolutions(network: Network) -> dict[str, nn.Conv2d]:
    layers = network.layers
    return {name: layer for name, layer in layers.items() if isinstance(layer, nn.Conv2d)}


def _chains(network: Network) -> Iterator[list[str]]:
    """Names of convolutions of which each feeds the next one and nothing else, two or more."""
    layers = _convolutions(network)
    following: dict[str, str] = {}
    for node in network.graph.nodes:
        users = list(node.users)
        if str(node.target) in layers and len(users) == 1 and str(users[0].target) in layers:
            module = network.traced.get_submodule(str(node.target))
            # A bound stays where it is, whatever a channel is multiplied by.
            if not isinstance(activation_of(module), nn.Hardtanh):
                following[str(node.target)] = str(users[0].target)
    inner = set(following.values())
    for head in following:
        if head in inner:
            continue
        chain = [head]
        while chain[-1] in following:
            chain.append(following[chain[-1]])
        yield chain
