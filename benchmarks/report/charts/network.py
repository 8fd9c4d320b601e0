"""Pictures of every tensor: its noise, and what its range leaves out."""

from collections.abc import Iterator, Sequence
from typing import Final

from eightbit.benchmarks.report.charts.rows import WIDTH, log_ticks, shortened
from eightbit.benchmarks.report.charts.svg import COLOURS, Chart, Margins, chart, figure
from eightbit.benchmarks.report.diagnosis import Histogram, TensorDiagnosis
from eightbit.benchmarks.report.figures import percent
from eightbit.benchmarks.report.images import SETTLED_CHANGE, CalibrationSection

_WIDE: Final = 1000
_LETTER: Final = 6.4  # pixels
_MOST_NAMES: Final = 60  # so many fit under the axis

_SERIES: Final = {
    "alone": ("rounded alone", "int8", "o"),
    "accumulated": ("everything before it quantized too", "third", "D"),
    "weights": ("weights of its layer", "float", "s"),
}


def sqnr_chart(tensors: Sequence[TensorDiagnosis]) -> Chart | None:
    """Signal to noise of every tensor; None without a tensor that has noise."""
    ordered = sorted(tensors, key=lambda tensor: tensor.position)
    series = {
        "alone": [tensor.sqnr_alone_db for tensor in ordered],
        "accumulated": [tensor.sqnr_accumulated_db for tensor in ordered],
        "weights": [tensor.weight_sqnr_db for tensor in ordered],
    }
    if all(value is None for values in series.values() for value in values):
        return None
    tips: dict[str, list[str]] = {}
    names = [shortened(tensor.name, 22) for tensor in ordered]
    # Names stand upright below the axis.
    below = 12 + _LETTER * max(len(name) for name in names)
    margins = Margins(left=52, right=4, top=34, bottom=below)
    with figure(_WIDE, 310 + below, margins) as drawn:
        axes = drawn.subplots()
        for key, values in series.items():
            known = [(x, value) for x, value in enumerate(values) if value is not None]
            if not known:
                continue
            label, colour, marker = _SERIES[key]
            xs, ys = [x for x, _ in known], [y for _, y in known]
            if key == "accumulated":
                axes.plot(xs, ys, color=COLOURS[colour], linewidth=1.25, alpha=0.6)
            axes.scatter(
                xs, ys, s=24, color=COLOURS[colour], marker=marker, label=label, gid=f"db-{key}"
            )
            tips[f"db-{key}"] = [_tip(ordered[x]) for x in xs]
        step = -(-len(ordered) // _MOST_NAMES)
        axes.set_xticks(range(0, len(ordered), step), names[::step], rotation=90, fontsize=11)
        axes.set_xlim(-0.8, len(ordered) - 0.2)
        axes.grid(axis="x", visible=False)
        axes.set_ylabel("SQNR in dB (higher is better)")
        drawn.legend(loc="upper left", ncols=3, handletextpad=0.2)
        worst = tensors[0]
        return chart(
            drawn,
            id="layers",
            title="Signal to noise of every tensor",
            caption="In the order of execution. Point at a mark for its name and its numbers; all "
            "are in the table.",
            description=f"{len(ordered)} tensors. The worst alone is {_tip(worst)}.",
            tips=tips,
            wide=True,
        )


def distribution_charts(tensors: Sequence[TensorDiagnosis]) -> Iterator[tuple[Chart, ...]]:
    """Values and weights of each tensor that has histograms, with the chosen ranges."""
    for number, tensor in enumerate(tensors):
        charts = tuple(_distributions(tensor, number))
        if charts:
            yield charts


def _distributions(tensor: TensorDiagnosis, number: int) -> Iterator[Chart]:
    if tensor.values is not None:
        yield _histogram(
            tensor.values,
            (tensor.low, tensor.high),
            id=f"values-{number}",
            title=f"{shortened(tensor.name, 40)}: values",
            axis="real value",
            caption=f"Chosen range {tensor.low:.3g} to {tensor.high:.3g}; "
            f"{percent(tensor.saturated_fraction, 3)} of the elements outside.",
        )
    if tensor.weights is not None:
        yield _histogram(
            tensor.weights,
            (-127.0, 127.0),
            id=f"weights-{number}",
            title=f"{shortened(tensor.name, 40)}: weights",
            axis="steps of the channel's scale",
            caption="Chosen range: the integers -127 to 127.",
        )


def _histogram(
    histogram: Histogram,
    chosen: tuple[float, float],
    *,
    id: str,
    title: str,
    axis: str,
    caption: str,
) -> Chart:
    bins = len(histogram.counts)
    width = (histogram.high - histogram.low) / bins
    edges = [histogram.low + width * edge for edge in range(bins + 1)]
    low, high = chosen
    with figure(WIDTH, 190, Margins(left=72, bottom=42)) as drawn:
        axes = drawn.subplots()
        axes.axvspan(low, high, color=COLOURS["int8-soft"], alpha=0.45, linewidth=0, zorder=0)
        for end in chosen:
            axes.axvline(end, color=COLOURS["int8"], linewidth=1.25)
        axes.stairs(histogram.counts, edges, fill=True, color=COLOURS["float"], zorder=2)
        highest = 2.0 * max(1, *histogram.counts)
        axes.set_yscale("log")
        axes.set_ylim(0.7, highest)
        log_ticks(axes.yaxis, 0.7, highest)
        margin = 0.03 * (max(high, histogram.high) - min(low, histogram.low))
        axes.set_xlim(min(low, histogram.low) - margin, max(high, histogram.high) + margin)
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(axis)
        axes.set_ylabel("elements")
        return chart(
            drawn,
            id=id,
            title=title,
            caption=caption,
            description=f"{sum(histogram.counts):,} elements from {histogram.low:.3g} to "
            f"{histogram.high:.3g}; chosen range {low:.3g} to {high:.3g}.",
        )


def _tip(tensor: TensorDiagnosis) -> str:
    named = {
        "alone": tensor.sqnr_alone_db,
        "accumulated": tensor.sqnr_accumulated_db,
        "weights": tensor.weight_sqnr_db,
    }
    parts = [f"{key} {value:.1f} dB" for key, value in named.items() if value is not None]
    return f"{tensor.name}: {', '.join(parts) or 'no noise'}"


_TOLERANCE_PERCENT: Final = 100 * SETTLED_CHANGE


def convergence_chart(calibration: CalibrationSection) -> Chart | None:
    """How far a range still moved from checkpoint to checkpoint; None where nothing was noted."""
    if not calibration.convergence:
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
