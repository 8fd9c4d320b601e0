"""Terminal output: progress on stderr, results on stdout."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from eightbit.models.plain_text import cut
from eightbit.quantize.cli.classification import Guess
from eightbit.quantize.stages import Stages

# Wide enough for every table where the output is no terminal and has no width of its own.
_WIDTH_OF_A_FILE = 100

_MOST_OF_A_MESSAGE = 480


def results() -> Console:
    """The console for stdout; in a file without colours, at a fixed width."""
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_FILE
    return Console(width=width, highlight=False)


class _RateColumn(ProgressColumn):
    """Steps per second, for stages with a unit."""

    def render(self, task: Task) -> Text:
        """See `ProgressColumn`."""
        speed, unit = task.finished_speed or task.speed, task.fields.get("unit")
        return Text(f"{speed:,.3g} {unit}/s" if speed and unit else "")


class ProgressBars:
    """Shows each stage of a run as a bar; a `Watcher` and context manager.

    Without a terminal on stderr there are no bars: a log gets the messages alone.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            _RateColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def begin(self, stage: str) -> None:
        """See `Watcher`."""
        self._progress.start()  # with the first stage, and no more after that
        self._task = self._progress.add_task(stage, total=None)

    def expect(self, total: int, unit: str = "") -> None:
        """See `Watcher`."""
        self._progress.update(self._task, total=total, unit=unit)

    def advance(self, steps: int) -> None:
        """See `Watcher`."""
        self._progress.advance(self._task, steps)

    def resume(self, steps: int) -> None:
        """See `Watcher`."""
        # A reset forgets how fast it was so far.
        done = int(self._progress.tasks[self._task].completed) + steps
        self._progress.reset(self._task, completed=done)

    def tell(self, line: str) -> None:
        """See `Watcher`."""
        # Above the bars where there are any; a log gets it as well.
        self._progress.console.print(
            f"eightbit: {cut(line, _MOST_OF_A_MESSAGE)}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    def end(self) -> None:
        """See `Watcher`."""
        # It may have taken fewer steps than expected, where images were unusable.
        total = self._progress.tasks[self._task].total or 1
        self._progress.update(self._task, total=total, completed=total)


@contextmanager
def progress() -> Iterator[Stages]:
    """The stages of a run, shown as bars."""
    with ProgressBars() as bars:
        yield Stages(bars)


def guesses_table(path: Path, guesses: Sequence[Guess], *, several: bool = False) -> Table:
    """The most probable classes of one photo, or its numbers; `several` may be its classes."""
    numbers = any(guess.probability is None for guess in guesses)
    table = Table(box=box.SIMPLE_HEAD, title=Text(cut(path, 300)), title_justify="left")
    table.add_column("value" if numbers else "probability", justify="right")
    table.add_column("output" if numbers else "class", justify="right")
    table.add_column("label")
    if several:
        table.add_column("answer")
    for guess in guesses:
        shown = f"{guess.value:.6g}" if guess.probability is None else f"{guess.probability:.1%}"
        answer = (("yes" if guess.chosen else "no"),) if several else ()
        table.add_row(shown, str(guess.index), Text(cut(guess.label, 120)), *answer)
    return table
