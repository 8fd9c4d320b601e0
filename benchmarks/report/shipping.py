"""Whether these artefacts can be shipped: one answer, and every reason for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from eightbit.benchmarks.accuracy.parity import FINITE, NO_CRASH
from eightbit.benchmarks.reasons import Advice, Reason, care, ship, stop
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import counted
from eightbit.benchmarks.shipping_accuracy import accuracy_reasons
from eightbit.benchmarks.shipping_speed import speed_reasons


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
        *_coverage(report),
        *_verification(report),
        *accuracy_reasons(report),
        *speed_reasons(report),
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


def _coverage(report: Report) -> Iterator[Reason]:
    kinds = [kind for _, kind in report.coverage or () if kind is not None]
    if not all(kind.as_meant for kind in kinds):
        yield stop("Some operators compute in float that are meant to compute in integers.")


def _verification(report: Report) -> Iterator[Reason]:
    verification, executions = report.verification, report.executions
    if verification is None:
        yield care("Not verified: no images were given.")
        return
    failed = [check for check in verification.checks if not check.passed]
    for check in failed:
        yield stop(f"Verification failed: {check.name}: {check.detail}.")
    if failed:
        return
    only_runs = {check.name for check in verification.checks} <= {FINITE, NO_CRASH}
    if only_runs and executions is not None and executions.synthetic:
        yield care(
            "Verified on made-up pictures only: every execution comes to its end, and nothing is "
            "known of its answers."
        )
        return
    checks = counted(len(verification.checks), "check")
    images = counted(verification.images, "image")
    yield ship(f"Verification passed: {checks} on {images}.")
