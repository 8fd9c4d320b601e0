"""Tables of details: flips, skipped files, time and memory, environment, versions, config."""

from collections.abc import Iterator
from typing import Final

from eightbit.benchmarks.accuracy.multi_label import CandidateMultiLabel
from eightbit.benchmarks.accuracy.tally import CandidateAccuracy
from eightbit.benchmarks.artifact.formats import FORMATS
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import (
    NOTHING,
    Table,
    class_name,
    decimal_bytes,
    facts,
    percent,
)
from eightbit.benchmarks.report.tables.multi_label import changed_decisions
from eightbit.models.images.loading import SkippedImage

_MAX_LISTED: Final = 20


def detail_tables(report: Report) -> Iterator[Table]:
    """Flips, skipped files, time and memory, environment, as far as there is anything to say."""
    labels = report.model.spec.labels
    for key, format in FORMATS.items():
        result = report.drops.get(key)
        if isinstance(result, CandidateMultiLabel) and result.flips:
            yield changed_decisions(format.name, result, labels)
        elif isinstance(result, CandidateAccuracy) and result.flips:
            yield _flips(format.name, result, labels)
    yield from skipped_tables(report)
    yield _cost(report)
    yield _environment(report)


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


def skipped_tables(report: Report) -> Iterator[Table]:
    """The files that could not be used to calibrate and to evaluate."""
    calibration, evaluation = report.calibration, report.evaluation
    if calibration and calibration.skipped:
        yield _skipped("calibration", calibration.skipped, len(calibration.skipped))
    if evaluation and evaluation.skipped:
        yield _skipped("evaluation", evaluation.skipped, evaluation.skipped_count)


def _skipped(use: str, skipped: tuple[SkippedImage, ...], count: int) -> Table:
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


def _cost(report: Report) -> Table:
    """Seconds of every stage and the memory of the run."""
    rows = [(stage, f"{seconds:,.1f} s") for stage, seconds in report.timings_s.items()]
    rows.append(("peak memory", decimal_bytes(report.peak_rss_bytes)))
    return Table(title="Time and memory of the run", columns=("stage", "cost"), rows=tuple(rows))


def environment_tables(report: Report) -> Iterator[Table]:
    """The machine of the run, those of later commands, and the time and memory of the run."""
    yield _environment(report)
    sections = {
        "Evaluation": report.evaluation,
        "Parity": report.executions,
        "Latency": report.benchmark,
        "Start of the bundle": report.edge,
    }
    rows = tuple(
        (what, section.environment.summary())
        for what, section in sections.items()
        if section and section.environment
    )
    if rows:
        yield Table(
            title="Measured elsewhere", columns=("what", "where"), rows=rows, text_columns=2
        )
    yield _cost(report)


def _environment(report: Report) -> Table:
    environment = report.environment
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
    return facts("Environment", rows.items(), columns=("", "value"))


def origin_tables(report: Report) -> Iterator[Table]:
    """Versions, digests and configuration of the run."""
    digests = {
        "eightbit": report.eightbit_version,
        "weights": report.model.weights,
        "SHA-256 of the weights": report.model.weights_sha256 or NOTHING,
        "SHA-256 of the recipe": report.recipe_sha256,
    }
    if report.model.weights_notes:
        digests["how the weights were read"] = "; ".join(report.model.weights_notes)
    yield facts("Versions and digests", digests.items())
    settings = ((name, _setting(value)) for name, value in report.config.items())
    yield facts("Configuration", settings, columns=("setting", "value"))


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value is None else str(value)
