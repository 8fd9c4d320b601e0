"""When more calibration images would not change the ranges any more."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from eightbit.calibration.collection import IMAGES_PER_CHECKPOINT, CalibrationResult
from eightbit.calibration.qparams import QuantParams, dequantize
from eightbit.calibration.range_methods import Method, choose_params

# A range has settled if, from one checkpoint to the next, its bounds together moved by no more
# than this share of its width: five of its 255 steps.
TOLERANCE: Final = 0.02
# For so many checkpoints in a row, each of 32 images.
CHECKPOINTS: Final = 2
# No more images than this, settled or not.
MAX_IMAGES: Final = 1024

# A fixed number of images is looked at so often on the way.
_LOOKS: Final = 4
# Methods that search for a range take longer, at every look, than a few images do. Where ranges are
# only watched, the percentiles stand for theirs: a tenth of the time.
_CHEAP: Final = frozenset({Method.MINMAX, Method.MOVING_AVERAGE, Method.PERCENTILE})


def watched_method(method: Method) -> Method:
    """The method whose ranges are watched where another may be too slow to ask again and again."""
    return method if method in _CHEAP else Method.PERCENTILE


def images_per_look(samples: int) -> int:
    """After how many images each to look at ranges that are only watched: whole checkpoints."""
    return max(1, math.ceil(samples / (_LOOKS * IMAGES_PER_CHECKPOINT))) * IMAGES_PER_CHECKPOINT


def largest_change(
    before: Mapping[str, QuantParams], after: Mapping[str, QuantParams]
) -> tuple[str, float]:
    """The tensor whose range moved most, and by how much: ``(|dlow| + |dhigh|) / width``.

    The width is that of the range before, so a range that doubles has moved by one.

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


class Watched:
    """Records how far ranges move from checkpoint to checkpoint; it never stops a collection.

    It is `collect`'s ``until`` and remembers the last checkpoint, so each pass needs its own.

    Attributes:
        change: The tensor that moved most at the last checkpoint and by how much; None before
            the second.
        curve: The same for every checkpoint from the second on, with the images seen by then.
    """

    def __init__(self, method: Method) -> None:
        self.method = method
        self._last: Mapping[str, QuantParams] | None = None
        self.change: tuple[str, float] | None = None
        self.curve: list[tuple[int, tuple[str, float]]] = []

    def __call__(self, collected: CalibrationResult) -> bool:
        """Whether to stop, given what the images said so far: never."""
        ranges = {
            name: choose_params(statistics, self.method)
            for name, statistics in collected.tensors.items()
        }
        if self._last is not None:
            self.change = largest_change(self._last, ranges)
            self.curve.append((collected.images, self.change))
        self._last = ranges
        return False


class Converged(Watched):
    """The stopping rule: no range moved by more than the tolerance for some checkpoints.

    Args:
        method: The method whose ranges are watched; it also chooses the parameters.
        tolerance: Largest relative change of a range that has settled.
        checkpoints: In a row without a larger change.
        max_images: Stop here, settled or not.

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
        super().__init__(method)
        self._tolerance, self._checkpoints = tolerance, checkpoints
        self._max_images = max_images
        self._quiet = 0

    @property
    def settled(self) -> bool:
        """Whether the tolerance was kept for long enough."""
        return self._quiet >= self._checkpoints

    def __call__(self, collected: CalibrationResult) -> bool:
        """Whether to stop, given what the images said so far."""
        super().__call__(collected)
        if self.change is not None:
            self._quiet = self._quiet + 1 if self.change[1] <= self._tolerance else 0
        return self.settled or collected.images >= self._max_images


def _change(before: QuantParams, after: QuantParams) -> float:
    (low, high), (new_low, new_high) = _bounds(before), _bounds(after)
    return (abs(new_low - low) + abs(new_high - high)) / (high - low)


def _bounds(params: QuantParams) -> tuple[float, float]:
    """The smallest and the largest number that the integers stand for."""
    low, high = dequantize(np.array([params.dtype.qmin, params.dtype.qmax]), params)
    return float(low), float(high)
