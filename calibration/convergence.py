"""When more calibration images would not change the ranges any more."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from eightbit.calibration.collection import CalibrationResult
from eightbit.calibration.methods import Method, choose_params
from eightbit.calibration.qparams import QuantParams, dequantize

# A range has settled if, from one checkpoint to the next, its bounds together moved by no more
# than this share of its width: five of its 255 steps.
TOLERANCE: Final = 0.02
# For so many checkpoints in a row, each of 32 images.
CHECKPOINTS: Final = 2
# No more images than this, settled or not.
MAX_IMAGES: Final = 1024


def largest_change(
    before: Mapping[str, QuantParams], after: Mapping[str, QuantParams]
) -> tuple[str, float]:
    """The tensor whose range moved most, and by how much: ``(|dlow| + |dhigh|) / width``.

    The width is that of the range before, so a range that doubles has moved by one.

    Args:
        before: Parameters by tensor name at one checkpoint.
        after: The same tensors at the next one.

    Raises:
        ValueError: The tensors are not the same, or there is none.
    """
    if before.keys() != after.keys() or not before:
        raise ValueError(
            f"convergence: expected the same tensors twice, found {len(before)} and {len(after)}"
        )
    changes = {name: _change(params, after[name]) for name, params in before.items()}
    name = max(changes, key=lambda name: changes[name])
    return name, changes[name]


class Converged:
    """The stopping rule: no range moved by more than the tolerance for some checkpoints.

    It is what `collect` takes as ``until``. It remembers the last checkpoint, so each pass needs
    one of its own.

    Args:
        method: Whose ranges are watched; the one that will choose the parameters.
        tolerance: Largest relative change of a range that has settled.
        checkpoints: In a row without a larger change.
        max_images: Stop here, settled or not.

    Attributes:
        change: The tensor that moved most at the last checkpoint and by how much; None before
            the second.
        curve: The same for every checkpoint from the second on, with the images seen by then.
        settled: Whether the tolerance was kept for long enough.

    Raises:
        ValueError: A number is not positive.
    """

    def __init__(
        self,
        method: Method,
        *,
        tolerance: float = TOLERANCE,
        checkpoints: int = CHECKPOINTS,
        max_images: int = MAX_IMAGES,
    ) -> None:
        if tolerance <= 0 or checkpoints < 1 or max_images < 1:
            raise ValueError(
                "convergence: expected positive limits, found tolerance "
                f"{tolerance}, checkpoints {checkpoints}, max_images {max_images}"
            )
        self._method, self._tolerance = method, tolerance
        self._checkpoints, self._max_images = checkpoints, max_images
        self._quiet = 0
        self._last: Mapping[str, QuantParams] | None = None
        self.change: tuple[str, float] | None = None
        self.curve: list[tuple[int, tuple[str, float]]] = []

    @property
    def settled(self) -> bool:
        """Whether the tolerance was kept for long enough."""
        return self._quiet >= self._checkpoints

    def __call__(self, collected: CalibrationResult) -> bool:
        """Whether to stop, given what the images said so far."""
        ranges = {
            name: choose_params(statistics, self._method)
            for name, statistics in collected.tensors.items()
        }
        if self._last is not None:
            self.change = largest_change(self._last, ranges)
            self.curve.append((collected.images, self.change))
            self._quiet = self._quiet + 1 if self.change[1] <= self._tolerance else 0
        self._last = ranges
        return self.settled or collected.images >= self._max_images


def _change(before: QuantParams, after: QuantParams) -> float:
    (low, high), (new_low, new_high) = _bounds(before), _bounds(after)
    return (abs(new_low - low) + abs(new_high - high)) / (high - low)


def _bounds(params: QuantParams) -> tuple[float, float]:
    """The smallest and the largest number that the integers stand for."""
    low, high = dequantize(np.array([params.dtype.qmin, params.dtype.qmax]), params)
    return float(low), float(high)
