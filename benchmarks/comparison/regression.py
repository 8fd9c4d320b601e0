"""Whether a report is worse than an earlier one, for a job that must not let that pass.

One rule for accuracy and speed: a regression is a loss that is larger than allowed *and* larger
than chance, so its 95 % confidence interval lies above zero. A loss within the interval is no
evidence, however large it looks; one that is proven and small is what the tolerance is for. So this
gate asks for proof of harm where `--max-drop` asks for proof of quality: a job needs both.

What is counted exactly (bytes, operators, checks) has no interval.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from eightbit.benchmarks.accuracy.multi_label import Judged
from eightbit.benchmarks.artifact.formats import FORMATS, Runtime
from eightbit.benchmarks.comparison.comparability import same_float_answers, same_images
from eightbit.benchmarks.comparison.differences import (
    Loss,
    accuracy_loss,
    agreement_of,
    score_loss,
    score_of,
    speed_loss,
)
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.latency.sections import not_measured_name
from eightbit.benchmarks.report.document import OperatorCoverage, Report
from eightbit.benchmarks.report.figures import (
    NOTHING,
    Table,
    decimal_bytes,
    determination,
    interval,
    percent,
    percents,
    points,
    times,
)
from eightbit.models.errors import InputError
from eightbit.models.plain_text import counted
from eightbit.models.spec import FrozenModel, Task


class Verdict(StrEnum):
    """The outcome of one comparison, as a table shows it."""

    PASSED = "passed"
    FAILED = "FAILED"
    NOT_COMPARED = "not compared"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One number of a report beside that of its baseline.

    Attributes:
        loss: How much worse it is, with its interval.
        allowed: How much worse it may be.
        reason: Why it failed or was not compared.
        unsure: Whether its interval is too wide to show a loss that is not allowed.
    """

    what: str
    baseline: str
    now: str = NOTHING
    loss: str = NOTHING
    allowed: str = NOTHING
    verdict: Verdict
    reason: str = ""
    unsure: bool = False

    def line(self) -> str:
        """One line for a log."""
        return f"regression: {self.what}: {self.reason}"


def judged(
    what: str,
    baseline: str,
    now: str,
    *,
    failed: bool,
    loss: str = NOTHING,
    allowed: str = NOTHING,
    reason: str = "",
    unsure: bool = False,
) -> Finding:
    """A comparison that could be made; `reason` is made of the other values by default."""
    if not reason:
        by = "" if loss == NOTHING else f": worse by {loss}, {allowed} allowed"
        reason = f"{now}, {baseline} before{by}"
    return Finding(
        what=what,
        baseline=baseline,
        now=now,
        loss=loss,
        allowed=allowed,
        verdict=Verdict.FAILED if failed else Verdict.PASSED,
        reason=reason if failed else "",
        unsure=unsure and not failed,
    )


def judged_loss(
    what: str,
    baseline: str,
    now: str,
    loss: Loss,
    allowed: float,
    *,
    in_points: bool = False,
    reason: str = "",
) -> Finding:
    """A loss against what is allowed: fractions, or percentage points."""
    return judged(
        what,
        baseline,
        now,
        failed=loss.beyond(allowed),
        loss=(interval if in_points else percents)(loss.value, loss.interval),
        allowed=f"{allowed:g} pp" if in_points else percents(allowed),
        reason=reason,
        unsure=loss.hides(allowed),
    )


def missing(what: str, baseline: str, why: str = "") -> Finding:
    """Something that the baseline has and the report has not, which is no way to pass."""
    return Finding(
        what=what,
        baseline=baseline,
        verdict=Verdict.FAILED,
        reason=f"{baseline} before, not measured now{why and ': '}{why}",
    )


def regression_lines(findings: Sequence[Finding]) -> tuple[str, ...]:
    """One line per regression; empty if there is none."""
    return tuple(finding.line() for finding in findings if finding.verdict is Verdict.FAILED)


def verdict_of(findings: Sequence[Finding]) -> Verdict:
    """The verdict on all comparisons together; where nothing was compared, it is not a pass."""
    if regression_lines(findings):
        return Verdict.FAILED
    compared = any(finding.verdict is not Verdict.NOT_COMPARED for finding in findings)
    return Verdict.PASSED if compared else Verdict.NOT_COMPARED


def not_compared(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Reasons why numbers were not compared, each once."""
    reasons = (f.reason for f in findings if f.verdict is Verdict.NOT_COMPARED)
    return tuple(dict.fromkeys(reasons))


def regression_table(findings: Sequence[Finding], name: str) -> Table:
    """Every comparison with its verdict."""
    return Table(
        title=f"{name} against the baseline: {verdict_of(findings)}",
        columns=("what", "verdict", "baseline", "now", "worse by [95 %]", "allowed"),
        rows=tuple((f.what, f.verdict, f.baseline, f.now, f.loss, f.allowed) for f in findings),
        text_columns=2,
        note="A loss fails if it is larger than allowed and its interval lies above zero."
        + "".join(f" Not compared: {reason}." for reason in not_compared(findings))
        + _unsure(findings),
    )


def _unsure(findings: Sequence[Finding]) -> str:
    unsure = [finding.what for finding in findings if finding.unsure]
    if not unsure:
        return ""
    return (
        f" Too uncertain to show a loss that is just not allowed: {'; '.join(unsure)}. Measure on "
        "more images, or longer."
    )


_INT8_SUFFIXES: Final = tuple(format.ending() for format in FORMATS.values())

MAX_LOSS_PP: Final = 100.0
MAX_LOSS: Final = 1.0
MAX_GROWTH: Final = 10.0


class Tolerance(FrozenModel):
    """The largest losses that are no regression.

    Attributes:
        accuracy_pp: Percentage points of top-1, of a binary classifier's accuracy or of mAP, or
            without labels of agreement with float; of a regression hundredths of R² against float.
        speed: Fraction of the speedup over float; more than all of it cannot be lost.
        size: Fraction by which a file may grow.
    """

    accuracy_pp: Annotated[float, Field(ge=0, le=MAX_LOSS_PP, allow_inf_nan=False)] = 0.5
    speed: Annotated[float, Field(ge=0, le=MAX_LOSS, allow_inf_nan=False)] = 0.1
    size: Annotated[float, Field(ge=0, le=MAX_GROWTH, allow_inf_nan=False)] = 0.01


def find_regressions(
    report: Report, baseline: Report, tolerance: Tolerance | None = None
) -> tuple[Finding, ...]:
    """Compares whatever the baseline measured; what only the report has does not count.

    Raises:
        InputError: The two are of different architectures, numbers of classes or tasks, or the
            baseline measured nothing.
    """
    now, then = report.model.spec, baseline.model.spec
    if (now.architecture, now.num_classes) != (then.architecture, then.num_classes):
        raise InputError(
            f"baseline: expected a report of {now.architecture} with {now.num_classes:,} classes, "
            f"found one of {then.architecture} with {then.num_classes:,}; a gate compares a "
            "network with an earlier version of itself"
        )
    if now.task is not then.task:
        raise InputError(
            f"baseline: expected a report of a {now.task} network, found one of a {then.task} one; "
            "their figures mean different things"
        )
    allowed = tolerance or Tolerance()
    findings = (
        *_verification(report, baseline),
        *_accuracy(report, baseline, allowed.accuracy_pp),
        *_likeness(report, baseline, allowed.accuracy_pp),
        *_speed(report, baseline, allowed.speed),
        *_size(report, baseline, allowed.size),
        *_coverage(report, baseline),
    )
    if not findings:
        raise InputError(
            "baseline: expected a report that measured something, found an empty one; make it with "
            "`eightbit quantize`"
        )
    return findings


def _verification(report: Report, baseline: Report) -> Iterator[Finding]:
    """A failed check is a failure whether or not the baseline had it."""
    section, before = report.verification, baseline.verification
    then = NOTHING if before is None else _outcome(before.passed)
    if section is not None:
        failed = "; ".join(check.name for check in section.checks if not check.passed)
        yield judged(
            "verification",
            then,
            _outcome(section.passed),
            failed=not section.passed,
            reason=f"failed checks: {failed}",
        )
    elif before is not None:
        yield missing("verification", then)


def _outcome(passed: bool) -> str:
    return "passed" if passed else "failed"


def _accuracy(report: Report, baseline: Report, allowed_pp: float) -> Iterator[Finding]:
    same_answers = same_float_answers(report, baseline)
    metric = baseline.model.spec.task.metric
    for key, old in baseline.drops.items():
        name, new = FORMATS[key].name, report.drops.get(key)
        labelled = old.drop_pp is not None
        what = f"{f'{metric} drop' if labelled else 'agreement'}, {name}"
        if new is None or (labelled and new.drop_pp is None):
            yield missing(what, _measured(old, labelled=labelled))
            continue
        yield judged_loss(
            what,
            _measured(old, labelled=labelled),
            _measured(new, labelled=labelled),
            accuracy_loss(new, old, same_answers=same_answers),
            allowed_pp,
            in_points=True,
        )
        if labelled and not same_answers:  # else it is what the drop says
            what = f"{metric}, {name}"
            yield _score(what, new, old, allowed_pp, same_images=same_images(report, baseline))


def _likeness(report: Report, baseline: Report, allowed_pp: float) -> Iterator[Finding]:
    """How closely the numbers of a regression follow the float model's."""
    if baseline.model.spec.task is not Task.REGRESSION or baseline.fidelity is None:
        return
    found = report.fidelity.candidates if report.fidelity else {}
    for name, old in baseline.fidelity.candidates.items():
        if old.r2 is None:
            continue
        what, new = f"R² against float, {name}", found.get(name)
        if new is None or new.r2 is None:
            yield missing(what, determination(old.r2))
            continue
        loss = Loss(value=100 * (old.r2 - new.r2))
        shown = determination(old.r2), determination(new.r2)
        yield judged_loss(what, *shown, loss, allowed_pp, in_points=True)


def _score(
    what: str,
    new: Judged,
    old: Judged,
    allowed_pp: float,
    *,
    same_images: bool,
) -> Finding:
    """Accuracy itself: a float model that became worse takes the INT8 one with it, at no drop."""
    before, now = percent(score_of(old)), percent(score_of(new))
    if not same_images:
        return Finding(
            what=what,
            baseline=before,
            now=now,
            verdict=Verdict.NOT_COMPARED,
            reason=f"{what.partition(',')[0]} itself, as it was measured on other images",
        )
    return judged_loss(what, before, now, score_loss(new, old), allowed_pp, in_points=True)


def _measured(accuracy: Judged, *, labelled: bool) -> str:
    return points(accuracy.drop_pp) if labelled else percent(agreement_of(accuracy))


def _speed(report: Report, baseline: Report, allowed: float) -> Iterator[Finding]:
    other_isa = report.latency_environment.isa != baseline.latency_environment.isa
    measured = {_conditions(result): result for result in report.latency}
    for old in baseline.latency:
        before = old.speedup
        if before is None:  # a float model
            continue
        what = _speedup_of(old)
        new = measured.get(_conditions(old))
        if new is None or new.speedup is None:
            yield missing(what, times(before), _why_not_measured(old, report))
        elif other_isa:
            yield Finding(
                what=what,
                baseline=times(before),
                now=times(new.speedup),
                verdict=Verdict.NOT_COMPARED,
                reason="speed, as the two CPUs have other instruction sets for INT8",
            )
        else:
            loss = speed_loss(new.speedup, new.speedup_ci95, before, old.speedup_ci95)
            yield judged_loss(what, times(before), times(new.speedup), loss, allowed)


def _why_not_measured(result: LatencyResult, report: Report) -> str:
    if report.benchmark is None:
        return ""
    name = f"{result.artifact} in {result.runtime}"
    key = not_measured_name(name, result.threads, result.batch)
    return report.benchmark.not_measured.get(key, "")


def _conditions(result: LatencyResult) -> tuple[Runtime, str, int, int]:
    return result.runtime, result.artifact, result.threads, result.batch


def _speedup_of(result: LatencyResult) -> str:
    batch = f", batch {result.batch}" if result.batch > 1 else ""
    threads = counted(result.threads, "thread")
    return f"speedup, {result.artifact} in {result.runtime}, {threads}{batch}"


def _size(report: Report, baseline: Report, allowed: float) -> Iterator[Finding]:
    for name, old in baseline.size_bytes.items():
        if not name.endswith(_INT8_SUFFIXES):
            continue
        what = f"size, {name}"
        new = report.size_bytes.get(name)
        if new is None:
            yield missing(what, decimal_bytes(old))
            continue
        growth = Loss(value=new / old - 1)
        yield judged_loss(
            what,
            decimal_bytes(old),
            decimal_bytes(new),
            growth,
            allowed,
            reason=f"{new:,} bytes, {old:,} before: worse by {percents(growth.value)}, "
            f"{percents(allowed)} allowed",
        )


def _coverage(report: Report, baseline: Report) -> Iterator[Finding]:
    found = report.coverage.kinds if report.coverage else {}
    for kind, old in (baseline.coverage.kinds if baseline.coverage else {}).items():
        what = f"in integers, {kind}"
        new = found.get(kind)
        if new is None:
            yield missing(what, _share(old))
        else:
            yield judged(what, _share(old), _share(new), failed=new.quantized < old.quantized)


def _share(coverage: OperatorCoverage) -> str:
    return f"{coverage.quantized:,} of {coverage.total:,}"
