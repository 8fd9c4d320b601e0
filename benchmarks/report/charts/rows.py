"""Charts of one row per thing: its name, its number in words, and below them a bar or a dot."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from eightbit.benchmarks.report.charts.svg import COLOURS, Margins, figure
from eightbit.benchmarks.report.figures import class_name
from eightbit.models.plain_text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# By how far the ends are apart, which multiples of a power of ten bear a number.
_STEPS: Final = ((8.0, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)), (90.0, (1.0, 2.0, 5.0)))

_DECADES_ONLY: Final = (1.0,)
_MOST: Final = 5  # decades that all bear one


def log_ticks(axis: "Axis", low: float, high: float) -> None:
    """Number a logarithmic axis that goes from low to high."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    steps = next((steps for ratio, steps in _STEPS if high / low <= ratio), _DECADES_ONLY)
    axis.set_major_locator(LogLocator(subs=steps, numticks=_MOST + 1))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))


def _number(value: float) -> str:
    """1000.0 as "1,000" and 0.2 as "0.2"."""
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


_LONGEST: Final = 28


def shortened(text: str, longest: int = _LONGEST) -> str:
    """A name with its middle left out where it is long: both ends tell names apart."""
    text = printable(text)
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 2
    return f"{text[: longest - 1 - tail]}…{text[-tail:]}"


def class_title(index: int, labels: tuple[str, ...] | None) -> str:
    """A class by its label; "class 3" where the labels do not name it."""
    name = class_name(index, labels)
    return f"class {name}" if name == str(index) else name


WIDTH: Final = 420  # of a chart that has another one beside it

_ROW: Final = 44
_AROUND: Final = 50  # for the axis and its label
_LEGEND: Final = 22
_NAME_ABOVE: Final = 0.3
_BESIDE: Final = 0.12  # of the width, left and right of what is drawn
_LETTERS: Final = 54  # in a line


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row of a chart.

    Attributes:
        text: Its number in words.
        colour: Name of a colour of the page.
        ends: Where each of its parts ends, from left to right; one part for a plain bar.
        interval: From where to where a thin line goes, or None.
        mark: Where its limit is, or None.
    """

    name: str
    text: str
    colour: str
    ends: tuple[float, ...]
    interval: tuple[float, float] | None = None
    mark: float | None = None


def described(rows: Sequence[Row], kind: str = "") -> str:
    """Alternative text for a screen reader; `kind` stands before each number."""
    return "; ".join(f"{row.name}: {kind}{row.text}" for row in rows) + "."


def row_tips(rows: Sequence[Row], gid: str = "dot-{}") -> dict[str, list[str]]:
    """The name and the number of each row, for a pointer over its mark."""
    return {gid.format(y): [f"{row.name}: {row.text}"] for y, row in enumerate(rows)}


@contextmanager
def rows_figure(rows: Sequence[Row], legend: bool = False) -> Iterator["Figure"]:
    """A figure with room for so many rows, and for a legend below them."""
    below = _LEGEND * legend
    margins = Margins(left=8, bottom=42 + below)
    with figure(WIDTH, _ROW * len(rows) + _AROUND + below, margins) as drawn:
        yield drawn


def draw_bars(axes: "Axes", rows: Sequence[Row], colours: Sequence[str] = ()) -> None:
    """A bar per row, from zero, from the top; parts of several are all positive.

    The parts have the gid ``bar-<row>-<part>``, and the colour of the row where none are given.
    """
    _names(axes, rows)
    for y, row in enumerate(rows):
        start = 0.0
        for part, end in enumerate(row.ends):
            colour = colours[part] if colours else row.colour
            (bar,) = axes.barh(y, end - start, 0.36, left=start, color=COLOURS[colour])
            bar.set_gid(f"bar-{y}-{part}")
            start = end
    ends = [end for row in rows for end in row.ends]
    low, high = min(0.0, *ends), max(0.0, *ends)
    axes.set_xlim(1.03 * low, 1.03 * high if low < high else 1.0)


def draw_spans(axes: "Axes", rows: Sequence[Row]) -> None:
    """On a logarithmic axis a dot per row, a thin line for its interval, a bar from its mark to it.

    The dots have the gid ``dot-<row>``.
    """
    _names(axes, rows)
    for y, row in enumerate(rows):
        (value,) = row.ends
        if row.interval:
            axes.plot(row.interval, (y, y), color=COLOURS["soft"], linewidth=1.25)
        if row.mark is not None:
            soft = COLOURS[f"{row.colour}-soft"]
            axes.barh(y, value - row.mark, 0.22, left=row.mark, color=soft)
            ends = (y - 0.19, y + 0.19)
            axes.plot((row.mark, row.mark), ends, color=COLOURS["third"], linewidth=2.5)
        axes.scatter([value], [y], s=58, color=COLOURS[row.colour], zorder=3, gid=f"dot-{y}")
    reached = [
        end
        for row in rows
        for end in (*row.ends, *(row.interval or ()), *(() if row.mark is None else (row.mark,)))
    ]
    low, high = 0.8 * min(reached), 1.25 * max(reached)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    log_ticks(axes.xaxis, low, high)


def draw_intervals(axes: "Axes", rows: Sequence[Row]) -> None:
    """A dot per row with its interval; the dots have the gid ``dot-<row>``."""
    _names(axes, rows)
    for y, row in enumerate(rows):
        (value,) = row.ends
        if row.interval:
            colour = COLOURS[row.colour]
            axes.plot(row.interval, (y, y), color=colour, linewidth=3, alpha=0.55)
            for end in row.interval:
                axes.plot((end, end), (y - 0.11, y + 0.11), color=colour, linewidth=1.5)
        axes.scatter([value], [y], s=58, color=COLOURS[row.colour], zorder=3, gid=f"dot-{y}")


def frame(axes: "Axes", rows: Sequence[Row], *lines: float) -> None:
    """Set the limits so that all dots, intervals and lines are well inside."""
    reached = [*lines, *(end for row in rows for end in (*row.ends, *(row.interval or ())))]
    low, high = min(reached), max(reached)
    margin = _BESIDE * (high - low or 1.0)
    axes.set_xlim(low - margin, high + margin)


def draw_line(
    axes: "Axes",
    x: float,
    text: str,
    colour: str = "soft",
    side: Literal["left", "right"] | None = None,
) -> None:
    """A vertical line through all rows, named at its lower end; set the limits of the axes before.

    The name stands on the given side of it, or for None on the one with more room.
    """
    axes.axvline(x, color=COLOURS[colour], linewidth=1.25, zorder=1)
    low, high = (axes.transData.transform((end, 0.0))[0] for end in axes.get_xlim())
    if side is None:
        across = axes.transData.transform((x, 0.0))[0]
        side = "right" if across < (low + high) / 2 else "left"
    axes.annotate(
        text,
        (x, 0),
        xycoords=("data", "axes fraction"),
        xytext=(4 if side == "right" else -4, 3),
        textcoords="offset points",
        ha="left" if side == "right" else "right",
        color=COLOURS[colour],
        fontsize=10,
    )


def _names(axes: "Axes", rows: Sequence[Row]) -> None:
    """Name and number above each row, in a frame without a vertical axis."""
    for y, row in enumerate(rows):
        name = shortened(row.name, _LETTERS - len(row.text))
        for x, text, side, colour in ((0, name, "left", "ink"), (1, row.text, "right", "soft")):
            axes.text(
                *(x, y - _NAME_ABOVE, text),
                transform=axes.get_yaxis_transform(),
                va="bottom",
                ha=side,
                color=COLOURS[colour],
                # Lines of the chart end before the letters.
                bbox={"facecolor": COLOURS["paper"], "edgecolor": "none", "pad": 1},
            )
    axes.set_ylim(len(rows) - 0.6, -0.8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
