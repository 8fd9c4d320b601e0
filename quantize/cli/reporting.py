"""The command that shows reports: again, side by side, or against an earlier one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize.cli.ending import end, say_written, show
from eightbit.quantize.cli.options import Overwrite

if TYPE_CHECKING:
    from eightbit.benchmarks.comparison.regression import Finding, Tolerance
    from eightbit.benchmarks.report.document import Report
    from eightbit.benchmarks.report.figures import Table

reporting = typer.Typer()

_PAGE: Final = Path("comparison.html")


@reporting.command()
def report(
    places: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Bundles, or their report.json.")
    ],
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An earlier report.json: exit 1 if a DIR is worse."),
    ] = None,
    max_accuracy_loss: Annotated[
        float | None,
        typer.Option(metavar="PP", help="Points of top-1 that may be lost to --baseline; 0.5."),
    ] = None,
    max_speed_loss: Annotated[
        float | None,
        typer.Option(metavar="PERCENT", help="Of the speedup over float, the same; 10."),
    ] = None,
    max_size_growth: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="Of an INT8 file, the same; 1.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=f"Page of a comparison; {_PAGE} by default, none with --baseline."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Show a report again, several side by side, or what is worse than in an earlier one.

    One bundle: its report.md and report.html are written again. Several: a page compares them.
    With --baseline: every regression of each of them is named.
    """
    from eightbit.quantize.commands.reports import check_file_target, read_reports

    several = len(places) > 1
    tolerance = _tolerance(baseline, max_accuracy_loss, max_speed_loss, max_size_growth)
    page = out or (_PAGE if several and baseline is None else None)
    if page is not None:
        if not several and baseline is None:
            raise InputError(
                "--out: expected several reports, or --baseline, to compare, found one"
            )
        inputs = places if baseline is None else [baseline, *places]
        check_file_target(page, overwrite=overwrite, inputs=inputs)
    if baseline is not None:
        _gate(read_reports([baseline, *places]), tolerance, page)
    elif page is not None:
        _compare(read_reports(places), page)
    else:
        _show_again(places[0])


def _tolerance(baseline: Path | None, *given: float | None) -> "Tolerance":
    """The tolerance from the options in order; InputError if invalid or without a baseline."""
    from pydantic import ValidationError

    from eightbit.benchmarks.comparison.regression import (
        MAX_GROWTH,
        MAX_LOSS,
        MAX_LOSS_PP,
        Tolerance,
    )

    options = (
        ("--max-accuracy-loss", "accuracy_pp", 1.0, MAX_LOSS_PP),
        ("--max-speed-loss", "speed", 100.0, MAX_LOSS),
        ("--max-size-growth", "size", 100.0, MAX_GROWTH),
    )
    chosen = {}
    for (option, name, unit, highest), value in zip(options, given, strict=True):
        if value is None:
            continue
        if baseline is None:
            raise InputError(f"{option}: expected --baseline FILE beside it, found none")
        try:
            chosen[name] = getattr(Tolerance(**{name: value / unit}), name)
        except ValidationError as exc:
            raise InputError(
                f"{option}: expected a number from 0 to {unit * highest:,.0f}, found {value!r}"
            ) from exc
    return Tolerance(**chosen)


def _show_again(place: Path) -> None:
    from eightbit.quantize.cli.console import results
    from eightbit.quantize.commands.reports import RENDERED, replace_report
    from eightbit.quantize.report_file import read_checked_report

    found = read_checked_report(place)
    show(found)
    if place.is_dir():
        written = replace_report(found, place, forms=RENDERED)
        names = " and ".join(path.name for path in written)
        results().print(f"\n{names} written to {place}", markup=False)


def _compare(reports: Mapping[str, "Report"], page: Path) -> None:
    from eightbit.benchmarks.comparison.comparison import compare_reports
    from eightbit.benchmarks.comparison.page import render_comparison
    from eightbit.benchmarks.comparison.tables import comparison_tables

    comparison = compare_reports(reports)
    html = render_comparison(comparison)
    _print_tables(comparison_tables(comparison))
    _print_warnings(comparison.warnings)
    _finish_page(html, page)


def _gate(reports: Mapping[str, "Report"], tolerance: "Tolerance", page: Path | None) -> None:
    """The first report is the baseline of the others."""
    from eightbit.benchmarks.comparison.comparability import comparison_warnings
    from eightbit.benchmarks.comparison.comparison import compare_reports
    from eightbit.benchmarks.comparison.page import render_comparison
    from eightbit.benchmarks.comparison.regression import (
        find_regressions,
        regression_lines,
        regression_table,
    )

    (_, baseline), *others = reports.items()
    findings: dict[str, tuple[Finding, ...]] = {
        name: find_regressions(own, baseline, tolerance) for name, own in others
    }
    _print_tables(regression_table(found, name) for name, found in findings.items())
    _print_warnings(comparison_warnings(reports))
    if page is not None:
        _finish_page(render_comparison(compare_reports(reports), findings), page)
    several = len(findings) > 1
    end(
        [
            f"{name}: {line}" if several else line
            for name, found in findings.items()
            for line in regression_lines(found)
        ]
    )


def _print_tables(tables: "Iterator[Table]") -> None:
    from eightbit.benchmarks.report.pages.terminal import render_table
    from eightbit.quantize.cli.console import results

    for table in tables:
        results().print(render_table(table), "")


def _print_warnings(warnings: tuple[str, ...]) -> None:
    from eightbit.quantize.cli.console import results

    for warning in warnings:
        results().print(f"Warning: {printable(warning)}", markup=False)


def _finish_page(html: str, page: Path) -> None:
    from eightbit.quantize.atomic_files import write_file
    from eightbit.quantize.disk import writing

    with writing(page):
        write_file(page, html.encode())
    say_written(page)
