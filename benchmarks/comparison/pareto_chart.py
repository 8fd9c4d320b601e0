"""The picture of accuracy against latency."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from eightbit.benchmarks.comparison.pareto import Picture, Point
from eightbit.benchmarks.report.charts.labels import Box, Label, add_labels
from eightbit.benchmarks.report.charts.rows import shortened
from eightbit.benchmarks.report.charts.svg import COLOURS, Chart, chart, figure
from eightbit.benchmarks.report.figures import milliseconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT = 900, 460
_NAME_LENGTHS: Final = (24, 36, 48)
_MAX_NAMES: Final = 12  # of more artefacts only those on the front have their names written
_LOGARITHMIC_FROM: Final = 4.0  # slowest over fastest


def pareto_chart(picture: Picture, *, conditions: str) -> Chart:
    """At least one point, and the front; every mark has its numbers as a title."""
    measure = picture.metric if picture.labelled else "agreement with float"
    shapes = {
        name: [point for point in picture.points if _shape(point) == name] for name in _MARKERS
    }
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.subplots()
        _draw_intervals(axes, picture)
        _draw_front(axes, picture)
        for number, (name, points) in enumerate(shapes.items()):
            if points:
                _draw_points(axes, name, points, gid=f"points-{number}")
        _scale(axes, picture)
        axes.set_xlabel(f"median time per call in ms ({conditions})")
        axes.set_ylabel(f"{measure} in %")
        drawn.legend(loc="outside upper left", ncols=5, handletextpad=0.3, columnspacing=1.5)
        add_labels(
            drawn,
            axes,
            _labels(picture),
            marks=[(point.p50_ms, point.accuracy) for point in picture.points],
            avoid=[*_bars(picture), *_steps(_front(picture))],
        )
        return chart(
            drawn,
            id="pareto",
            title=f"{measure[0].upper()}{measure[1:]} against time",
            caption="Up and to the left is better. The line joins the models that no other one "
            "beats at both, by their measured values. Upright bars: 95 % interval of the drop, "
            "taken from the float model's accuracy; level bars: that of the speedup, at the float "
            "model's time.",
            description=_in_words(picture, measure),
            tips={
                f"points-{number}": [_numbers(point) for point in points]
                for number, points in enumerate(shapes.values())
                if points
            },
            wide=True,
        )


_MARKERS: Final = {
    "INT8 ONNX": ("o", "int8", True),
    "INT8 TorchScript": ("s", "int8", True),
    "float ONNX": ("o", "float", False),
    "float TorchScript": ("s", "float", False),
}


def _shape(point: Point) -> str:
    return point.artifact if point.is_float else f"INT8 {point.artifact}"


def _draw_points(axes: "Axes", name: str, points: list[Point], *, gid: str) -> None:
    marker, colour, filled = _MARKERS[name]
    axes.scatter(
        [point.p50_ms for point in points],
        [point.accuracy for point in points],
        s=64,
        marker=marker,
        facecolor=COLOURS[colour if filled else "paper"],
        edgecolor=COLOURS["paper" if filled else colour],
        linewidth=1 if filled else 2,
        zorder=4,
        label=name,
        gid=gid,
    )


def _draw_intervals(axes: "Axes", picture: Picture) -> None:
    for bar in _bars(picture):
        axes.plot(
            (bar.left, bar.right),
            (bar.low, bar.high),
            color=COLOURS["int8-soft"],
            linewidth=2.5,
            zorder=2,
        )


def _bars(picture: Picture) -> list[Box]:
    """The intervals of all points, as lines."""
    level = [
        Box(left=ends[0], right=ends[1], low=point.accuracy, high=point.accuracy)
        for point in picture.points
        if (ends := point.p50_ci95_ms) is not None
    ]
    upright = [
        Box(left=point.p50_ms, right=point.p50_ms, low=ends[0], high=ends[1])
        for point in picture.points
        if (ends := point.accuracy_ci95) is not None
    ]
    return [*level, *upright]


def _front(picture: Picture) -> list[tuple[float, float]]:
    return sorted((point.p50_ms, point.accuracy) for point in picture.points if point.on_front)


def _steps(front: Sequence[tuple[float, float]]) -> list[Box]:
    """The line that joins the front: level to the next one's time, then upright."""
    pairs = list(pairwise(front))
    level = [Box(left=x, right=to_x, low=y, high=y) for (x, y), (to_x, _) in pairs]
    upright = [Box(left=to_x, right=to_x, low=y, high=to_y) for (_, y), (to_x, to_y) in pairs]
    return [*level, *upright]


def _draw_front(axes: "Axes", picture: Picture) -> None:
    front = _front(picture)
    axes.plot(
        [p50_ms for p50_ms, _ in front],
        [accuracy for _, accuracy in front],
        color=COLOURS["third"],
        linewidth=1.5,
        linestyle=(0, (4, 3)),
        drawstyle="steps-post",
        marker="o",
        markersize=14,
        markerfacecolor="none",
        markeredgecolor=COLOURS["third"],
        zorder=3,
        label="not beaten at both",
    )


def _scale(axes: "Axes", picture: Picture) -> None:
    """The limits, with room for names at the right, and numbers without exponents."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ends = [end for point in picture.points for end in (point.p50_ci95_ms or (point.p50_ms,))]
    low, high = min(ends), max(ends)
    if high / low >= _LOGARITHMIC_FROM:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        margin = (high / low) ** 0.12
        axes.set_xlim(low / margin, high * margin)
    else:
        margin = 0.15 * (high - low) or 0.2 * high
        axes.set_xlim(max(low - margin, 0.0), high + margin)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    heights = [
        end for point in picture.points for end in (*(point.accuracy_ci95 or ()), point.accuracy)
    ]
    room = 0.1 * (max(heights) - min(heights)) or 0.5
    axes.set_ylim(min(heights) - room, max(heights) + room)


def _labels(picture: Picture) -> list[Label]:
    """INT8 artefacts by their bundle, those on the front first; then one float model of a kind."""
    int8 = sorted(
        (point for point in picture.points if not point.is_float),
        key=lambda point: not point.on_front,
    )
    if len(int8) > _MAX_NAMES:
        int8 = [point for point in int8 if point.on_front]
    names = _short_names(sorted({point.bundle for point in int8}))
    floats = {point.artifact: point for point in picture.points if point.is_float}
    return [
        *(Label(x=point.p50_ms, y=point.accuracy, text=names[point.bundle]) for point in int8),
        *(
            Label(x=point.p50_ms, y=point.accuracy, text="float", colour="soft")
            for point in floats.values()
        ),
    ]


def _short_names(bundles: Sequence[str]) -> dict[str, str]:
    """As short as they can be told apart, within reason."""
    for longest in _NAME_LENGTHS:
        names = {bundle: shortened(bundle, longest) for bundle in bundles}
        if len(set(names.values())) == len(names):
            break
    return names


def _numbers(point: Point) -> str:
    around = point.accuracy_ci95
    accuracy = f"{point.accuracy:.2f} %" + (
        f" [{around[0]:.2f}, {around[1]:.2f}]" if around else ""
    )
    ends = point.p50_ci95_ms
    time = f"{milliseconds(point.p50_ms)} ms" + (
        f" [{milliseconds(ends[0])}, {milliseconds(ends[1])}]" if ends else ""
    )
    return f"{point.bundle}, {_shape(point)}: {accuracy}, {time}"


def _in_words(picture: Picture, measure: str) -> str:
    front = [_numbers(point) for point in picture.points if point.on_front]
    return (
        f"{len(picture.points)} models by {measure} and median time. Those that no other one beats "
        f"at both: {'; '.join(front)}."
    )
