"""The report as GitHub Markdown."""

import re
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from eightbit.benchmarks.detail_tables import detail_tables
from eightbit.benchmarks.headline import headline
from eightbit.benchmarks.report import Report
from eightbit.benchmarks.result_tables import result_tables
from eightbit.models.plain_text import printable

_TEMPLATE: Final = "report.md.j2"
# Whatever could begin inline markup, HTML, a math formula or the next cell of a table.
_MARKUP: Final = re.compile(r"[\\`*_\[\]<>|~$&]")


def render_markdown(report: Report) -> str:
    """The whole report as Markdown that ends in a newline.

    Every value that the template inserts is escaped, so that names of files and classes
    show as they are.
    """
    environment = Environment(
        loader=PackageLoader("eightbit.benchmarks", "assets"),
        # The output is no HTML; escaping for Markdown is `finalize`, which no value can evade.
        autoescape=False,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(_TEMPLATE).render(
        report=report,
        headline=headline(report),
        tables=[*result_tables(report), *detail_tables(report)],
        commands=[Verbatim(printable(command)) for command in report.commands],
    )


class Verbatim(str):
    """Text for an indented code block, where Markdown shows every character as it is."""

    __slots__ = ()


def _escaped(value: object) -> str:
    if isinstance(value, Verbatim):
        return value
    return _MARKUP.sub(r"\\\g<0>", printable(str(value)))
