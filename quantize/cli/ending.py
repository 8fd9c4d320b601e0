"""How a command ends: what it printed, where it wrote, and its exit code."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from eightbit.models.plain_text import cut, one_line, printable

if TYPE_CHECKING:
    from eightbit.benchmarks.report.document import Report


def command_line() -> str:
    """The command line as typed, safe to print."""
    return printable(shlex.join(["eightbit", *sys.argv[1:]]))


def show(report: "Report") -> None:
    """Print a report."""
    from eightbit.benchmarks.report.pages.terminal import render_terminal
    from eightbit.quantize.cli.console import results

    results().print(render_terminal(report))


def say_written(place: Path) -> None:
    """Print where something has been written."""
    from eightbit.quantize.cli.console import results

    results().print(f"\nwritten to {cut(place, 4096)}", markup=False)


def pass_gates(report: "Report", max_drop: float | None) -> None:
    """Exit with 1 if a gate of a run failed; see `end`."""
    from eightbit.quantize.measure.report import failed_gates

    end(failed_gates(report, max_drop))


def end(failures: Sequence[str]) -> None:
    """Print failed gates on stderr and exit with 1 if there are any."""
    for failure in failures:
        print(f"eightbit: failed: {one_line(failure, 480)}", file=sys.stderr)
    if failures:
        raise typer.Exit(1)
