"""The report for a terminal."""

from typing import Final, Literal

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import Table, outputs
from eightbit.benchmarks.report.headline import headline
from eightbit.benchmarks.report.tables.results import result_tables
from eightbit.models.plain_text import cut

# Names, labels and reasons come from files, and may be of any length.
_MOST_OF_A_CELL: Final = 200
_MOST_OF_A_LINE: Final = 2000


def render_terminal(report: Report) -> RenderableType:
    """The headline and the results, for 80 columns and more; markup in the report has no effect."""
    spec = report.model.spec
    model = f"{spec.architecture}, {outputs(spec)}, weights {report.model.weights}"
    return Group(
        _line(model, "dim"),
        *(_line(f"weights: {note}", "dim") for note in report.model.weights_notes),
        _line(headline(report), "bold"),
        *(Padding(render_table(table), (1, 0, 0, 0)) for table in result_tables(report)),
    )


def render_table(table: Table) -> RenderableType:
    """A table under its title, with its note below."""
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for index, column in enumerate(table.columns):
        justify: Literal["left", "right"] = "left" if index < table.text_columns else "right"
        grid.add_column(Text(column), justify=justify, overflow="fold")
    for row in table.rows:
        grid.add_row(
            *(_line(cell, "bold red" if cell == "FAILED" else "", _MOST_OF_A_CELL) for cell in row)
        )
    failed = table.title.endswith("FAILED")
    title = _line(table.title, "bold red" if failed else "bold cyan")
    note = [_line(table.note, "dim")] if table.note else []
    return Group(title, grid, *note)


def _line(text: str, style: str, most: int = _MOST_OF_A_LINE) -> Text:
    return Text(cut(text, most), style=style)
