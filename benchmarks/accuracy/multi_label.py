"""Multi-label classifiers against a float reference: mean average precision, changed decisions.

Average precision needs every score, so that memory grows with the images: 4 bytes per image, class
and model.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeAlias

import numpy as np
from pydantic import model_validator

from eightbit.benchmarks.accuracy.average_precision import (
    BoolArray,
    average_precision,
    map_drop_interval_pp,
    mean_precision,
)
from eightbit.benchmarks.accuracy.heads import Head, IntArray
from eightbit.benchmarks.accuracy.paired import share_interval
from eightbit.benchmarks.accuracy.tally import CandidateAccuracy, checked_outputs
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.errors import InputError
from eightbit.models.images.passed_over import ImageName
from eightbit.models.plain_text import printable
from eightbit.models.spec import Count, Finite, Fraction, FrozenModel, PositiveCount


class DecisionFlip(FrozenModel):
    """A class of an image on which float and INT8 decide differently.

    Attributes:
        image: Its name.
        index: The class.
        label: Whether the image has it, or None where that is not known.
        float_probability: Sigmoid of the float model's logit; INT8's is on the other side of the
            threshold.
        int8_probability: That of the candidate's.
    """

    image: ImageName
    index: Count
    label: bool | None
    float_probability: Fraction
    int8_probability: Fraction


class ClassPrecision(FrozenModel):
    """One class with positives.

    Attributes:
        index: Class index.
        positives: Images that have it.
        ap_fp32: Average precision of the float model.
        ap: That of the candidate.
        drop_pp: Their difference in percentage points; negative for a gain.
        changed: Images on which the two decide differently.
    """

    index: Count
    positives: PositiveCount
    ap_fp32: Fraction
    ap: Fraction
    drop_pp: Finite
    changed: Count


class MultiLabelResult(FrozenModel):
    """How well a model ranks the images of each class.

    Attributes:
        map: Mean average precision over the classes that have positives; None without labels.
        judged_classes: How many those are.
        n: Number of images.
    """

    map: Fraction | None
    judged_classes: Count
    n: PositiveCount


class CandidateMultiLabel(MultiLabelResult):
    """How well a candidate ranks, and where it decides differently from the float model.

    Attributes:
        drop_pp: Float mAP minus the candidate's, in percentage points; negative for a gain; None
            without labels.
        drop_ci95_pp: 95 % confidence interval of the drop, see `map_drop_interval_pp`; None without
            labels.
        decisions: One per image and class.
        changed: Those on which the two differ at the threshold.
        changed_ci95: 95 % interval of their fraction (Wilson); it takes decisions for independent,
            though those on one image are not.
        broke: Changes from right to wrong; None without labels.
        fixed: Changes from wrong to right; None without labels.
        flips: The first changes, in the order of the images.
        classes: Every class that has positives, by index; empty without labels.
    """

    drop_pp: Finite | None
    drop_ci95_pp: tuple[Finite, Finite] | None
    decisions: PositiveCount
    changed: Count
    changed_ci95: tuple[Fraction, Fraction]
    broke: Count | None
    fixed: Count | None
    flips: tuple[DecisionFlip, ...]
    classes: tuple[ClassPrecision, ...]

    @model_validator(mode="after")
    def _no_more_changed_than_all(self) -> Self:
        if self.changed > self.decisions:
            raise ValueError(f"changed: expected at most {self.decisions}, found {self.changed}")
        return self


Judged: TypeAlias = CandidateAccuracy | CandidateMultiLabel
"""What a candidate loses of the figure that its task is judged by."""


@dataclass
class _Seen:
    """All scores of one model, and what changed in its decisions."""

    scores: list[FloatArray] = field(default_factory=list)
    changed: IntArray = field(default_factory=lambda: np.zeros(1, dtype=np.int64))
    broke: int = 0
    fixed: int = 0
    flips: list[DecisionFlip] = field(default_factory=list)

    @property
    def all_scores(self) -> FloatArray:
        """float32, shape (N, classes)."""
        return np.concatenate(self.scores)


class MultiLabelTally:
    """Collects scores and decisions over batches, for a float reference and its candidates.

    At most `max_flips` changed decisions per candidate are kept one by one.
    """

    def __init__(self, candidates: Iterable[str], *, head: Head, max_flips: int = 100) -> None:
        self._head = head
        self._reference = _Seen()
        self._candidates = {name: _Seen() for name in candidates}
        self._max_flips = max_flips
        self._truth: list[BoolArray] = []
        self._labelled = False
        self._cached: tuple[float | None, ...] | None = None

    def update(
        self,
        reference_logits: FloatArray,
        candidate_logits: Mapping[str, FloatArray],
        labels: Sequence[Sequence[int]] | None,
        names: Sequence[str],
    ) -> None:
        """Adds one batch of N images.

        Logits are float32 (N, classes); labels are the classes of each image, for all batches or
        for none.

        Raises:
            InputError: Logits of another shape, NaN or infinite, or a label out of range.
            ValueError: Not one entry per image.
        """
        classes = checked_outputs(reference_logits, candidate_logits, len(names))
        truth = None if labels is None else _as_table(labels, names, classes)
        self._cached = None
        self._labelled = truth is not None
        if truth is not None:
            self._truth.append(truth)
        self._reference.scores.append(reference_logits)
        for name, seen in self._candidates.items():
            seen.scores.append(candidate_logits[name])
            self._count(seen, reference_logits, candidate_logits[name], truth, names)

    def reference_result(self) -> MultiLabelResult:
        """Mean average precision of the float model.

        Raises:
            ValueError: No image has been added.
        """
        averages = self._reference_averages()
        return MultiLabelResult(
            map=mean_precision(averages), judged_classes=_known(averages), n=self._images
        )

    def candidate_result(self, name: str) -> CandidateMultiLabel:
        """Mean average precision of one candidate, and its differences from the float model.

        Raises:
            ValueError: No image has been added.
        """
        seen, before = self._candidates[name], self._reference_averages()
        scores = seen.all_scores
        now = self._averages(scores)
        found, expected = mean_precision(now), mean_precision(before)
        judged = found is not None and expected is not None
        changed, decisions = int(seen.changed.sum()), scores.size
        return CandidateMultiLabel(
            map=found,
            judged_classes=_known(now),
            n=len(scores),
            drop_pp=100 * (expected - found)
            if found is not None and expected is not None
            else None,
            drop_ci95_pp=map_drop_interval_pp(self._reference.all_scores, scores, self._table)
            if judged
            else None,
            decisions=decisions,
            changed=changed,
            changed_ci95=share_interval(changed, decisions),
            broke=seen.broke if self._labelled else None,
            fixed=seen.fixed if self._labelled else None,
            flips=tuple(seen.flips),
            classes=tuple(self._classes(seen, before, now)),
        )

    @property
    def _images(self) -> int:
        images = sum(map(len, self._reference.scores))
        if not images:
            raise ValueError("no image has been added: call update first")
        return images

    @property
    def _table(self) -> BoolArray:
        return np.concatenate(self._truth)

    def _reference_averages(self) -> tuple[float | None, ...]:
        if self._cached is None:
            _ = self._images
            self._cached = self._averages(self._reference.all_scores)
        return self._cached

    def _averages(self, scores: FloatArray) -> tuple[float | None, ...]:
        """Average precision of each class; of none without labels."""
        if not self._labelled:
            return ()
        columns = zip(scores.T, self._table.T, strict=True)
        return tuple(average_precision(own, truth) for own, truth in columns)

    def _classes(
        self, seen: _Seen, before: Sequence[float | None], now: Sequence[float | None]
    ) -> Iterable[ClassPrecision]:
        for index, (expected, found) in enumerate(zip(before, now, strict=True)):
            if expected is not None and found is not None:
                yield ClassPrecision(
                    index=index,
                    positives=int(self._table[:, index].sum()),
                    ap_fp32=expected,
                    ap=found,
                    drop_pp=100 * (expected - found),
                    changed=int(seen.changed[index]),
                )

    def _count(
        self,
        seen: _Seen,
        reference: FloatArray,
        candidate: FloatArray,
        truth: BoolArray | None,
        names: Sequence[str],
    ) -> None:
        before, now = self._head.decisions(reference), self._head.decisions(candidate)
        changed = before != now
        seen.changed = seen.changed + changed.sum(axis=0)
        if truth is not None:
            seen.broke += int(np.count_nonzero(changed & (before == truth)))
            seen.fixed += int(np.count_nonzero(changed & (now == truth)))
        places = np.argwhere(changed)[: self._max_flips - len(seen.flips)]
        exact, rounded = (self._head.probabilities(logits) for logits in (reference, candidate))
        seen.flips += [
            DecisionFlip(
                image=names[image],
                index=int(index),
                label=None if truth is None else bool(truth[image, index]),
                float_probability=float(exact[image, index]),
                int8_probability=float(rounded[image, index]),
            )
            for image, index in places
        ]


def _known(averages: Sequence[float | None]) -> int:
    return sum(average is not None for average in averages)


def _as_table(labels: Sequence[Sequence[int]], names: Sequence[str], classes: int) -> BoolArray:
    """Which image has which class: bool, shape (N, classes)."""
    table = np.zeros((len(names), classes), dtype=np.bool_)
    for row, name, own in zip(table, names, labels, strict=True):
        for label in own:
            if not 0 <= label < classes:
                raise InputError(
                    f"{printable(name)}: expected a label from 0 to {classes - 1}, found {label}"
                )
            row[label] = True
    return table
