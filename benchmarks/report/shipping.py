"""Whether these artefacts can be shipped: one answer, and every reason for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from eightbit.benchmarks.accuracy.multi_label import Judged
from eightbit.benchmarks.accuracy.parity import FINITE, NO_CRASH
from eightbit.benchmarks.accuracy.tally import FINITE_CHECK
from eightbit.benchmarks.artifact.formats import FORMATS, Precision, written
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import times, upper_end
from eightbit.benchmarks.report.plausibility import PlausibilitySection, one_class_warning
from eightbit.benchmarks.report.verdict import Verdict, VerdictKind, drop_gate, verdict
from eightbit.benchmarks.runtimes.environment import Environment
from eightbit.models.plain_text import counted
from eightbit.models.spec import Task


class Advice(StrEnum):
    """Whether a reason is for or against shipping."""

    SHIP = "good"
    CARE = "care"
    STOP = "bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One thing that was found, and what it speaks for."""

    advice: Advice
    text: str


def ship(text: str) -> Reason:
    """It speaks for shipping."""
    return Reason(advice=Advice.SHIP, text=text.rstrip())


def care(text: str) -> Reason:
    """Somebody should look at it."""
    return Reason(advice=Advice.CARE, text=text.rstrip())


def stop(text: str) -> Reason:
    """It must not be shipped."""
    return Reason(advice=Advice.STOP, text=text.rstrip())


def measured_elsewhere(report: Report, environment: Environment | None) -> str:
    """Where a section was measured, to follow a sentence; empty if where everything else was."""
    if environment is None or environment == report.environment:
        return ""
    if environment.cpu == report.environment.cpu:
        return "measured with other software than the rest"
    return f"measured on {environment.cpu}"


# Where no accepted drop is set: one that surely exceeds this is too large, one that may exceed it
# needs a look.
_MUCH_PP: Final = 1.0

# With images of a smaller share of the classes, most of what the model knows was never asked.
_LEAST_CLASSES: Final = 0.5


def accuracy_reasons(report: Report) -> Iterator[Reason]:
    """The drop of every artefact, the search for layers in float, and the images themselves."""
    regression = report.model.spec.task is Task.REGRESSION
    missing = report.evaluation is None if regression else not report.has_score
    if missing:
        yield care(f"Accuracy was not measured: {why_not_evaluated(report)}.")
        return
    if regression:
        yield from _distances(report)
    else:
        yield from _fallback(report)
        yield from _drops(report)
    yield from _images(report)


def _distances(report: Report) -> Iterator[Reason]:
    """How far the numbers of a regression are from the float model's."""
    for name, close in (report.fidelity.candidates if report.fidelity else {}).items():
        yield care(
            f"{name}: its numbers are {close.mean_abs_error:.3g} from the float model's on average "
            f"and {close.max_abs_error:.3g} at most over {counted(close.n, 'image')}: whether that "
            "matters, only you can tell."
        )


def why_not_evaluated(report: Report) -> str:
    """Why a report has no accuracy, to follow a colon."""
    checks = report.verification.checks if report.verification else ()
    if any(check.name == FINITE_CHECK and not check.passed for check in checks):
        return "logits on the evaluation images are not finite"
    return "no images to evaluate on were given"


def _fallback(report: Report) -> Iterator[Reason]:
    """The outcome of the search for layers in float, unless a later evaluation replaced it."""
    fallback = report.standing_fallback
    if fallback is None or fallback.met:
        return
    target = f"{fallback.target_pp:g} pp"
    if fallback.images_needed is None:
        yield stop(f"No choice of layers in float keeps the drop within {target}.")
    else:
        yield stop(
            f"Too few images to show that the drop is within {target}: "
            f"about {fallback.images_needed:,} are needed."
        )


def _drops(report: Report) -> Iterator[Reason]:
    """One reason for all artefacts of which the same is found, whatever their figures."""
    found: dict[Reason, dict[str, list[str]]] = {}
    drops = {FORMATS[key].name: result for key, result in report.drops.items()}
    for name, result in drops.items():
        own = verdict(result, report.max_drop_pp, plausible=report.implausible is None)
        reason = _drop(result, own, report.max_drop_pp)
        found.setdefault(reason, {}).setdefault(own.figures, []).append(name)
    for reason, by_figures in found.items():
        figures = "; ".join(f"{' and '.join(names)}: {one}" for one, names in by_figures.items())
        yield Reason(advice=reason.advice, text=f"{figures}: {reason.text}")
    formats = (format.name for format in written(report.size_bytes))
    missing = [name for name in formats if name not in drops]
    if missing or not found:
        whose = " and ".join(missing) or "the artefacts"
        yield care(f"Accuracy of {whose} was not measured.")


def _drop(result: Judged, own: Verdict, allowed_pp: float | None) -> Reason:
    """The reason of one artefact, to follow its figures."""
    finding = f"{own.finding}."
    if own.kind is VerdictKind.IMPLAUSIBLE:
        return stop(finding)
    if result.drop_ci95_pp is None:
        return care(finding)
    low, high = result.drop_ci95_pp
    gate = None if allowed_pp is None else drop_gate(result, allowed_pp)
    if gate is not None:
        if not gate.passed:
            return stop(f"{finding} The gate fails: {gate.text}.")
        return ship(f"{finding} The gate passes: {gate.text}.")
    if low > _MUCH_PP:
        return stop(f"{finding} That is more than {_MUCH_PP:g} point.")
    if own.kind is VerdictKind.DROP:
        return care(finding)
    if high > _MUCH_PP:
        most = upper_end(high, _MUCH_PP)
        return care(f"{finding} Too few images to rule out {most} pp. {own.power}")
    return ship(f"{finding} {own.power}")


def _images(report: Report) -> Iterator[Reason]:
    calibration, evaluation = report.calibration, report.evaluation
    where = measured_elsewhere(report, evaluation.environment if evaluation else None)
    if where:
        yield Reason(advice=Advice.SHIP, text=f"Accuracy was {where}.")
    if calibration is not None and calibration.also_in_evaluation:
        images = counted(calibration.also_in_evaluation, "calibration image")
        yield care(f"{images} also evaluated, which flatters the accuracy.")
    yield from _classes(report)
    if report.plausibility is not None and report.evaluation is not None:
        yield from _float_model(report.plausibility, report.evaluation.images)


def _float_model(found: PlausibilitySection, images: int) -> Iterator[Reason]:
    """What cannot be told of the float model; what is wrong with it is a failed check."""
    warning = one_class_warning(found, images)
    if warning:
        yield care(warning)
    if found.enough_images is False and not found.doubts:
        yield care("Too few images to tell the float model from chance.")


def _classes(report: Report) -> Iterator[Reason]:
    """Whether so many classes were seen that right answers say something."""
    classes = report.model.spec.class_count
    seen = max((len(result.classes) for result in report.drops.values()), default=0)
    if 0 < seen < _LEAST_CLASSES * classes:
        yield care(f"{classes - seen:,} of {counted(classes, 'class', 'classes')} have no image.")


class _Kind(StrEnum):
    """What a speedup proves, from the worst to the best."""

    SLOWER = "Slower than"
    NOT_SHOWN = "Not shown to be faster than"
    ONCE = "Without an interval, which takes more launches than one, against"
    FASTER = "Faster than"


_Found = dict[_Kind, dict[str, list[str]]]
"""The artefacts by what they prove and under which conditions."""


def speed_reasons(report: Report) -> Iterator[Reason]:
    """One reason for each kind of result, over all conditions that were measured."""
    found: _Found = {}
    measured = set()
    for entry in report.latency:
        if entry.precision is Precision.INT8 and entry.speedup is not None:
            measured.add(entry.runtime)
            under = f"{counted(entry.threads, 'thread')}, batch {entry.batch}"
            factor = f"{entry.runtime.name} {times(entry.speedup, entry.speedup_ci95)}"
            found.setdefault(_kind(entry), {}).setdefault(under, []).append(factor)
    missing = [form.name for form in written(report.size_bytes) if form.runtime not in measured]
    if not found or missing:
        whose = f" of {' and '.join(missing)}" if found else ""
        yield care(f"Speed{whose} against float was not measured.")
    where = measured_elsewhere(report, report.benchmark.environment if report.benchmark else None)
    for kind in _Kind:
        if kind in found:
            advise = ship if kind is _Kind.FASTER else care
            yield advise(_sentence(kind, found[kind], where))


def _kind(entry: LatencyResult) -> _Kind:
    if entry.speedup_ci95 is None:
        return _Kind.ONCE
    low, high = entry.speedup_ci95
    return _Kind.FASTER if low > 1 else _Kind.SLOWER if high < 1 else _Kind.NOT_SHOWN


def _sentence(kind: _Kind, found: dict[str, list[str]], where: str) -> str:
    # A good result is shown for the first conditions only, any other for all of them.
    shown = list(found.items())[: 1 if kind is _Kind.FASTER else None]
    factors = "; ".join(f"with {under}: {', '.join(names)}" for under, names in shown)
    more = len(found) - len(shown)
    also = f"; and with {counted(more, 'other setting')}" if more else ""
    measured = f" ({where})" if where else ""
    return f"{kind.value} the best float of the same runtime {factors}{also}{measured}."


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipping:
    """The worst advice of all reasons, a title for it, and the reasons, the worst first."""

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
    kinds = report.coverage.kinds.values() if report.coverage else ()
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
            "Verified on synthetic images only: every execution comes to its end, and nothing is "
            "known of its answers."
        )
        return
    checks = counted(len(verification.checks), "check")
    images = counted(verification.images, "image")
    yield ship(f"Verification passed: {checks} on {images}.")
