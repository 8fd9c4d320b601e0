"""Pictures of what quantization did to the answers."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Final

from eightbit.benchmarks.accuracy.confidence import ConfidenceResult
from eightbit.benchmarks.accuracy.per_class import ClassDrop
from eightbit.benchmarks.artifact.formats import preferred
from eightbit.benchmarks.report.charts.rows import (
    WIDTH,
    Row,
    class_title,
    described,
    draw_bars,
    draw_intervals,
    draw_line,
    frame,
    row_tips,
    rows_figure,
)
from eightbit.benchmarks.report.charts.svg import COLOURS, Chart, Margins, chart, figure
from eightbit.benchmarks.report.document import AccuracySection, MultiLabelSection
from eightbit.benchmarks.report.fallback import FallbackSection
from eightbit.benchmarks.report.figures import interval, percent, points, probability
from eightbit.models.plain_text import counted
from eightbit.models.spec import Task

_WORST_CLASSES: Final = 10

_FORMAT_STYLES: Final = cycle((("int8", "o"), ("third", "D"), ("fourth", "s")))
_STYLES: Final = {
    "float": ("float", "o"),
    **{format.name: style for format, style in zip(preferred(), _FORMAT_STYLES, strict=False)},
}


def drop_chart(
    accuracy: AccuracySection | MultiLabelSection,
    allowed_pp: float | None = None,
    metric: str = Task.SINGLE_LABEL.metric,
) -> Chart | None:
    """The drop of every artefact with its interval and the accepted one; None without labels.

    `metric` is what drops, see `Task.metric`.
    """
    name_of = metric[0].upper() + metric[1:] if metric != Task.MULTI_LABEL.metric else metric
    rows = [
        Row(
            name=name,
            text=interval(result.drop_pp, result.drop_ci95_pp),
            colour="int8",
            ends=(result.drop_pp,),
            interval=result.drop_ci95_pp,
        )
        for name, result in accuracy.candidates.items()
        if result.drop_pp is not None
    ]
    if not rows:
        return None
    with rows_figure(rows) as drawn:
        axes = drawn.subplots()
        draw_intervals(axes, rows)
        frame(axes, rows, 0, *(() if allowed_pp is None else (allowed_pp,)))
        draw_line(axes, 0, "float", side=None if allowed_pp is None else "left")
        if allowed_pp is not None:
            draw_line(axes, allowed_pp, f"{allowed_pp:g} allowed", "bad")
        axes.set_xlabel(f"{metric} drop in percentage points (left: gained, right: lost)")
        return chart(
            drawn,
            id="drop",
            title=f"{name_of} drop with its 95 % interval",
            caption="An interval that includes 0 does not tell the two models apart.",
            description=described(rows, "drop "),
            tips=row_tips(rows),
        )


def reliability_chart(accuracy: AccuracySection) -> Chart | None:
    """How often each model is right against how sure it is; None where that was not measured."""
    measured = _confidences(accuracy)
    if not measured:
        return None
    tips: dict[str, list[str]] = {}
    with figure(WIDTH, 340, Margins(left=48, bottom=42)) as drawn:
        axes = drawn.subplots()
        axes.plot((0, 1), (0, 1), color=COLOURS["soft"], linewidth=1, linestyle=(0, (4, 3)))
        for number, (name, confidence) in enumerate(measured.items()):
            colour, marker = _STYLES[name.partition(" and ")[0]]
            used = [
                (bin.mean_confidence, bin.accuracy, bin.images)
                for bin in confidence.bins
                if bin.mean_confidence is not None and bin.accuracy is not None
            ]
            axes.plot(
                [x for x, _, _ in used],
                [y for _, y, _ in used],
                color=COLOURS[colour],
                linewidth=1.5,
                alpha=0.8,
            )
            axes.scatter(
                [x for x, _, _ in used],
                [y for _, y, _ in used],
                s=26,
                marker=marker,
                color=COLOURS[colour],
                label=f"{name} (ECE {percent(confidence.ece)})",
                gid=f"bins-{number}",
                zorder=3,
            )
            tips[f"bins-{number}"] = [
                f"{name}: {counted(n, 'image')}, confidence {percent(x, 1)}, right {percent(y, 1)}"
                for x, y, n in used
            ]
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("confidence: probability of the predicted class")
        axes.set_ylabel("fraction that is right")
        axes.legend(loc="upper left")
        return chart(
            drawn,
            id="reliability",
            title="Is a model that says 90 % right nine times in ten?",
            caption="On the dashed line it is; below, it is too sure of itself.",
            description="Expected calibration error: "
            + ", ".join(f"{name} {percent(c.ece)}" for name, c in measured.items())
            + ".",
            tips=tips,
        )


def _confidences(accuracy: AccuracySection) -> dict[str, ConfidenceResult]:
    """By name; artefacts of equal confidence have one entry, as one would hide the other."""
    found = {"float": accuracy.fp32.confidence} if accuracy.fp32.confidence else {}
    alike: dict[ConfidenceResult, list[str]] = {}
    for name, result in accuracy.candidates.items():
        if result.confidence:
            alike.setdefault(result.confidence, []).append(name)
    return found | {" and ".join(names): confidence for confidence, names in alike.items()}


def classes_charts(
    accuracy: AccuracySection,
    labels: tuple[str, ...] | None,
    metric: str = Task.SINGLE_LABEL.metric,
) -> Iterator[Chart]:
    """The classes that lost most, for the first artefact that has them."""
    for name, result in accuracy.candidates.items():
        if result.classes:
            yield _classes_chart(name, result.classes, labels, metric)
            return


def _classes_chart(
    name: str, classes: Sequence[ClassDrop], labels: tuple[str, ...] | None, metric: str
) -> Chart:
    worst = sorted(classes, key=lambda entry: (-entry.drop_pp, entry.index))[:_WORST_CLASSES]
    rows = [
        Row(
            name=class_title(entry.index, labels),
            text=f"{points(entry.drop_pp)}, {counted(entry.n, 'image')}",
            colour="bad" if entry.lost else "float",
            ends=(entry.drop_pp,),
        )
        for entry in worst
    ]
    with rows_figure(rows) as drawn:
        axes = drawn.subplots()
        draw_bars(axes, rows)
        axes.axvline(0, color=COLOURS["soft"], linewidth=1)
        axes.set_xlabel(f"{metric} drop in percentage points")
        shown = "all classes" if len(worst) == len(classes) else "the classes that lost most"
        lost = [row.name for row, entry in zip(rows, worst, strict=True) if entry.lost]
        verdict = (
            f"Significant after correcting for {counted(len(classes), 'class', 'classes')} (red): "
            f"{', '.join(lost)}."
            if lost
            else "No drop is significant after correcting for "
            f"{counted(len(classes), 'class', 'classes')}."
        )
        return chart(
            drawn,
            id="classes",
            title=f"Drop by class ({name}): {shown}",
            caption=verdict,
            description=described(rows),
            tips={
                f"bar-{y}-0": [
                    f"{row.name}: {row.text}, {entry.broke} broke, {entry.fixed} fixed, p adjusted "
                    + probability(entry.p_adjusted)
                ]
                for y, (row, entry) in enumerate(zip(rows, worst, strict=True))
            },
        )


def fallback_chart(fallback: FallbackSection, metric: str = Task.SINGLE_LABEL.metric) -> Chart:
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
        axes.set_xlabel(f"{metric} drop in percentage points")
        return chart(
            drawn,
            id="fallback-drop",
            title="Drop of every network that was tried",
            caption="The whole interval must lie left of the target; red ones do not.",
            description=described(rows, "drop "),
            tips=row_tips(rows),
        )
