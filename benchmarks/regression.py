"""Whether a report is worse than an earlier one, for a job that must not let that pass.

One rule for accuracy and speed: a regression is a loss that is larger than allowed *and* larger
than chance, so its 95 % confidence interval lies above zero. A loss within the interval is no
evidence, however large it looks; one that is proven and small is what the tolerance is for. So this
gate asks for proof of harm where `--max-drop` asks for proof of quality: a job needs both.

What is counted exactly (bytes, operators, checks) has no interval.
"""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from eightbit.benchmarks.accuracy import CandidateAccuracy
from eightbit.benchmarks.comparability import (
    latency_environment,
    same_float_model,
    same_images,
)
from eightbit.benchmarks.latency import LatencyResult
from eightbit.benchmarks.losses import Loss, accuracy_loss, speed_loss, speedup_with_interval
from eightbit.benchmarks.regression_findings import Finding, Verdict, judged, missing
from eightbit.benchmarks.report import OperatorCoverage, Report
from eightbit.benchmarks.tables import (
    NOTHING,
    decimal_bytes,
    interval,
    percent,
    percents,
    points,
    times,
)
from eightbit.models.errors import InputError
from eightbit.models.spec import FrozenModel

_INT8_MARK = ".int8."

Tolerated = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class Tolerance(FrozenModel):
    """What may be lost without a regression.

    Attributes:
        accuracy_pp: Percentage points of top-1, or without labels of agreement with float.
        speed: Fraction of the speedup over float.
        size: Fraction by which a file may grow.
    """

    accuracy_pp: Tolerated = 0.5
    speed: Tolerated = 0.1
    size: Tolerated = 0.01


def find_regressions(
    report: Report, baseline: Report, tolerance: Tolerance | None = None
) -> tuple[Finding, ...]:
    """Compares whatever the baseline measured; what only the report has does not count.

    Args:
        report: In question.
        baseline: An earlier one of the same architecture and number of classes.
        tolerance: What may be lost; the defaults for None.

    Raises:
        InputError: The two are of different architectures or numbers of classes, or the baseline
            measured nothing.
    """
    now, then = report.model.spec, baseline.model.spec
    if (now.architecture, now.num_classes) != (then.architecture, then.num_classes):
        raise InputError(
            f"baseline: expected a report of {now.architecture} with {now.num_classes:,} classes, "
            f"found one of {then.architecture} with {then.num_classes:,}; a gate compares a "
            "network with an earlier version of itself"
        )
    allowed = tolerance or Tolerance()
    findings = (
        *_verification(report, baseline),
        *_accuracy(report, baseline, allowed.accuracy_pp),
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
    if baseline.accuracy is None:
        return
    comparable = same_images(report, baseline) and same_float_model(report, baseline)
    for key, name in (("torchscript", "TorchScript"), ("onnx", "ONNX")):
        old: CandidateAccuracy | None = getattr(baseline.accuracy, key)
        new: CandidateAccuracy | None = getattr(report.accuracy, key, None)
        if old is None:
            continue
        labelled = old.drop_pp is not None
        what = f"{'top-1 drop' if labelled else 'agreement'}, {name}"
        if new is None or (labelled and new.drop_pp is None):
            yield missing(what, _measured(old, labelled=labelled))
            continue
        loss = accuracy_loss(new, old, same_images=comparable)
        yield judged(
            what,
            _measured(old, labelled=labelled),
            _measured(new, labelled=labelled),
            loss=interval(loss.value, loss.interval),
            allowed=f"{allowed_pp:g} pp",
            failed=loss.beyond(allowed_pp),
            unsure=loss.hides(allowed_pp),
        )


def _measured(accuracy: CandidateAccuracy, *, labelled: bool) -> str:
    return points(accuracy.drop_pp) if labelled else percent(accuracy.top1_agreement)


def _speed(report: Report, baseline: Report, allowed: float) -> Iterator[Finding]:
    here, there = latency_environment(report), latency_environment(baseline)
    other_isa = here is not None and there is not None and here.isa != there.isa
    measured = {_conditions(result): result for result in report.latency}
    for old in baseline.latency:
        before, interval_before = speedup_with_interval(old, baseline.latency)
        if before is None or _INT8_MARK not in old.artifact:
            continue
        what = _speedup_of(old)
        new = measured.get(_conditions(old))
        now, interval_now = speedup_with_interval(new, report.latency) if new else (None, None)
        if now is None:
            yield missing(what, times(before))
        elif other_isa:
            yield Finding(
                what=what,
                baseline=times(before),
                now=times(now),
                verdict=Verdict.NOT_COMPARED,
                reason="speed, as the two CPUs have other instruction sets for INT8",
            )
        else:
            loss = speed_loss(now, interval_now, before, interval_before)
            yield judged(
                what,
                times(before),
                times(now),
                loss=percents(loss.value, loss.interval),
                allowed=percents(allowed),
                failed=loss.beyond(allowed),
                unsure=loss.hides(allowed),
            )


def _conditions(result: LatencyResult) -> tuple[str, str, int, int]:
    return result.runtime, result.artifact, result.threads, result.batch


def _speedup_of(result: LatencyResult) -> str:
    batch = f", batch {result.batch}" if result.batch > 1 else ""
    threads = f"{result.threads} thread{'s' * (result.threads > 1)}"
    return f"speedup, {result.artifact} in {result.runtime}, {threads}{batch}"


def _size(report: Report, baseline: Report, allowed: float) -> Iterator[Finding]:
    for name, old in baseline.size_bytes.items():
        if _INT8_MARK not in name:
            continue
        what = f"size, {name}"
        new = report.size_bytes.get(name)
        if new is None:
            yield missing(what, decimal_bytes(old))
            continue
        growth = Loss(value=new / old - 1)
        yield judged(
            what,
            decimal_bytes(old),
            decimal_bytes(new),
            loss=percents(growth.value),
            allowed=percents(allowed),
            failed=growth.beyond(allowed),
            reason=f"{new:,} bytes, {old:,} before: worse by {percents(growth.value)}, "
            f"{percents(allowed)} allowed",
        )


def _coverage(report: Report, baseline: Report) -> Iterator[Finding]:
    for kind, old in baseline.coverage or ():
        if old is None:
            continue
        what = f"in integers, {kind}"
        new: OperatorCoverage | None = getattr(report.coverage, kind, None)
        if new is None:
            yield missing(what, _share(old))
        else:
            yield judged(what, _share(old), _share(new), failed=new.quantized < old.quantized)


def _share(coverage: OperatorCoverage) -> str:
    return f"{coverage.quantized:,} of {coverage.total:,}"
