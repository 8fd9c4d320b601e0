"""How a command ends: what it printed, where it wrote, and its exit code."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from eightbit.models.plain_text import printable

if TYPE_CHECKING:
    from eightbit.benchmarks.report.document import Report


def command_line() -> str:
    """What was typed, safe to print."""
    return printable(shlex.join(["eightbit", *sys.argv[1:]]))


def show(report: "Report") -> None:
    """Print a report."""
    from eightbit.benchmarks.report.pages.terminal import render_terminal
    from eightbit.quantize.cli.console import results

    results().print(render_terminal(report))


def say_written(place: Path) -> None:
    """Print where something has been written."""
    from eightbit.quantize.cli.console import results

    results().print(f"\nwritten to {place}", markup=False)


def pass_gates(report: "Report", max_drop: float | None) -> None:
    """End well if every gate of a run is passed; see `end`."""
    from eightbit.quantize.measure.report import failed_gates

    end(failed_gates(report, max_drop))


def end(failures: Sequence[str]) -> None:
    """Name every failed gate on stderr and exit with 1, if there is one."""
    for failure in failures:
        print(f"eightbit: failed: {printable(failure)}", file=sys.stderr)
    if failures:
        raise typer.Exit(1)
