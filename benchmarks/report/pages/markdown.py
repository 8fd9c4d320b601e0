"""The report as GitHub Markdown."""

from eightbit.benchmarks.edge_tables import deploy_commands, edge_tables
from eightbit.benchmarks.markdown import Verbatim, fill_markdown
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.headline import headline
from eightbit.benchmarks.report.tables.results import result_tables
from eightbit.benchmarks.report.tables.run import detail_tables
from eightbit.models.plain_text import printable


def render_markdown(report: Report) -> str:
    """The whole report as Markdown that ends in a newline."""
    edge = tuple(edge_tables(report))
    tables = [*result_tables(report), *detail_tables(report)]
    return fill_markdown(
        "eightbit.benchmarks.report.pages",
        "report.md.j2",
        report=report,
        headline=headline(report),
        tables=[table for table in tables if table not in edge],
        edge=edge,
        deploy=[Verbatim(printable(command)) for command in deploy_commands(report)],
        commands=[Verbatim(printable(command)) for command in report.commands],
    )
