"""Whether a model that says 90 % is right nine times in ten."""

from typing import Final

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.accuracy.heads import DoubleArray
from eightbit.models.spec import Count, Fraction, FrozenModel

CONFIDENCE_BINS: Final = 15  # as in the paper that `ConfidenceResult` names


class ConfidenceBin(FrozenModel):
    """Images to whose predicted class a model gives about the same probability.

    Attributes:
        images: How many there are.
        mean_confidence: Mean probability of the predicted class; None without images.
        accuracy: Fraction of them whose predicted class is the label; None without images.
    """

    images: Count
    mean_confidence: Fraction | None
    accuracy: Fraction | None


class ConfidenceResult(FrozenModel):
    """Calibration of a classifier's confidence.

    Attributes:
        ece: Expected calibration error: mean over the images of the distance between confidence
            and accuracy of their bin; C. Guo et al., "On Calibration of Modern Neural Networks",
            ICML 2017. It depends on the bins, and is seldom 0 even for a perfect model: a bin of
            few images is off by chance.
        mean_confidence: Mean probability of the predicted class.
        bins: Equally wide, from probability 0 to 1; a bin includes its upper end.
    """

    ece: Fraction
    mean_confidence: Fraction
    bins: tuple[ConfidenceBin, ...]


class ConfidenceMeter:
    """Accumulates confidence and right answers over batches, in three sums per bin."""

    def __init__(self) -> None:
        self._images = np.zeros(CONFIDENCE_BINS, dtype=np.int64)
        self._right = np.zeros(CONFIDENCE_BINS, dtype=np.int64)
        self._confidence = np.zeros(CONFIDENCE_BINS)

    def update(self, confidence: DoubleArray, right: npt.NDArray[np.bool_]) -> None:
        """Adds one batch.

        Args:
            confidence: Probability of each image's predicted class, float64, shape (N,), 0 to 1.
            right: Whether that class is the label, bool, shape (N,).
        """
        last = CONFIDENCE_BINS - 1
        bins = np.clip(np.ceil(confidence * CONFIDENCE_BINS).astype(np.int64) - 1, 0, last)
        self._images += np.bincount(bins, minlength=CONFIDENCE_BINS)
        self._right += np.bincount(bins[right], minlength=CONFIDENCE_BINS)
        self._confidence += np.bincount(bins, weights=confidence, minlength=CONFIDENCE_BINS)

    def result(self) -> ConfidenceResult:
        """The calibration over all images so far.

        Raises:
            ValueError: No image has been added.
        """
        n = int(self._images.sum())
        if not n:
            raise ValueError("no image has been added: call update first")
        return ConfidenceResult(
            ece=float(np.abs(self._right - self._confidence).sum() / n),
            mean_confidence=float(self._confidence.sum() / n),
            bins=tuple(
                ConfidenceBin(
                    images=images,
                    mean_confidence=confidence / images if images else None,
                    accuracy=right / images if images else None,
                )
                for images, right, confidence in zip(
                    self._images.tolist(),
                    self._right.tolist(),
                    self._confidence.tolist(),
                    strict=True,
                )
            ),
        )
