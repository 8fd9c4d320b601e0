"""Reports side by side, as one HTML page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eightbit.benchmarks.comparison.comparison import Comparison
from eightbit.benchmarks.comparison.pareto import pareto_picture
from eightbit.benchmarks.comparison.pareto_chart import pareto_chart
from eightbit.benchmarks.comparison.regression import (
    Finding,
    Verdict,
    not_compared,
    regression_lines,
    regression_table,
)
from eightbit.benchmarks.comparison.tables import (
    against_first_table,
    environments_table,
    overview_table,
    parity_summary,
    settings_table,
)
from eightbit.benchmarks.report.figures import NOTHING, Table
from eightbit.benchmarks.report.pages.page import render_page

_TEMPLATE = "comparison.html.j2"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gate:
    """A report against the baseline, and how many numbers were compared, or too rough to fail."""

    table: Table
    lines: tuple[str, ...]
    compared: int
    not_compared: tuple[str, ...]
    unsure: int


def render_comparison(
    comparison: Comparison, findings: Mapping[str, Sequence[Finding]] | None = None
) -> str:
    """A page that loads nothing from elsewhere; every text in it is escaped.

    Args:
        comparison: The reports to show.
        findings: Results of `find_regressions`, by the name of the report; the first report of the
            comparison is then the baseline. None without one.
    """
    picture = pareto_picture(comparison)
    return render_page(
        _TEMPLATE,
        names=tuple(comparison.reports),
        has_baseline=findings is not None,
        warnings=comparison.warnings,
        gates=tuple(_gate(name, found) for name, found in (findings or {}).items()),
        pareto=pareto_chart(picture, conditions=str(comparison.conditions))
        if picture.points
        else None,
        front=tuple(
            f"{point.bundle} ({point.artifact})" for point in picture.points if point.on_front
        ),
        overview=overview_table(comparison),
        against=against_first_table(comparison),
        settings=settings_table(comparison),
        parity=parity_summary(comparison),
        environments=environments_table(comparison),
        environment=next(iter(comparison.reports.values())).latency_environment.summary(),
        commands={name: report.command or NOTHING for name, report in comparison.reports.items()},
    )


def _gate(name: str, findings: Sequence[Finding]) -> _Gate:
    return _Gate(
        table=regression_table(findings, name),
        lines=regression_lines(findings),
        compared=sum(finding.verdict is not Verdict.NOT_COMPARED for finding in findings),
        not_compared=not_compared(findings),
        unsure=sum(finding.unsure for finding in findings),
    )
