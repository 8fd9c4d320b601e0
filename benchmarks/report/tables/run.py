"""What is worth a look after the results, as tables: flips, skipped files, cost, machine."""

from collections.abc import Iterator
from typing import Final

from eightbit.benchmarks.accuracy.tally import CandidateAccuracy
from eightbit.benchmarks.artifact.formats import FORMATS
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import NOTHING, Table, class_name, decimal_bytes, percent
from eightbit.benchmarks.runtimes.environment import Environment
from eightbit.models.images.loading import SkippedImage

_MAX_LISTED: Final = 20


def detail_tables(report: Report) -> Iterator[Table]:
    """Flips, skipped files, time and memory, environment, as far as there is anything to say."""
    labels = report.model.spec.labels
    if report.accuracy:
        for key, format in FORMATS.items():
            result = report.accuracy.by_key.get(key)
            if result and result.flips:
                yield _flips(format.name, result, labels)
    if report.calibration and report.calibration.skipped:
        skipped = report.calibration.skipped
        yield skipped_table("calibration", skipped, len(skipped))
    if report.evaluation and report.evaluation.skipped:
        evaluation = report.evaluation
        yield skipped_table("evaluation", evaluation.skipped, evaluation.skipped_count)
    yield cost_table(report)
    yield environment_table(report.environment)


def _flips(name: str, result: CandidateAccuracy, labels: tuple[str, ...] | None) -> Table:
    listed = result.flips[:_MAX_LISTED]
    return Table(
        title=f"Images whose class changed ({name})",
        columns=("image", "label", "float", "INT8"),
        rows=tuple(
            (
                flip.image,
                class_name(flip.label, labels),
                _answer(flip.float_class, flip.float_probability, labels),
                _answer(flip.int8_class, flip.int8_probability, labels),
            )
            for flip in listed
        ),
        text_columns=4,
        note=_rest(result.flip_count - len(listed)),
    )


def _answer(index: int, probability: float, labels: tuple[str, ...] | None) -> str:
    return f"{class_name(index, labels)} ({percent(probability, 0)})"


def skipped_table(use: str, skipped: tuple[SkippedImage, ...], count: int) -> Table:
    """The first of `count` files that could not be used for something, and why."""
    return Table(
        title=f"Skipped for {use}",
        columns=("file", "reason"),
        rows=tuple((entry.name, entry.reason) for entry in skipped[:_MAX_LISTED]),
        text_columns=2,
        note=_rest(count - min(len(skipped), _MAX_LISTED)),
    )


def _rest(count: int) -> str:
    return f"And {count:,} more." if count > 0 else ""


def cost_table(report: Report) -> Table:
    """Seconds of every stage and the memory of the run."""
    rows = [(stage, f"{seconds:,.1f} s") for stage, seconds in report.timings_s.items()]
    rows.append(("peak memory", decimal_bytes(report.peak_rss_bytes)))
    return Table(title="Time and memory of the run", columns=("stage", "cost"), rows=tuple(rows))


def environment_table(environment: Environment) -> Table:
    """The machine and the versions on it."""
    rows = {
        "CPU": environment.cpu,
        "architecture": environment.architecture,
        "usable logical cores": str(environment.logical_cores),
        "instruction sets": " ".join(environment.isa) or NOTHING,
        "memory": decimal_bytes(environment.memory_bytes),
        "operating system": environment.os,
        "Python": environment.python,
        **environment.versions,
    }
    return Table(
        title="Environment",
        columns=("", "value"),
        rows=tuple(rows.items()),
        text_columns=2,
        sorts=False,
    )
