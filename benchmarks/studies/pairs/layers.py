"""Layers that show which two of their weights meet in a saturating 16-bit sum.

Every output channel has two weights of 127, the others are 0, and the input is 255 everywhere. Two
products are 64770; where they are first added in a signed 16-bit integer, 32767 comes out instead.
A sum of four or more products in 16 bits would show as well: any two of them saturate it.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations
from typing import Annotated, Final, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, PositiveInt, model_validator

from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.spec import FrozenModel

PIXEL: Final = 255
WEIGHT: Final = 127

# Of the output of a convolution: the exact sums 0, 32385 and 64770 are its integers 0, 127, 254.
OUTPUT_SCALE: Final = 255.0

Pair = tuple[int, int]


class Order(StrEnum):
    """How the weights of an output channel stand in a row of which each two neighbours are added.

    The row's first weight meets the second, the third meets the fourth.
    """

    CHANNELS = "channels 2i, 2i + 1 at one position"
    FLATTENED = "neighbours in the flattened (kH, kW, C) order"


class Layer(FrozenModel):
    """A layer whose pairs are tried, all of them; one convolution after the other.

    Attributes:
        channels: Inputs of one group, or of the linear layer.
        kernel: Side of the kernel, odd; None for a linear layer.
        stride: Stride of the kernel.
        groups: Groups of the convolution; every pair is tried in each of them.
        outputs: Output channels of one group of one convolution: runtimes choose kernels by it.
        side: Side of the image, in pixels; a linear layer reads the pixels of whole channels.
        zero_point: Of the input, at scale 1: 255 stands for 255 - zero_point, as in a first layer,
            whose images have both signs.
        batch: Images at once.

    Raises:
        pydantic.ValidationError: The kernel is even, or a linear layer reads a part of a channel.
    """

    channels: PositiveInt
    kernel: PositiveInt | None = 3
    stride: PositiveInt = 1
    groups: PositiveInt = 1
    outputs: PositiveInt = 64
    side: PositiveInt = 8
    zero_point: Annotated[int, Field(ge=0, lt=PIXEL)] = 0
    batch: PositiveInt = 1

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        if self.kernel is not None and self.kernel % 2 == 0:
            raise ValueError(f"kernel: expected an odd side, found {self.kernel}")
        if self.kernel is None and self.channels % self.side**2:
            raise ValueError(
                f"channels: expected a multiple of the {self.side**2} pixels of a channel, "
                f"found {self.channels}"
            )
        return self

    @property
    def name(self) -> str:
        """For a table: "3 channels, 7x7 stride 2, 64 outputs, 64 px"."""
        if self.kernel is None:
            return f"linear, {self.channels} inputs, {self.outputs} outputs, batch {self.batch}"
        groups = f"{self.groups} groups of " if self.groups > 1 else ""
        stride = f" stride {self.stride}" if self.stride > 1 else ""
        zero_point = f", zero point {self.zero_point}" if self.zero_point else ""
        batch = f", batch {self.batch}" if self.batch > 1 else ""
        return (
            f"{groups}{self.channels} channel{'s' * (self.channels > 1)}, {self.kernel}x"
            f"{self.kernel}{stride}, {self.outputs} outputs, {self.side} px{zero_point}{batch}"
        )

    @property
    def positions(self) -> int:
        """Of the kernel: kH x kW."""
        return 1 if self.kernel is None else self.kernel**2

    @property
    def pairs(self) -> list[Pair]:
        """Any two weights of an output channel, by their indices in (C, kH, kW), flattened."""
        return list(combinations(range(self.channels * self.positions), 2))

    @property
    def parts(self) -> int:
        """How many convolutions it takes to try all pairs."""
        return -(-len(self.pairs) // self.outputs)

    @property
    def planes(self) -> int:
        """Channels of the image that it reads; a linear layer reads whole ones."""
        if self.kernel is None:
            return self.channels // self.side**2
        return self.channels * self.groups

    @property
    def repeats(self) -> int:
        """How often an image's 3 channels must be repeated for that."""
        return -(-self.planes // 3)

    def image(self) -> FloatArray:
        """The input: float32, shape (N, 3, H, W), everywhere the number whose integer is 255."""
        shape = (self.batch, 3, self.side, self.side)
        return np.full(shape, PIXEL - self.zero_point, dtype=np.float32)

    @property
    def values(self) -> int:
        """How many numbers all its convolutions give for an image."""
        positions = 1 if self.kernel is None else (-(-self.side // self.stride)) ** 2
        return self.parts * self.groups * self.outputs * positions

    def weights(self) -> npt.NDArray[np.int8]:
        """Of every convolution: shape (parts, groups * outputs, C, kH, kW), or (parts, O, K)."""
        rows = np.zeros((self.parts * self.outputs, self.channels * self.positions), dtype=np.int8)
        np.put_along_axis(rows, np.array(self.pairs)[self._tried()], WEIGHT, axis=1)
        if self.kernel is None:
            return rows.reshape(self.parts, self.outputs, self.channels)
        shape = (self.outputs, self.channels, self.kernel, self.kernel)
        grouped = np.repeat(rows.reshape(self.parts, 1, *shape), self.groups, axis=1)
        return grouped.reshape(self.parts, self.groups * self.outputs, *shape[1:])

    def saturating(self, logits: FloatArray) -> list[Pair]:
        """The pairs whose sum is wrong anywhere: in any image, group or position.

        Args:
            logits: What all convolutions give, one after the other: float32 (N, values).

        Raises:
            ValueError: There are more values or fewer than the layer has.
        """
        pairs, tried, exact = self.pairs, self._tried(), self._exact_sums()
        shape = (self.batch, self.parts, self.groups, self.outputs, exact.shape[-1])
        if logits.shape != (self.batch, self.values):
            expected_shape = (self.batch, self.values)
            raise ValueError(f"{self.name}: expected {expected_shape}, found {logits.shape}")
        expected = exact[tried].reshape(1, self.parts, 1, self.outputs, -1)
        # Rounding costs half a step of the output, saturation dozens of steps.
        wrong = np.abs(logits.reshape(shape) - expected) > OUTPUT_SCALE
        found = tried[wrong.any(axis=(0, 2, 4)).ravel()]
        return [pairs[index] for index in np.unique(found)]

    def _tried(self) -> npt.NDArray[np.int64]:
        """Which pair each output channel tries; the last convolution begins again to be full."""
        return np.resize(np.arange(len(self.pairs)), self.parts * self.outputs)

    def _exact_sums(self) -> FloatArray:
        """What each pair adds up to at each output position: shape (pairs, positions)."""
        if self.kernel is None:
            inside = np.ones((1, 1), dtype=np.int64)
        else:
            padded = np.pad(np.ones((self.side, self.side), np.int64), self.kernel // 2)
            windows = np.lib.stride_tricks.sliding_window_view(padded, (self.kernel, self.kernel))
            strided = windows[:: self.stride, :: self.stride]
            inside = strided.reshape(-1, self.positions).T
        first, second = (np.array(self.pairs) % self.positions).T
        product = (PIXEL - self.zero_point) * WEIGHT
        sums: FloatArray = (product * (inside[first] + inside[second])).astype(np.float32)
        return sums


def orders_of(pair: Pair, *, channels: int, positions: int) -> frozenset[Order]:
    """In which orders two weights meet.

    Args:
        pair: Indices in (C, kH, kW), flattened.
        channels: Channels of one group.
        positions: Positions of the kernel.
    """
    (channel, position), (other, elsewhere) = (divmod(index, positions) for index in pair)
    orders = set()
    if position == elsewhere and _meet(channel, other):
        orders.add(Order.CHANNELS)
    if _meet(position * channels + channel, elsewhere * channels + other):
        orders.add(Order.FLATTENED)
    return frozenset(orders)


def pairs_of(layer: Layer, order: Order) -> list[Pair]:
    """All pairs of a layer that meet in one order."""
    return [pair for pair in layer.pairs if order in orders_in(layer, pair)]


def orders_in(layer: Layer, pair: Pair) -> frozenset[Order]:
    """`orders_of` for a layer."""
    return orders_of(pair, channels=layer.channels, positions=layer.positions)


def outside_of(layer: Layer, pairs: Sequence[Pair], *orders: Order) -> list[Pair]:
    """Those that meet in none of some orders."""
    return [pair for pair in pairs if orders_in(layer, pair).isdisjoint(orders)]


def _meet(first: int, second: int) -> bool:
    """Whether two different places of a row are added first: 0 and 1, 2 and 3."""
    return first // 2 == second // 2
