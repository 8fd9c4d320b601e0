"""Whether a model's answers fit the labels of its images better than chance, and in which order.

Nothing here knows names or pixels: labels and answers are class indices. SciPy is imported where
it is used: reading a report does without.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.accuracy.paired import SIGNIFICANT, mcnemar_p

IntArray = npt.NDArray[np.int64]

# Labels times answers that are matched against each other: 32 MB of float64.
_MAX_CELLS: Final = 2**22

# Another order of the classes is one, not the noise of a weak model, if it is right about so many
# more of the images, and chance explains that less often than this. A model that knows its classes
# gains nothing: the order that fits its answers best is the order it was trained with.
_GAIN: Final = 0.05
_SURE: Final = 0.001

_POWER: Final = 0.95


class LabelledAnswers:
    """Labels and answers of images, eight bytes for each, and which of them are a sample."""

    def __init__(self) -> None:
        self._labels, self._answers, self._sampled = array("I"), array("I"), bytearray()

    def __len__(self) -> int:
        return len(self._answers)

    def update(self, labels: Sequence[int], answers: IntArray, sampled: Sequence[bool]) -> None:
        """Add a batch of N images: class indices, answers int64, shape (N,)."""
        self._labels.extend(labels)
        self._answers.extend(answers.tolist())
        self._sampled.extend(sampled)

    @property
    def labels(self) -> IntArray:
        """Class index of each image: int64, shape (N,)."""
        return np.asarray(self._labels, dtype=np.int64)

    @property
    def answers(self) -> IntArray:
        """The model's class of each image: int64, shape (N,)."""
        return np.asarray(self._answers, dtype=np.int64)

    @property
    def sampled(self) -> npt.NDArray[np.bool_]:
        """Whether an image is of the sample: bool, shape (N,)."""
        return np.frombuffer(bytes(self._sampled), dtype=np.bool_)


def top1_interval(hits: int, images: int) -> tuple[float, float]:
    """Exact 95 % interval of a fraction; C. J. Clopper, E. S. Pearson, Biometrika 26 (1934)."""
    from scipy.stats import binomtest

    low, high = binomtest(hits, images).proportion_ci(0.95, method="exact")
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class AgainstChance:
    """Right answers of a model beside those that chance gives.

    Attributes:
        hits: Right answers.
        interval: Of their share; see `top1_interval`.
        chance: Share of right answers of a model that does not look: one in as many classes as have
            images, or what the frequencies of labels and answers alone give, if that is more (the
            expected agreement of J. Cohen, "A coefficient of agreement for nominal scales",
            Educational and Psychological Measurement 20 (1960)).
        shown: Whether the interval lies above that.
        enough: Whether it would, 19 times in 20, for a model halfway between chance and perfect.
        one_class: Whether every answer is the same though the labels differ, on so many images that
            such a model would have told 39 times in 40.
    """

    hits: int
    interval: tuple[float, float]
    chance: float
    shown: bool
    enough: bool
    one_class: bool


def against_chance(labels: IntArray, answers: IntArray) -> AgainstChance:
    """Hold answers against chance: both int64, shape (N,), N at least 1."""
    from scipy.stats import binom

    images = len(labels)
    hits = int(np.count_nonzero(labels == answers))
    interval = top1_interval(hits, images)
    of_label, of_answer = (_shares(values) for values in (labels, answers))
    independent = sum(share * of_answer.get(label, 0.0) for label, share in of_label.items())
    chance = min(1.0, max(1 / len(of_label), independent))
    halfway = (1 + chance) / 2
    # The fewest right answers whose interval lies above chance.
    needed = int(binom.isf(SIGNIFICANT / 2, images, chance)) + 1
    others = images - round(images * of_label.get(int(answers[0]), 0.0))
    return AgainstChance(
        hits=hits,
        interval=interval,
        chance=chance,
        shown=interval[0] > chance,
        enough=bool(binom.sf(needed - 1, images, halfway) >= _POWER),
        one_class=len(of_answer) == 1 < len(of_label) and (1 - halfway) ** others < SIGNIFICANT / 2,
    )


def _shares(values: IntArray) -> dict[int, float]:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), (counts / len(values)).tolist(), strict=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class Reordering:
    """Another order of the classes that fits the answers.

    Attributes:
        right: Whether each image's answer is the class of its label in that order, which the other
            half of the images told: bool, shape (N,).
        classes: Class by label in the order that all images tell, of the labels that have images.
        better: Whether that is far more often so than in the order that was taken.
    """

    right: npt.NDArray[np.bool_]
    classes: dict[int, int]
    better: bool


def best_order(labels: IntArray, answers: IntArray) -> Reordering | None:
    """The order of the classes that fits the answers best; None where there are too many classes.

    The labels' classes are assigned to answers, one to one, so that most images are right (the
    linear assignment problem). Every image is judged by the order that the other half of them,
    every second one, tells: with few images a class, an order that only fits its own does not
    count. Labels and answers are int64, shape (N,).
    """
    present, found = np.unique(labels), np.unique(answers)
    if len(present) * len(found) > _MAX_CELLS:
        return None
    right = np.zeros(len(labels), dtype=np.bool_)
    halves = np.arange(len(labels)) % 2 == 0
    for judged in (halves, ~halves):
        order = _assigned(labels[~judged], answers[~judged])
        expected = [order.get(label, -1) for label in labels[judged].tolist()]
        right[judged] = answers[judged] == np.asarray(expected, dtype=np.int64)
    as_taken = labels == answers
    broke, fixed = int((as_taken & ~right).sum()), int((right & ~as_taken).sum())
    gain = (fixed - broke) / max(len(labels), 1)
    return Reordering(
        right=right,
        classes=_assigned(labels, answers),
        better=gain >= _GAIN and mcnemar_p(broke, fixed) < _SURE,
    )


def _assigned(labels: IntArray, answers: IntArray) -> dict[int, int]:
    """The class of each label, one to one, with most images right."""
    from scipy.optimize import linear_sum_assignment

    present, rows = np.unique(labels, return_inverse=True)
    found, columns = np.unique(answers, return_inverse=True)
    counts = np.zeros((len(present), len(found)))
    np.add.at(counts, (rows, columns), 1)
    # Where two orders fit alike, the one that was taken: all of this is less than one image.
    counts += 0.5 / len(present) * (present[:, None] == found[None, :])
    return {
        int(present[row]): int(found[column])
        for row, column in zip(*linear_sum_assignment(counts, maximize=True), strict=True)
    }
