"""The report as GitHub Markdown."""

import re
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import outputs
from eightbit.benchmarks.report.headline import headline
from eightbit.benchmarks.report.tables.cost import deploy_commands, edge_tables
from eightbit.benchmarks.report.tables.results import result_tables
from eightbit.benchmarks.report.tables.run import detail_tables
from eightbit.models.plain_text import printable

# Whatever could begin inline markup, HTML, a math formula or the next cell of a table.
_MARKUP: Final = re.compile(r"[\\`*_\[\]<>|~$&]")


class Verbatim(str):
    """Text for an indented code block, where Markdown shows every character as it is."""

    __slots__ = ()


def fill_markdown(package: str, template: str, /, **values: Any) -> str:
    """Fill a template for GitHub Markdown from a package's assets; inserted values are escaped."""
    environment = Environment(
        loader=PackageLoader(package, "assets"),
        # The output is no HTML; escaping for Markdown is `finalize`, which no value can evade.
        autoescape=False,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)


def _escaped(value: object) -> str:
    if isinstance(value, Verbatim):
        return value
    return _MARKUP.sub(r"\\\g<0>", printable(str(value)))


def render_markdown(report: Report) -> str:
    """The whole report as Markdown that ends in a newline."""
    edge = tuple(edge_tables(report))
    tables = [*result_tables(report), *detail_tables(report)]
    return fill_markdown(
        "eightbit.benchmarks.report.pages",
        "report.md.j2",
        report=report,
        outputs=outputs(report.model.spec),
        headline=headline(report),
        tables=[table for table in tables if table not in edge],
        edge=edge,
        deploy=[Verbatim(printable(command)) for command in deploy_commands(report)],
        commands=[Verbatim(printable(command)) for command in report.commands],
    )
