"""The sections of the report's page about answers."""

from collections.abc import Iterator
from typing import Final

from eightbit.benchmarks.chart_fallback import fallback_chart
from eightbit.benchmarks.report.charts.accuracy import classes_charts, drop_chart, reliability_chart
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.fallback import fallback_table
from eightbit.benchmarks.report.pages.gallery import gallery
from eightbit.benchmarks.report.pages.sections import Section, row
from eightbit.benchmarks.report.tables.accuracy import accuracy_tables
from eightbit.benchmarks.report.tables.results import fidelity_tables
from eightbit.benchmarks.shipping_accuracy import why_not_evaluated

EVALUATE: Final = "eightbit evaluate DIR --data SRC"


def accuracy_sections(report: Report) -> Iterator[Section]:
    """Accuracy, classes and confidence, layers in float, flips, fidelity."""
    yield _accuracy(report)
    if report.fallback is not None:
        yield Section(
            id="fallback",
            title="Layers in float",
            lead="What was left in float to keep the drop within its target, and what it cost.",
            charts=row([fallback_chart(report.fallback)]),
            tables=(fallback_table(report.fallback),),
        )
    yield _flips(report)
    yield _fidelity(report)


def _accuracy(report: Report) -> Section:
    accuracy, labels = report.accuracy, report.model.spec.labels
    if accuracy is None:
        return Section(
            id="accuracy",
            title="Accuracy",
            lead="How often each model is right, and what quantization changed.",
            nothing=f"Not measured: {why_not_evaluated(report)}.",
            command=EVALUATE,
        )
    return Section(
        id="accuracy",
        title="Accuracy",
        lead="How often each model is right, and what quantization changed, image by image.",
        charts=row(
            [drop_chart(accuracy, report.max_drop_pp), reliability_chart(accuracy)],
            classes_charts(accuracy, labels),
        ),
        tables=tuple(accuracy_tables(accuracy, labels)),
    )


def _flips(report: Report) -> Section:
    if report.accuracy is None:
        nothing = f"Not measured: {why_not_evaluated(report)}."
    else:
        nothing = "No image changed its class."
    return Section(
        id="flips",
        title="Images whose class changed",
        lead="Look at them: are they images on which either answer would do?",
        gallery=gallery(report),
        nothing=nothing,
        command=EVALUATE if report.accuracy is None else "",
    )


def _fidelity(report: Report) -> Section:
    return Section(
        id="fidelity",
        title="Fidelity of the logits",
        lead="How close the numbers are from which classes are chosen; labels are not needed.",
        tables=tuple(fidelity_tables(report.fidelity)) if report.fidelity else (),
        nothing=f"Not measured: {why_not_evaluated(report)}.",
        command=EVALUATE,
    )
