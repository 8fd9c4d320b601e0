"""The section of the report's page about leaving for another machine."""

from collections.abc import Iterator

from eightbit.benchmarks.edge_tables import deploy_commands, edge_tables
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.pages.sections import Section


def edge_sections(report: Report) -> Iterator[Section]:
    """How to classify a photo on a machine without torch."""
    yield Section(
        id="deploy",
        title="Deploy",
        lead="To classify photos on a machine without torch, copy model.zip there: it holds the "
        "INT8 ONNX model, a program that runs it, and a self-test, which says whether other "
        "versions of the packages will do as well: python model.zip --self-test.",
        code=deploy_commands(report),
        tables=tuple(edge_tables(report)),
        nothing="The model was not written as ONNX.",
    )
