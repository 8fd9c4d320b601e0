"""Several reports side by side: one row per bundle and INT8 artefact."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final

from eightbit.benchmarks.accuracy.fidelity import FidelityResult
from eightbit.benchmarks.accuracy.multi_label import Judged
from eightbit.benchmarks.artifact.formats import FORMATS, Precision, Runtime
from eightbit.benchmarks.comparison.comparability import (
    comparison_warnings,
    same_float_answers,
    same_images,
)
from eightbit.benchmarks.comparison.differences import Loss, accuracy_loss, speed_loss
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.report.document import Report
from eightbit.models.errors import InputError
from eightbit.models.plain_text import counted
from eightbit.models.spec import Task

_NO_CONDITIONS: Final = (
    "No number of threads and images per call was measured in all of them, so no times are shown; "
    "measure with the same --threads and --batch."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """Images per call and threads per call at which latencies are compared."""

    batch: int
    threads: int

    def __str__(self) -> str:
        return f"batch {self.batch}, {counted(self.threads, 'thread')}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedArtifact:
    """An INT8 artefact of one of the reports; None for what was not measured.

    Attributes:
        bundle: Name of the report.
        artifact: Name of its format.
        task: What the network's outputs mean.
        fp32_score: The float model's top-1, accuracy of one logit or mAP.
        latency: Under the conditions of the comparison, in its own runtime.
        speedup: Over the best float model in that runtime, with its 95 % confidence interval.
    """

    bundle: str
    artifact: str
    runtime: Runtime
    task: Task
    fp32_score: float | None
    accuracy: Judged | None
    fidelity: FidelityResult | None
    latency: LatencyResult | None
    speedup: float | None
    speedup_ci95: tuple[float, float] | None
    size_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AgainstFirst:
    """An artefact of a later report against the same kind of artefact of the first.

    Attributes:
        accuracy: Points of top-1, accuracy or mAP (without labels, of agreement) that it is worse
            by.
        speed: Fraction of the speedup that it is worse by.
    """

    bundle: str
    artifact: str
    accuracy: Loss | None
    speed: Loss | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Reports side by side, by name, in the order given.

    Attributes:
        conditions: Batch and threads of the latencies; None where the reports have none in common.
        against_first: For all reports but the first.
        warnings: Which numbers are not comparable, one sentence each.
    """

    reports: Mapping[str, Report]
    conditions: Conditions | None
    artifacts: tuple[ComparedArtifact, ...]
    against_first: tuple[AgainstFirst, ...]
    warnings: tuple[str, ...]

    @property
    def metric(self) -> str:
        """What the networks are judged by, if that is one thing; else a word for any."""
        metrics = {report.model.spec.task.metric for report in self.reports.values()}
        return metrics.pop() if len(metrics) == 1 else "score"


def compare_reports(reports: Mapping[str, Report]) -> Comparison:
    """Puts reports side by side; whatever makes them hard to compare is a warning.

    Raises:
        InputError: There are fewer than two.
    """
    if len(reports) < 2:
        raise InputError(f"comparison: expected at least two reports, found {len(reports)}")
    conditions = common_conditions(reports)
    artifacts = tuple(
        artifact
        for name, report in reports.items()
        for artifact in _artifacts(name, report, conditions)
    )
    warnings = comparison_warnings(reports)
    if conditions is None and any(report.latency for report in reports.values()):
        warnings += (_NO_CONDITIONS,)
    return Comparison(
        reports=reports,
        conditions=conditions,
        artifacts=artifacts,
        against_first=tuple(_against_first(reports, artifacts)),
        warnings=warnings,
    )


def common_conditions(reports: Mapping[str, Report]) -> Conditions | None:
    """The smallest batch, and with it the fewest threads, of all reports that have latencies."""
    measured = [
        {(entry.batch, entry.threads) for entry in report.latency}
        for report in reports.values()
        if report.latency
    ]
    common = reduce(set.intersection, measured) if measured else set()
    if not common:
        return None
    batch, threads = min(common)
    return Conditions(batch=batch, threads=threads)


def at_conditions(report: Report, conditions: Conditions | None) -> tuple[LatencyResult, ...]:
    """The latencies of a report under these conditions; none for None."""
    if conditions is None:
        return ()
    wanted = (conditions.batch, conditions.threads)
    return tuple(entry for entry in report.latency if (entry.batch, entry.threads) == wanted)


def _artifacts(
    name: str, report: Report, conditions: Conditions | None
) -> Iterator[ComparedArtifact]:
    """Those of which anything is known."""
    for key, format in FORMATS.items():
        accuracy = report.drops.get(key)
        fidelity = report.fidelity.by_key.get(key) if report.fidelity else None
        size = next(
            (n for file, n in report.size_bytes.items() if file.endswith(format.ending())), None
        )
        latency = next(
            (
                entry
                for entry in at_conditions(report, conditions)
                if entry.runtime is format.runtime and entry.precision is Precision.INT8
            ),
            None,
        )
        if (accuracy, fidelity, size, latency) == (None, None, None, None):
            continue
        yield ComparedArtifact(
            bundle=name,
            artifact=format.name,
            runtime=format.runtime,
            task=report.model.spec.task,
            fp32_score=_float_score(report),
            accuracy=accuracy,
            fidelity=fidelity,
            latency=latency,
            speedup=latency.speedup if latency else None,
            speedup_ci95=latency.speedup_ci95 if latency else None,
            size_bytes=size,
        )


def _float_score(report: Report) -> float | None:
    if report.multi_label is not None:
        return report.multi_label.fp32.map
    return report.accuracy.fp32.top1 if report.accuracy else None


def _against_first(
    reports: Mapping[str, Report], artifacts: tuple[ComparedArtifact, ...]
) -> Iterator[AgainstFirst]:
    first_name, first_report = next(iter(reports.items()))
    firsts = {own.artifact: own for own in artifacts if own.bundle == first_name}
    for other in artifacts:
        first = firsts.get(other.artifact)
        if first is None or first is other:
            continue
        report = reports[other.bundle]
        comparable = same_images(report, first_report)
        accuracy = speed = None
        comparable = comparable and other.task is first.task
        if comparable and other.accuracy is not None and first.accuracy is not None:
            accuracy = accuracy_loss(
                other.accuracy,
                first.accuracy,
                same_answers=same_float_answers(report, first_report),
            )
        if other.speedup is not None and first.speedup is not None:
            speed = speed_loss(other.speedup, other.speedup_ci95, first.speedup, first.speedup_ci95)
        yield AgainstFirst(
            bundle=other.bundle, artifact=other.artifact, accuracy=accuracy, speed=speed
        )
