"""The sections of the report's page about the run itself."""

from collections.abc import Iterator

from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import NOTHING, Table
from eightbit.benchmarks.report.pages.sections import Section
from eightbit.benchmarks.report.tables.results import images_table
from eightbit.benchmarks.report.tables.run import cost_table, environment_table, skipped_table


def run_sections(report: Report) -> Iterator[Section]:
    """Images, environment, how to get this report again."""
    yield Section(
        id="images",
        title="Images",
        lead="Which images set the ranges, and on which accuracy was measured.",
        tables=tuple(_images(report)),
        nothing="No images were used.",
    )
    yield Section(
        id="environment",
        title="Environment",
        lead="Where this was measured: times and last bits depend on it.",
        tables=tuple(_environment(report)),
        nothing="Not recorded.",
    )
    yield Section(
        id="reproduce",
        title="Reproduce",
        lead="What gives this report again, in this order.",
        code=report.commands,
        tables=(_digests(report), *_config(report)),
    )


def _images(report: Report) -> Iterator[Table]:
    calibration, evaluation = report.calibration, report.evaluation
    if calibration or evaluation:
        yield images_table(calibration, evaluation)
    if calibration and calibration.skipped:
        yield skipped_table("calibration", calibration.skipped, len(calibration.skipped))
    if evaluation and evaluation.skipped:
        yield skipped_table("evaluation", evaluation.skipped, evaluation.all_skipped)


def _environment(report: Report) -> Iterator[Table]:
    if report.environment:
        yield environment_table(report.environment)
    elsewhere = {
        "Evaluation": report.evaluation.environment if report.evaluation else None,
        "Parity": report.executions.environment if report.executions else None,
        "Latency": report.benchmark.environment if report.benchmark else None,
        "Start of the bundle": report.edge.environment if report.edge else None,
    }
    rows = tuple((what, where.summary()) for what, where in elsewhere.items() if where)
    if rows:
        yield Table(
            title="Measured elsewhere", columns=("what", "where"), rows=rows, text_columns=2
        )
    if report.timings_s or report.peak_rss_bytes:
        yield cost_table(report)


def _digests(report: Report) -> Table:
    rows = {
        "eightbit": report.eightbit_version,
        "weights": report.model.weights,
        "SHA-256 of the weights": report.model.weights_sha256 or NOTHING,
        "SHA-256 of the recipe": report.recipe_sha256 or NOTHING,
    }
    return Table(
        title="Versions and digests",
        columns=("what", "value"),
        rows=tuple(rows.items()),
        text_columns=2,
        sorts=False,
    )


def _config(report: Report) -> Iterator[Table]:
    if report.config:
        rows = tuple((name, _said(value)) for name, value in report.config.items())
        yield Table(
            title="Configuration",
            columns=("setting", "value"),
            rows=rows,
            text_columns=2,
            sorts=False,
        )


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value is None else str(value)
