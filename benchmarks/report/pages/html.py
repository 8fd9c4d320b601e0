"""The report as one HTML page, which needs nothing else."""

from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import outputs
from eightbit.benchmarks.report.headline import headline, key_figures
from eightbit.benchmarks.report.pages.page import render_page
from eightbit.benchmarks.report.pages.sections import (
    accuracy_sections,
    cost_sections,
    edge_sections,
    network_sections,
    run_sections,
)
from eightbit.benchmarks.report.shipping import shipping


def render_html(report: Report) -> str:
    """The whole report as a page that ends in a newline; equal reports give equal pages."""
    whose, figures = key_figures(report)
    return render_page(
        "report.html.j2",
        report=report,
        outputs=outputs(report.model.spec),
        shipping=shipping(report),
        headline=headline(report),
        whose=whose,
        figures=figures,
        sections=(
            *accuracy_sections(report),
            *cost_sections(report),
            *edge_sections(report),
            *network_sections(report),
            *run_sections(report),
        ),
    )
