"""What one pass over the images leaves of a tensor: exact extremes and a bounded histogram.

The histogram's grid does not depend on the data's order. Its bins are ``2^k / 8192`` wide, ``k``
the smallest exponent with ``max|x| < 2^k``; when a larger value comes, ``k`` grows and
neighbouring bins are added up, which floor division by two does without any error. So the result
is a function of the set of values alone: it neither depends on their order nor on how they were
split, and merging two results gives exactly the result of the union.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS_PER_SIDE = 8192
_BINS = 2 * BINS_PER_SIDE

# An all-zero tensor has no exponent of its own; this one gives way to any other. Smaller values
# than this are all in the two bins beside zero.
SMALLEST_EXPONENT = -100


def exponent_of(largest: float) -> int:
    """The smallest ``k >= SMALLEST_EXPONENT`` with ``largest < 2^k``, for ``largest >= 0``."""
    # frexp would say 0 for zero.
    return max(math.frexp(largest)[1], SMALLEST_EXPONENT) if largest else SMALLEST_EXPONENT


def coarsen(counts: npt.NDArray[np.int64], doublings: int) -> npt.NDArray[np.int64]:
    """The same counts on bins ``2^doublings`` times as wide; shape (16384,) in and out.

    Without a doubling it is the very same array, not a copy.
    """
    if doublings == 0:
        return counts
    used = np.flatnonzero(counts)
    coarse = np.zeros_like(counts)
    # >> floors, for negative bins as well: what a division of the values would have given.
    index = ((used - BINS_PER_SIDE) >> min(doublings, 62)) + BINS_PER_SIDE
    np.add.at(coarse, index, counts[used])
    return coarse


@dataclass(frozen=True, kw_only=True, eq=False)
class TensorStatistics:
    """The statistics of one tensor.

    Attributes:
        low: Exact minimum of all elements.
        high: Exact maximum of all elements.
        exponent: ``k``; the bins cover ``-2^k <= x < 2^k``.
        counts: int64, shape (16384,), made read-only: the sampled elements by bin, ascending.

    Raises:
        ValueError: A bound is not finite, ``low > high``, or there are not 16384 counts.
    """

    low: float
    high: float
    exponent: int
    counts: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise ValueError(f"expected finite low <= high, found {self.low}..{self.high}")
        if self.counts.shape != (_BINS,):
            raise ValueError(f"expected {_BINS} bins, found shape {self.counts.shape}")
        self.counts.flags.writeable = False

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TensorStatistics):
            return NotImplemented
        return (
            (self.low, self.high, self.exponent) == (other.low, other.high, other.exponent)
        ) and bool(np.array_equal(self.counts, other.counts))

    __hash__ = None  # type: ignore[assignment]

    @property
    def bin_width(self) -> float:
        """Width of a bin, in the tensor's own unit."""
        return math.ldexp(1.0, self.exponent) / BINS_PER_SIDE

    def occupied(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Centres and counts of the bins that hold anything, ascending; shapes (B,), (B,).

        Centres lie inside ``low..high``. A bin that touches zero from above stands for zero
        itself: after a ReLU that is where most elements are, and they are exact.
        """
        used = np.flatnonzero(self.counts)
        index = used - BINS_PER_SIDE
        centres = np.where(index == 0, 0.0, (index + 0.5) * self.bin_width)
        return np.clip(centres, self.low, self.high), self.counts[used].astype(np.float64)

    def merge(self, other: "TensorStatistics") -> "TensorStatistics":
        """The statistics of both sets of elements together, exactly."""
        exponent = max(self.exponent, other.exponent)
        return TensorStatistics(
            low=min(self.low, other.low),
            high=max(self.high, other.high),
            exponent=exponent,
            counts=coarsen(self.counts, exponent - self.exponent)
            + coarsen(other.counts, exponent - other.exponent),
        )
