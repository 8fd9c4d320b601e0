"""The table of one network: our rows, then the peers', and the best peer against the best of ours.

All of them are measured here, in the same way, from their logits.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from eightbit.benchmarks.accuracy.fidelity import FidelityMeter, FidelityResult
from eightbit.benchmarks.accuracy.tally import CandidateAccuracy, ClassificationTally
from eightbit.benchmarks.studies.peers.process import Failed, Measured
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

_BATCH: Final = 256
_COLUMNS: Final = (
    *("quantizer", "top-1", "drop (95 % interval)", "agreement", "SQNR", "median image SQNR"),
    *("mean KL", "seconds", "peak memory"),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One quantized network, measured.

    Attributes:
        label: Who quantized it.
        ours: Whether this project did.
        accuracy: Against the labels and against float.
        fidelity: Against the float logits.
        seconds: To quantize.
        peak_rss_bytes: Highest resident memory of that process.
    """

    label: str
    ours: bool
    accuracy: CandidateAccuracy
    fidelity: FidelityResult
    seconds: float
    peak_rss_bytes: int


@dataclass(frozen=True, kw_only=True)
class FailedRow:
    """A quantizer that gave no network, or one whose logits cannot be compared.

    Attributes:
        label: Who should have quantized it.
        reason: One line.
    """

    label: str
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """What everybody is compared with.

    Attributes:
        measured: The float network's logits.
        labels: Class index by name of the image.
    """

    measured: Measured
    labels: Mapping[str, int]

    def row(self, label: str, candidate: Measured | Failed, *, ours: bool) -> Row | FailedRow:
        """A candidate's row."""
        if isinstance(candidate, Failed):
            return FailedRow(label=label, reason=candidate.reason)
        if candidate.outcome.images != self.measured.outcome.images:
            return FailedRow(label=label, reason="it was not evaluated on the same images")
        try:
            accuracy, fidelity = self._compared(candidate)
        except InputError as exc:
            return FailedRow(label=label, reason=one_line(exc))
        return Row(
            label=label,
            ours=ours,
            accuracy=accuracy,
            fidelity=fidelity,
            seconds=candidate.outcome.seconds,
            peak_rss_bytes=candidate.outcome.peak_rss_bytes,
        )

    def top1(self) -> float:
        """Accuracy of the float network."""
        tally = ClassificationTally(())
        images = self.measured.outcome.images
        tally.update(self.measured.logits, {}, [self.labels[name] for name in images], images)
        top1 = tally.reference_result().top1
        if top1 is None:
            raise ValueError("labels were given: expected an accuracy, found none")
        return top1

    def _compared(self, candidate: Measured) -> tuple[CandidateAccuracy, FidelityResult]:
        """Accuracy and fidelity over all images.

        Raises:
            InputError: The logits have another shape, or are not finite.
        """
        tally, meter = ClassificationTally(("candidate",)), FidelityMeter()
        images = self.measured.outcome.images
        for start in range(0, len(images), _BATCH):
            part = slice(start, start + _BATCH)
            names, logits = images[part], candidate.logits[part]
            labels = [self.labels[name] for name in names]
            tally.update(self.measured.logits[part], {"candidate": logits}, labels, names)
            meter.update(self.measured.logits[part], logits)
        return tally.candidate_result("candidate"), meter.result()


def section(title: str, reference: Reference, rows: Sequence[Row | FailedRow]) -> Iterator[str]:
    """The Markdown lines of one network."""
    count = len(reference.measured.outcome.images)
    yield from (
        f"## {title}",
        "",
        f"float32: top-1 {reference.top1():.2%} on {count:,} images.",
        "",
    )
    yield from (f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}")
    yield from (line(row) for row in rows)
    yield from ("", _best(rows), "")


def line(row: Row | FailedRow) -> str:
    """One line of the table; a failure says in words what happened."""
    if isinstance(row, FailedRow):
        empty = " - |" * (len(_COLUMNS) - 2)
        return f"| {row.label} | failed: {row.reason.replace('|', chr(92) + '|')} |{empty}"
    if row.accuracy.drop_ci95_pp is None:
        raise ValueError("labels were given: expected an interval, found none")
    low, high = row.accuracy.drop_ci95_pp
    fidelity = row.fidelity
    cells = (
        *(row.label, f"{row.accuracy.top1:.2%}"),
        f"{row.accuracy.drop_pp:+.2f} pp ({low:+.2f} to {high:+.2f})",
        *(f"{fidelity.top1_agreement:.2%}", _decibels(fidelity.sqnr_db)),
        *(_decibels(fidelity.median_image_sqnr_db), f"{fidelity.mean_kl:.1e}"),
        *(f"{row.seconds:.1f} s", f"{row.peak_rss_bytes / 2**20:,.0f} MiB"),
    )
    return f"| {' | '.join(cells)} |"


def _decibels(ratio: float | None) -> str:
    return "identical" if ratio is None else f"{ratio:.1f} dB"


def _sqnr(row: Row) -> float:
    return math.inf if row.fidelity.sqnr_db is None else row.fidelity.sqnr_db


def _agreement_percent(row: Row) -> float:
    return 100 * (row.fidelity.top1_agreement or 0.0)


# What the best peer is named by: the measure's name, its value and its unit, and that of a
# difference.
_MEASURES: Final[tuple[tuple[str, Callable[[Row], float], str, str], ...]] = (
    ("SQNR", _sqnr, "dB", "dB"),
    ("agreement", _agreement_percent, "%", "pp"),
)


def _best(rows: Sequence[Row | FailedRow]) -> str:
    """The best peer by each measure, and how the best of our rows differs from it."""
    measured = [row for row in rows if isinstance(row, Row)]
    ours, peers = [r for r in measured if r.ours], [r for r in measured if not r.ours]
    if not ours or not peers:
        return "Nothing to compare: no row of ours, or no peer's, has figures."
    sentences = []
    for name, value, unit, difference_unit in _MEASURES:
        peer, own = max(peers, key=value), max(ours, key=value)
        # Two that are both identical to float differ by nothing, not by infinity minus infinity.
        difference = 0.0 if value(own) == value(peer) else value(own) - value(peer)
        sentences.append(
            f"Best peer by {name}: {peer.label}, {value(peer):.2f} {unit}; ours, best "
            f"({own.label}): {value(own):.2f} {unit}, {difference:+.2f} {difference_unit}."
        )
    return " ".join(sentences)
