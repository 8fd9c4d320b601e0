"""The sections of the report's page about time and room."""

from collections.abc import Iterator
from typing import Final

from eightbit.benchmarks.chart_size import size_chart
from eightbit.benchmarks.report.charts.cost import latency_charts, whole_path_chart
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.pages.sections import Section, row
from eightbit.benchmarks.report.tables.cost import latency_tables, whole_path_tables
from eightbit.benchmarks.report.tables.results import size_table

BENCHMARK: Final = "eightbit benchmark DIR"


def cost_sections(report: Report) -> Iterator[Section]:
    """Latency, the whole path, size."""
    yield Section(
        id="latency",
        title="Latency",
        lead="How long one call takes, and how many times faster INT8 is than the best float model "
        "of the same runtime.",
        charts=tuple(
            columns
            for charts in latency_charts(report.latency)
            for columns in row(*([chart] for chart in charts))
        ),
        tables=tuple(latency_tables(report.latency, report.benchmark)),
        nothing="Not measured.",
        command=BENCHMARK,
    )
    paths = report.benchmark.whole_path if report.benchmark else ()
    yield Section(
        id="whole-path",
        title="From photo to class",
        lead="What a user waits for: decoding, resizing and normalising the photo, then the model.",
        charts=row([whole_path_chart(paths)]),
        tables=tuple(whole_path_tables(report.benchmark)),
        nothing="Not measured.",
        command=BENCHMARK,
    )
    yield Section(
        id="size",
        title="Size",
        lead="What has to be stored and sent.",
        charts=row([size_chart(report.size_bytes)]),
        tables=(size_table(report),) if report.size_bytes else (),
        nothing="Not measured: no bundle was written.",
    )
