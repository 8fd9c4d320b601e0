"""A histogram whose grid grows by doubling, so that no element is ever interpolated.

Its bins are ``2^k / 8192`` wide, ``k`` the smallest exponent with ``max|x| < 2^k``. When a larger
value comes, ``k`` grows and neighbouring bins are added up, exact as a floor division by two.
So a histogram is a function of the set of values alone, and merging two is exact.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BINS_PER_SIDE = 8192

# An all-zero tensor has no exponent of its own; this one gives way to any other. Smaller values
# than this are all in the two bins beside zero.
SMALLEST_EXPONENT = -100

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


def exponent_of(largest: float) -> int:
    """The smallest ``k >= SMALLEST_EXPONENT`` with ``largest < 2^k``, for ``largest >= 0``."""
    # frexp would say 0 for zero.
    return max(math.frexp(largest)[1], SMALLEST_EXPONENT) if largest else SMALLEST_EXPONENT


@dataclass(frozen=True, kw_only=True, eq=False)
class Histogram:
    """Counts of elements by bin, from the first occupied bin to the last.

    Attributes:
        exponent: ``k``; the bins cover ``-2^k <= x < 2^k``.
        first: Number of the first bin; bin ``i`` covers ``i * width <= x < (i + 1) * width``.
        counts: int64, shape (B,), made read-only: neither the first nor the last is zero.

    Raises:
        ValueError: There is no element, an end is not occupied, or a bin lies outside the grid.
    """

    exponent: int
    first: int
    counts: Counts

    def __post_init__(self) -> None:
        if self.counts.ndim != 1 or not len(self.counts) or not self.counts[[0, -1]].all():
            raise ValueError("expected a histogram that starts and ends with an occupied bin")
        if self.first < -BINS_PER_SIDE or self.first + len(self.counts) > BINS_PER_SIDE:
            raise ValueError(
                f"expected bins {-BINS_PER_SIDE}..{BINS_PER_SIDE - 1}, found "
                f"{self.first}..{self.first + len(self.counts) - 1}"
            )
        self.counts.flags.writeable = False

    @classmethod
    def from_grid(cls, exponent: int, counts: Counts) -> "Histogram":
        """A histogram from the counts of the whole grid, int64, shape (16384,); copies them."""
        (used,) = np.nonzero(counts)
        if not len(used):
            raise ValueError("expected a histogram of at least one element, found none")
        occupied = counts[used[0] : used[-1] + 1].copy()
        return cls(exponent=exponent, first=int(used[0]) - BINS_PER_SIDE, counts=occupied)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return (self.exponent, self.first) == (other.exponent, other.first) and bool(
            np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def width(self) -> float:
        """Width of a bin, in the tensor's own unit."""
        return math.ldexp(1.0, self.exponent) / BINS_PER_SIDE

    def centres(self) -> Values:
        """Representative value of each bin, ascending: float64, shape (B,).

        A bin that touches zero from above represents zero, as most elements are after a ReLU.
        """
        bins = np.arange(self.first, self.first + len(self.counts), dtype=np.float64)
        values: Values = (bins + 0.5) * self.width
        if 0 <= -self.first < len(values):
            values[-self.first] = 0.0
        return values

    def grid(self) -> Counts:
        """A copy of the counts of the whole grid, int64, shape (16384,)."""
        counts = np.zeros(2 * BINS_PER_SIDE, dtype=np.int64)
        start = self.first + BINS_PER_SIDE
        counts[start : start + len(self.counts)] = self.counts
        return counts

    def coarsened(self, exponent: int) -> "Histogram":
        """The same elements on the grid of an exponent that is no smaller."""
        doublings = exponent - self.exponent
        if doublings == 0:
            return self
        # >> floors, for negative bins as well: what a division of the values would have given.
        bins = np.arange(self.first, self.first + len(self.counts)) >> min(doublings, 62)
        counts = np.zeros(bins[-1] - bins[0] + 1, dtype=np.int64)
        np.add.at(counts, bins - bins[0], self.counts)
        return Histogram(exponent=exponent, first=int(bins[0]), counts=counts)

    def merge(self, other: "Histogram") -> "Histogram":
        """The histogram of both sets of elements together, exactly."""
        exponent = max(self.exponent, other.exponent)
        a, b = self.coarsened(exponent), other.coarsened(exponent)
        first = min(a.first, b.first)
        last = max(a.first + len(a.counts), b.first + len(b.counts))
        counts = np.zeros(last - first, dtype=np.int64)
        for part in (a, b):
            counts[part.first - first : part.first - first + len(part.counts)] += part.counts
        return Histogram(exponent=exponent, first=first, counts=counts)
