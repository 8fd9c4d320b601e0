"""A picture of the search for the fewest layers in float."""

from eightbit.benchmarks.report.charts.rows import (
    Row,
    draw_intervals,
    draw_line,
    frame,
    rows_figure,
)
from eightbit.benchmarks.report.charts.svg import chart
from eightbit.benchmarks.report.fallback import FallbackSection
from eightbit.benchmarks.report.figures import interval
from eightbit.benchmarks.report.pages.page import Chart


def fallback_chart(fallback: FallbackSection) -> Chart:
    """The drop of every network that was tried, with its interval, against the target."""
    rows = [
        Row(
            name=f"{step.float_layers} in float{' (delivered)' if step.chosen else ''}",
            text=interval(step.drop_pp, step.drop_ci95_pp),
            colour="int8" if step.met else "bad",
            ends=(step.drop_pp,),
            interval=step.drop_ci95_pp,
        )
        for step in fallback.steps
    ]
    with rows_figure(rows) as drawn:
        axes = drawn.subplots()
        draw_intervals(axes, rows)
        frame(axes, rows, 0, fallback.target_pp)
        draw_line(axes, fallback.target_pp, f"target {fallback.target_pp:g}")
        axes.set_xlabel("top-1 drop in percentage points")
        return chart(
            drawn,
            id="fallback-drop",
            title="Drop of every network that was tried",
            caption="The whole interval must lie left of the target; red ones do not.",
            description="; ".join(f"{row.name}: drop {row.text}" for row in rows) + ".",
            tips={f"dot-{y}": [f"{row.name}: {row.text}"] for y, row in enumerate(rows)},
        )
