"""Renders an examination for a terminal: verdict, facts, findings."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from eightbit.models.plain_text import cut
from eightbit.quantize.doctor.findings import Examination, Finding, Severity

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.INFO: "bold cyan"}


def render_examination(examination: Examination) -> RenderableType:
    """For 80 columns and more; control characters in text from files are escaped."""
    parts: list[RenderableType] = [Text(cut(examination.verdict, 1000), style="bold")]
    parts.append(Padding(_facts(examination.facts), (1, 0)))
    parts.append(_findings(examination.findings))
    return Group(*parts)


def _facts(facts: tuple[tuple[str, str], ...]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(Text(cut(name, 200)), Text(cut(value, 1000)))
    return grid


def _findings(findings: tuple[Finding, ...]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for finding in findings:
        tag = Text(finding.severity.value, style=_STYLES[finding.severity])
        for index, line in enumerate(_lines(finding)):
            grid.add_row(tag if index == 0 else Text(), line)
    return grid


def _lines(finding: Finding) -> Iterator[Text]:
    yield Text(cut(finding.what, 500), style="bold")
    if finding.why:
        yield Text(_sentence(finding.why))
    if finding.remedy:
        yield Text("-> " + _sentence(finding.remedy), style="green")


def _sentence(text: str) -> str:
    return cut(text, 1000).rstrip(".") + "."
