"""A picture of how the ranges came to rest."""

from typing import Final

from eightbit.benchmarks.report.charts.rows import WIDTH
from eightbit.benchmarks.report.charts.svg import COLOURS, Margins, chart, figure
from eightbit.benchmarks.report.document import CalibrationSection
from eightbit.benchmarks.report.figures import percent
from eightbit.benchmarks.report.pages.page import Chart

_TOLERANCE_PERCENT: Final = 2.0  # what `--samples auto` takes for settled


def convergence_chart(calibration: CalibrationSection | None) -> Chart | None:
    """How far a range still moved from checkpoint to checkpoint; None where nothing was noted."""
    if calibration is None or not calibration.convergence:
        return None
    curve = calibration.convergence
    images = [point.images for point in curve]
    changes = [100 * point.largest_change for point in curve]
    with figure(WIDTH, 240, Margins(left=52, bottom=42)) as drawn:
        axes = drawn.subplots()
        axes.axhline(_TOLERANCE_PERCENT, color=COLOURS["soft"], linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(images, changes, color=COLOURS["int8"], linewidth=1.75)
        axes.scatter(images, changes, s=34, color=COLOURS["int8"], gid="points", zorder=3)
        axes.set_ylim(0, 1.12 * max(*changes, _TOLERANCE_PERCENT))
        axes.set_xlim(0, 1.05 * images[-1])
        axes.set_xticks(images if len(images) <= 8 else images[:: -(-len(images) // 8)])
        axes.set_xlabel("calibration images")
        axes.set_ylabel("largest change in %")
        whose = f" Ranges by {calibration.watched}." if calibration.watched else ""
        return chart(
            drawn,
            id="convergence",
            title="How far the range that moved most still moved",
            caption="Since the checkpoint before, as a share of its width. Dashed: 2 %, from where "
            f"a range counts as settled.{whose}",
            description="; ".join(
                f"after {point.images} images {percent(point.largest_change)} ({point.tensor})"
                for point in curve
            )
            + ".",
            tips={
                "points": [
                    f"{point.images:,} images: {point.tensor} moved by "
                    f"{percent(point.largest_change)}"
                    for point in curve
                ]
            },
        )
