"""Accuracy of candidates against a float reference, image by image, in bounded memory.

Conventions, the same everywhere: the class of an image is the one with the highest logit, and
equal logits rank by class index, the lowest first; one logit alone decides between the classes 0
and 1, see `Head`. Only sums and the first flips are kept, never logits: memory depends on the
number of classes, not of images.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Self

import numpy as np
from pydantic import model_validator

from eightbit.benchmarks.accuracy.confidence import ConfidenceMeter, ConfidenceResult
from eightbit.benchmarks.accuracy.heads import SINGLE_LABEL, DoubleArray, Head, IntArray
from eightbit.benchmarks.accuracy.paired import drop_interval_pp, mcnemar_p
from eightbit.benchmarks.accuracy.per_class import ClassCounter, ClassDrop
from eightbit.benchmarks.runtimes.runner import FloatArray, check_finite, check_logits
from eightbit.models.errors import InputError
from eightbit.models.images.passed_over import ImageName
from eightbit.models.plain_text import printable
from eightbit.models.spec import Count, Finite, Fraction, FrozenModel, PositiveCount, Task

FINITE_CHECK: Final = "evaluation: finite logits"  # name of the check; failed, it ends one
TOP5_MIN_CLASSES: Final = 6  # with five or fewer every answer is among the top five


class Flip(FrozenModel):
    """An image to which float and INT8 give different classes.

    Attributes:
        image: Its name.
        label: Its true class, or None where it is not known.
        float_class: The float model's answer.
        int8_class: The candidate's answer.
        float_probability: Softmax of the float model's logits at its answer; of one logit the
            sigmoid, or what is left of it for the negative class.
        int8_probability: The candidate's, at its own answer.
    """

    image: ImageName
    label: Count | None
    float_class: Count
    int8_class: Count
    float_probability: Fraction
    int8_probability: Fraction


class AccuracyResult(FrozenModel):
    """How often a model is right.

    Attributes:
        top1: Fraction of images whose class is the label; None without labels. Of a binary
            classifier it is its accuracy at the threshold.
        top5: Fraction of images whose label is among the five highest logits; None without
            labels or with fewer than six classes.
        n: Number of images.
        confidence: How well its probabilities tell how often it is right; None without labels.
    """

    top1: Fraction | None
    top5: Fraction | None
    n: PositiveCount
    confidence: ConfidenceResult | None


class CandidateAccuracy(AccuracyResult):
    """How often a candidate is right, and where it differs from the float model.

    Attributes:
        drop_pp: Float top-1 minus the candidate's, in percentage points; negative for a gain;
            None without labels.
        drop_ci95_pp: 95 % confidence interval of the drop, from its lower to its upper end; see
            `drop_interval_pp`; None without labels.
        flips: The first flips, in the order of the images; the rest is only counted.
        flip_count: All images to which the two give different classes.
        broke: Flips from the right class to a wrong one; None without labels.
        fixed: Flips from a wrong class to the right one; None without labels.
        top1_agreement: Fraction of images to which the two give the same class.
        mcnemar_p: Exact two-sided McNemar test: how probable so uneven a split of the images that
            only one of the two gets right is, if neither is better; None without labels.
        classes: The drop of every class that has images, by class index; empty without labels.
    """

    drop_pp: Finite | None
    drop_ci95_pp: tuple[Finite, Finite] | None
    flips: tuple[Flip, ...]
    flip_count: Count
    broke: Count | None
    fixed: Count | None
    top1_agreement: Fraction
    mcnemar_p: Fraction | None
    classes: tuple[ClassDrop, ...]

    @model_validator(mode="after")
    def _one_of_two_right_on_no_more_than_all(self) -> Self:
        changed = (self.broke or 0) + (self.fixed or 0)
        if changed > self.n:
            raise ValueError(f"broke, fixed: expected at most {self.n} together, found {changed}")
        return self


class _Answers(NamedTuple):
    """Predicted class of each image, and its probability."""

    classes: IntArray
    probabilities: DoubleArray


@dataclass
class _Counts:
    """Counts of one model."""

    top1: int = 0
    top5: int = 0
    broke: int = 0
    fixed: int = 0
    flip_count: int = 0
    flips: list[Flip] = field(default_factory=list)
    confidence: ConfidenceMeter = field(default_factory=ConfidenceMeter)
    by_class: ClassCounter | None = None


class ClassificationTally:
    """Counts right answers and flips over batches, for a float reference and its candidates.

    At most `max_flips` flips per candidate are kept one by one. The `head` is single-label or
    binary.
    """

    def __init__(
        self, candidates: Iterable[str], *, max_flips: int = 100, head: Head = SINGLE_LABEL
    ) -> None:
        self._head = head
        self._reference = _Counts()
        self._candidates = {name: _Counts() for name in candidates}
        self._max_flips = max_flips
        self._images = 0
        self._classes = 0
        self._labelled = False

    def update(
        self,
        reference_logits: FloatArray,
        candidate_logits: Mapping[str, FloatArray],
        labels: Sequence[int] | None,
        names: Sequence[str],
    ) -> None:
        """Counts one batch of N images.

        Logits are float32 (N, classes), or (N, 1) of a binary head; labels are 0 to classes - 1,
        for all batches or for none.

        Raises:
            InputError: Logits of another shape, NaN or infinite, or a label out of range.
            ValueError: Not one entry per candidate and image, or labels for some batches only.
        """
        self._check_call(candidate_logits, labels, names)
        outputs = checked_outputs(reference_logits, candidate_logits, len(names))
        classes = 2 if self._head.task is Task.BINARY else outputs
        truth = None if labels is None else _checked_labels(labels, names, classes)
        self._images += len(names)
        self._classes = classes
        self._labelled = truth is not None
        reference = self._answers(reference_logits)
        if truth is not None:
            self._count_hits(self._reference, reference_logits, reference, truth)
        for name, counts in self._candidates.items():
            candidate = self._answers(candidate_logits[name])
            if truth is not None:
                self._count_hits(counts, candidate_logits[name], candidate, truth)
                _count_by_class(counts, reference, candidate, truth, classes)
            self._count_flips(counts, reference, candidate, truth, names)

    def reference_result(self) -> AccuracyResult:
        """Accuracy of the float model.

        Raises:
            ValueError: No image has been counted.
        """
        return AccuracyResult(
            top1=self._fraction(self._reference.top1),
            top5=self._top5(self._reference),
            n=self._counted(),
            confidence=self._reference.confidence.result() if self._labelled else None,
        )

    def candidate_result(self, name: str) -> CandidateAccuracy:
        """Accuracy of one candidate, and its differences from the float model.

        Raises:
            ValueError: No image has been counted.
        """
        counts, n = self._candidates[name], self._counted()
        lost = counts.broke - counts.fixed  # a right answer is lost or won only by a flip
        return CandidateAccuracy(
            top1=self._fraction(counts.top1),
            top5=self._top5(counts),
            n=n,
            drop_pp=100 * lost / n if self._labelled else None,
            drop_ci95_pp=(
                drop_interval_pp(counts.broke, counts.fixed, n) if self._labelled else None
            ),
            flips=tuple(counts.flips),
            flip_count=counts.flip_count,
            broke=counts.broke if self._labelled else None,
            fixed=counts.fixed if self._labelled else None,
            top1_agreement=(n - counts.flip_count) / n,
            confidence=counts.confidence.result() if self._labelled else None,
            mcnemar_p=mcnemar_p(counts.broke, counts.fixed) if self._labelled else None,
            classes=counts.by_class.result() if counts.by_class else (),
        )

    def _check_call(
        self,
        candidate_logits: Mapping[str, FloatArray],
        labels: Sequence[int] | None,
        names: Sequence[str],
    ) -> None:
        if candidate_logits.keys() != self._candidates.keys():
            raise ValueError(
                f"expected logits of {sorted(self._candidates)}, found {sorted(candidate_logits)}"
            )
        if labels is not None and len(labels) != len(names):
            raise ValueError(f"expected {len(names)} labels, one per image, found {len(labels)}")
        if self._images and self._labelled != (labels is not None):
            raise ValueError("expected labels for all batches or for none, found both")

    def _count_flips(
        self,
        counts: _Counts,
        reference: _Answers,
        candidate: _Answers,
        truth: IntArray | None,
        names: Sequence[str],
    ) -> None:
        flipped = np.flatnonzero(reference.classes != candidate.classes)
        counts.flip_count += len(flipped)
        if truth is not None:
            counts.broke += int(np.count_nonzero(reference.classes[flipped] == truth[flipped]))
            counts.fixed += int(np.count_nonzero(candidate.classes[flipped] == truth[flipped]))
        counts.flips += [
            Flip(
                image=names[index],
                label=None if truth is None else int(truth[index]),
                float_class=int(reference.classes[index]),
                int8_class=int(candidate.classes[index]),
                float_probability=float(reference.probabilities[index]),
                int8_probability=float(candidate.probabilities[index]),
            )
            for index in flipped[: self._max_flips - len(counts.flips)]
        ]

    def _answers(self, logits: FloatArray) -> _Answers:
        return _Answers(self._head.decisions(logits)[:, 0], self._head.top_probability(logits))

    def _count_hits(
        self, counts: _Counts, logits: FloatArray, answers: _Answers, truth: IntArray
    ) -> None:
        right = answers.classes == truth
        counts.top1 += int(np.count_nonzero(right))
        if logits.shape[1] >= TOP5_MIN_CLASSES:
            counts.top5 += int(np.count_nonzero(label_ranks(logits, truth) < 5))
        counts.confidence.update(answers.probabilities, right)

    def _counted(self) -> int:
        if not self._images:
            raise ValueError("no image has been counted: call update first")
        return self._images

    def _fraction(self, hits: int) -> float | None:
        return hits / self._counted() if self._labelled else None

    def _top5(self, counts: _Counts) -> float | None:
        return self._fraction(counts.top5) if self._classes >= TOP5_MIN_CLASSES else None


def label_ranks(logits: FloatArray, labels: IntArray) -> IntArray:
    """How many classes come before each image's label: int64, shape (N,), 0 for the highest logit.

    A class comes before another if its logit is higher, or equal and its index lower. Logits are
    float32 of shape (N, classes), labels int64 of shape (N,).
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    lower_index = np.arange(logits.shape[1])[None, :] < labels[:, None]
    before = (logits > own) | ((logits == own) & lower_index)
    ranks: IntArray = before.sum(axis=1, dtype=np.int64)
    return ranks


def _count_by_class(
    counts: _Counts, reference: _Answers, candidate: _Answers, truth: IntArray, classes: int
) -> None:
    if counts.by_class is None:
        counts.by_class = ClassCounter(classes)
    counts.by_class.update(truth, reference.classes == truth, candidate.classes == truth)


def checked_outputs(
    reference: FloatArray, candidates: Mapping[str, FloatArray], images: int
) -> int:
    """Number of logits per image.

    Raises:
        InputError: They are of another shape than the float model's, NaN or infinite.
    """
    check_logits(reference, images=images, where="float model")
    check_finite(reference, where="float model")
    classes = int(reference.shape[1])
    for name, logits in candidates.items():
        check_logits(logits, images=images, where=name)
        if logits.shape[1] != classes:
            raise InputError(f"{name}: expected {classes} classes, found {logits.shape[1]}")
        check_finite(logits, where=name)
    return classes


def _checked_labels(labels: Sequence[int], names: Sequence[str], classes: int) -> IntArray:
    for label, name in zip(labels, names, strict=True):
        if not 0 <= label < classes:
            raise InputError(
                f"{printable(name)}: expected a label from 0 to {classes - 1}, found {label}"
            )
    return np.asarray(labels, dtype=np.int64)
