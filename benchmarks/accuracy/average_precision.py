"""Average precision of a ranking, its mean over classes, and how well a drop of it is known.

AP = sum_k (R_k - R_(k-1)) P_k over the distinct scores, highest first, with precision P and recall
R of all that score at least as much; no interpolation. This is the standard definition, e.g. M.
Zhu, "Recall, precision and average precision", University of Waterloo 2004, and scikit-learn's
`average_precision_score`. The mean is that of the classes that have positives (macro).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.accuracy.heads import DoubleArray, IntArray
from eightbit.benchmarks.accuracy.paired import unchanged_end_pp
from eightbit.benchmarks.runtimes.runner import FloatArray

BOOTSTRAP_SAMPLES: Final = 1000

_SEED: Final = 0
_AT_ONCE: Final = 2**21  # weights of so many images in a block of samples

BoolArray: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Ranking:
    """Images of one class by score, highest first.

    Attributes:
        order: Index of each image, shape (N,).
        positive: Place in that order of each of the P positives, shape (P,).
        last: Last place of those that score like that positive, shape (P,).
    """

    order: IntArray
    positive: IntArray
    last: IntArray

    @classmethod
    def of(cls, scores: FloatArray, truth: BoolArray) -> "Ranking":
        """The ranking of N images by their scores, float32 (N,); `truth` is bool (N,)."""
        order = np.argsort(-scores, kind="stable")
        ranked = scores[order]
        (ends,) = np.nonzero(np.append(ranked[1:] != ranked[:-1], True))
        (positive,) = np.nonzero(truth[order])
        return cls(order=order, positive=positive, last=ends[np.searchsorted(ends, positive)])

    def precision(self, weights: IntArray) -> DoubleArray:
        """Average precision with every image counted so often, of S samples: float64 (S,).

        Weights are int64, shape (S, N); NaN for a sample without a positive.
        """
        ranked = weights[:, self.order]
        seen = np.cumsum(ranked, axis=1)[:, self.last]
        own = ranked[:, self.positive]
        # Positives up to the last one that scores the same.
        upto = np.searchsorted(self.positive, self.last, side="right") - 1
        found = np.cumsum(own, axis=1)[:, upto]
        with np.errstate(invalid="ignore"):
            # No positive that counts is before anything that counts.
            share = np.divide(found, seen, out=np.zeros(seen.shape), where=seen > 0)
            average: DoubleArray = (own * share).sum(axis=1) / own.sum(axis=1)
        return average


def average_precision(scores: FloatArray, truth: BoolArray) -> float | None:
    """Average precision of one class, 0 to 1; None without positives.

    Args:
        scores: float32, shape (N,), finite.
        truth: Whether each image has the class, bool, shape (N,).
    """
    if not truth.any():
        return None
    return float(Ranking.of(scores, truth).precision(np.ones((1, len(scores)), np.int64))[0])


def mean_precision(averages: Sequence[float | None]) -> float | None:
    """Mean over the classes that have one; None where none has."""
    known = [average for average in averages if average is not None]
    return sum(known) / len(known) if known else None


def map_drop_interval_pp(
    reference: FloatArray,
    candidate: FloatArray,
    truth: BoolArray,
    *,
    samples: int = BOOTSTRAP_SAMPLES,
) -> tuple[float, float]:
    """95 % confidence interval of the drop of mean average precision, in percentage points.

    The percentile bootstrap over images, both models on the same draw of them (B. Efron and R.
    Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13); in each sample the mean is
    over the classes that have positives in it. Seeded: the same answers give the same interval. As
    no draw shows what never happened, each end is at least as far from the drop as `paired`'s
    interval is where no image changed.

    Args:
        reference: Scores of the float model, float32, shape (N, classes), finite.
        candidate: Those of the candidate, likewise.
        truth: bool, shape (N, classes), with one positive at least.
        samples: How many to draw.
    """
    images = len(truth)
    generator = np.random.default_rng(_SEED)
    classes = np.flatnonzero(truth.any(axis=0))
    pairs = [
        tuple(Ranking.of(scores[:, index], truth[:, index]) for scores in (reference, candidate))
        for index in classes
    ]
    drops: list[DoubleArray] = []
    block = max(1, _AT_ONCE // images)
    for start in range(0, samples, block):
        count = min(block, samples - start)
        weights = generator.multinomial(images, np.full(images, 1 / images), size=count)
        lost = np.stack([one.precision(weights) - other.precision(weights) for one, other in pairs])
        known = np.isfinite(lost)
        total = np.where(known, lost, 0.0).sum(axis=0)
        drops.append(100 * total / np.maximum(known.sum(axis=0), 1))
    low, high = np.quantile(np.concatenate(drops), (0.025, 0.975))
    whole = np.ones((1, images), np.int64)
    drop = 100 * float(
        np.mean([one.precision(whole) - other.precision(whole) for one, other in pairs])
    )
    margin = unchanged_end_pp(images)
    return min(float(low), drop - margin), max(float(high), drop + margin)
