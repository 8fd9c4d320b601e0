"""Whether these artefacts can be shipped: one answer, and every reason for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from eightbit.benchmarks.accuracy import CandidateAccuracy
from eightbit.benchmarks.artifact import Precision
from eightbit.benchmarks.latency_tables import speedup
from eightbit.benchmarks.report import AccuracySection, Report
from eightbit.benchmarks.tables import counted, times
from eightbit.benchmarks.verdict import VerdictKind, verdict

# Where nobody said how large a drop is accepted: one that surely exceeds this is not, and one that
# may exceed it needs a look.
_MUCH_PP: Final = 1.0


class Advice(StrEnum):
    """What a reason speaks for."""

    SHIP = "good"
    CARE = "care"
    STOP = "bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One thing that was found, and what it speaks for."""

    advice: Advice
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipping:
    """The answer.

    Attributes:
        advice: The worst of all reasons.
        title: In a few words.
        reasons: All of them, the worst first.
    """

    advice: Advice
    title: str
    reasons: tuple[Reason, ...]


def shipping(report: Report) -> Shipping:
    """The answer that a report gives.

    A failed gate or check, an operator that left its integers, or a drop that surely exceeds one
    point stops it. What was not measured, or may be worse than it looks, asks for care.
    """
    reasons = [
        *_verification(report),
        *_fallback(report),
        *_accuracy(report),
        *_images(report),
        *_speed(report),
    ]
    order = list(_TITLES)
    reasons.sort(key=lambda reason: order.index(reason.advice))
    advice = reasons[0].advice
    title = _TITLES[advice]
    if advice is Advice.CARE and all(reason.advice is Advice.CARE for reason in reasons):
        title = "Cannot tell yet"
    return Shipping(advice=advice, title=title, reasons=tuple(reasons))


# From the worst to the best.
_TITLES: Final = {
    Advice.STOP: "Do not ship",
    Advice.CARE: "Ship with care",
    Advice.SHIP: "Ready to ship",
}


def _verification(report: Report) -> Iterator[Reason]:
    verification = report.verification
    if verification is None:
        coverage = [kind for _, kind in report.coverage or () if kind is not None]
        if not all(kind.as_meant for kind in coverage):
            yield _stop("Some operators compute in float that are meant to compute in integers.")
        yield _care("Not verified: no images were given.")
        return
    failed = [check for check in verification.checks if not check.passed]
    for check in failed:
        yield _stop(f"Verification failed: {check.name}: {check.detail}.")
    if not failed:
        checks = counted(len(verification.checks), "check")
        images = counted(verification.images, "image")
        yield _ship(f"Verification passed: {checks} on {images}.")


def _fallback(report: Report) -> Iterator[Reason]:
    if report.fallback is not None and not report.fallback.met:
        yield _stop(
            f"No choice of layers in float keeps the drop within {report.fallback.target_pp:g} pp."
        )


def _accuracy(report: Report) -> Iterator[Reason]:
    if report.accuracy is None:
        yield _care("Accuracy was not measured: no images to evaluate on were given.")
        return
    found: dict[Reason, list[str]] = {}
    for name, result in _candidates(report.accuracy).items():
        found.setdefault(_drop(result, report.max_drop_pp), []).append(name)
    if not found:
        yield _care("Accuracy of the artefacts was not measured.")
    for reason, names in found.items():
        yield Reason(advice=reason.advice, text=f"{' and '.join(names)}: {reason.text}")


def _candidates(accuracy: AccuracySection) -> dict[str, CandidateAccuracy]:
    named = {"ONNX": accuracy.onnx, "TorchScript": accuracy.torchscript}
    return {name: result for name, result in named.items() if result is not None}


def _drop(result: CandidateAccuracy, allowed_pp: float | None) -> Reason:
    said = verdict(result)
    if result.drop_ci95_pp is None:
        return _care(said.sentence)
    low, high = result.drop_ci95_pp
    if allowed_pp is not None:
        within = f"at most {high:.2f} pp with 95 % confidence, {allowed_pp:g} allowed"
        if high > allowed_pp:
            return _stop(f"{said.sentence} The gate fails: {within}.")
        return _ship(f"{said.sentence} The gate passes: {within}.")
    if low > _MUCH_PP:
        return _stop(f"{said.sentence} That is more than {_MUCH_PP:g} point.")
    if said.kind is VerdictKind.DROP:
        return _care(said.sentence)
    if high > _MUCH_PP:
        return _care(f"{said.sentence} Too few images to rule out {high:.1f} pp. {said.power}")
    return _ship(f"{said.sentence} {said.power}")


def _images(report: Report) -> Iterator[Reason]:
    calibration = report.calibration
    if calibration is not None and calibration.also_in_evaluation:
        shared = counted(calibration.also_in_evaluation, "calibration image")
        yield _care(f"{shared} also evaluated, which flatters the accuracy.")


def _speed(report: Report) -> Iterator[Reason]:
    """Of the first conditions that were measured: one reason for each kind of result."""
    first = [(entry.batch, entry.threads) for entry in report.latency][:1]
    found: dict[Advice, list[str]] = {}
    for entry in report.latency:
        factor = speedup(entry, report.latency)
        if entry.precision is Precision.INT8 and factor and (entry.batch, entry.threads) in first:
            low, high = entry.speedup_ci95 or (factor, factor)
            advice = Advice.SHIP if low > 1 else Advice.CARE
            slower = " (slower)" if high < 1 else ""
            said = f"{entry.runtime.value} {times(factor, entry.speedup_ci95)}{slower}"
            found.setdefault(advice, []).append(said)
    under = "".join(f" with {counted(t, 'thread')}, batch {b}" for b, t in first)
    for advice, runtimes in found.items():
        faster = "Faster than" if advice is Advice.SHIP else "Not shown to be faster than"
        text = f"{faster} the best float of the same runtime{under}: {', '.join(runtimes)}."
        yield Reason(advice=advice, text=text)
    if not found:
        yield _care("Speed against float was not measured.")


def _ship(text: str) -> Reason:
    return Reason(advice=Advice.SHIP, text=text.rstrip())


def _care(text: str) -> Reason:
    return Reason(advice=Advice.CARE, text=text.rstrip())


def _stop(text: str) -> Reason:
    return Reason(advice=Advice.STOP, text=text.rstrip())
