"""The float network's answers, and how far a quantized network's are from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from eightbit.benchmarks.accuracy.fidelity import FidelityMeter, FidelityResult
from eightbit.benchmarks.accuracy.tally import CandidateAccuracy, ClassificationTally
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.studies.peers.candidates.process import Failed, Measured
from eightbit.benchmarks.studies.peers.results import FailedRow, Row
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

_BATCH: Final = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What everybody is compared with.

    Attributes:
        measured: The float network's answers.
        labels: Class index by name of the image; None where there are no classes.
    """

    measured: Measured
    labels: Mapping[str, int] | None

    def row(self, label: str, candidate: Measured | Failed, *, ours: bool) -> Row | FailedRow:
        """A candidate's row."""
        if isinstance(candidate, Failed):
            return FailedRow(label=label, ours=ours, reason=candidate.reason)
        if candidate.outcome.images != self.measured.outcome.images:
            reason = "it was not evaluated on the same images"
            return FailedRow(label=label, ours=ours, reason=reason)
        try:
            fidelity = _fidelity(self.measured.logits, candidate.logits)
            accuracy = self._accuracy(candidate)
            features = self._features(candidate)
        except InputError as exc:
            return FailedRow(label=label, ours=ours, reason=one_line(exc))
        same = self.measured.logits.argmax(axis=1) == candidate.logits.argmax(axis=1)
        return Row(
            label=label,
            ours=ours,
            top1=accuracy.top1,
            drop_pp=accuracy.drop_pp,
            drop_ci95_pp=accuracy.drop_ci95_pp,
            agreeing="".join(np.where(same, "1", "0")),
            fidelity=fidelity,
            features=features,
            seconds=candidate.outcome.seconds,
            peak_rss_bytes=candidate.outcome.peak_rss_bytes,
        )

    def _accuracy(self, candidate: Measured) -> CandidateAccuracy:
        """Against the labels.

        Raises:
            InputError: The logits have another shape, or are not finite.
        """
        names = self.measured.outcome.images
        labels = None if self.labels is None else [self.labels[name] for name in names]
        tally = ClassificationTally(("candidate",))
        tally.update(self.measured.logits, {"candidate": candidate.logits}, labels, names)
        return tally.candidate_result("candidate")

    def _features(self, candidate: Measured) -> FidelityResult | None:
        expected, found = self.measured.features, candidate.features
        return None if expected is None or found is None else _fidelity(expected, found)


def _fidelity(expected: FloatArray, found: FloatArray) -> FidelityResult:
    """Distance over all images.

    Raises:
        InputError: The answers have another shape, or are not finite.
    """
    meter = FidelityMeter()
    for start in range(0, len(expected), _BATCH):
        part = slice(start, start + _BATCH)
        meter.update(expected[part], found[part])
    return meter.result()
