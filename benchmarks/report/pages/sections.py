"""A section of the report's page: what it is about, and what it shows."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from eightbit.benchmarks.report.figures import Table
from eightbit.benchmarks.report.pages.gallery import Gallery
from eightbit.benchmarks.report.pages.page import Chart
from eightbit.benchmarks.report.pages.parity_grid import ParityGrid

_NARROW: Final = 3

Row = tuple[tuple[Chart, ...], ...]
"""Columns of charts beside each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One section; what it does not have is not shown.

    Attributes:
        id: Its address on the page.
        title: Its heading.
        lead: One sentence that says what it shows.
        sentences: What is found, in words.
        charts: Pictures: rows of columns of charts, none of them empty. A wide one is alone.
        grid: Pairs of executions.
        gallery: Flipped images.
        tables: Tables below the pictures.
        folded: A table that is opened by who wants it.
        code: Commands.
        nothing: What is said where there is nothing to show.
        command: What to run for it.
    """

    id: str
    title: str
    lead: str
    sentences: tuple[str, ...] = ()
    charts: tuple[Row, ...] = ()
    grid: ParityGrid | None = None
    gallery: Gallery | None = None
    tables: tuple[Table, ...] = ()
    folded: Table | None = None
    code: tuple[str, ...] = ()
    nothing: str = ""
    command: str = ""

    @property
    def beside(self) -> tuple[Table, ...]:
        """Narrow tables, which have room beside a single picture."""
        if len(self.charts) != 1 or len(self.charts[0]) != 1 or self.charts[0][0][0].wide:
            return ()
        return tuple(table for table in self.tables if len(table.columns) <= _NARROW)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        shown = (self.sentences, self.charts, self.grid, self.gallery, self.tables, self.code)
        return not any(shown) and self.folded is None


def row(*columns: Iterable[Chart | None]) -> tuple[Row, ...]:
    """One row of those columns that hold a chart; none where no column does."""
    found = (tuple(chart for chart in column if chart is not None) for column in columns)
    filled = tuple(column for column in found if column)
    return (filled,) if filled else ()
