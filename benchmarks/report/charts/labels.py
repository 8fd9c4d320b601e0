"""Names beside the points of a chart, none over another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from eightbit.benchmarks.report.charts.svg import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# How far a name stands from its point, in pixels; from the second on a line leads to it.
_DISTANCES: Final = (9, 20, 32, 46, 62)
_LEADING: Final = 12
_DIRECTIONS: Final = (*((1, 0), (1, 1), (1, -1), (-1, 0)), *((-1, 1), (-1, -1), (0, 1), (0, -1)))
_MARK: Final = 6  # half the side of a mark
_AROUND: Final = 3  # free space around a name: a browser's font is not Matplotlib's


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """A name for a point; x and y are in data coordinates, the colour is one of the page's."""

    x: float
    y: float
    text: str
    colour: str = "ink"


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A place in pixels."""

    left: float
    low: float
    right: float
    high: float

    def meets(self, other: "Box") -> bool:
        """Whether the two have a point in common."""
        apart = self.right < other.left or other.right < self.left
        return not (apart or self.high < other.low or other.high < self.low)

    def within(self, other: "Box") -> bool:
        """Whether all of it lies inside the other."""
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.low <= self.low
            and self.high <= other.high
        )


def add_labels(
    drawn: "Figure",
    axes: "Axes",
    labels: Sequence[Label],
    *,
    marks: Sequence[tuple[float, float]],
    avoid: Sequence[Box] = (),
) -> tuple[Box, ...]:
    """Writes each name beside its point; one for which there is no room is left out.

    The layout is final after that: draw everything else first, and set the limits of the axes. The
    more important labels come first.

    Args:
        drawn: The figure.
        axes: Where the points are.
        labels: In data coordinates.
        marks: All points, in data coordinates: no name covers one.
        avoid: Boxes, in data coordinates, that stay free if they can.

    Returns:
        Where the names stand, in pixels.
    """
    drawn.draw_without_rendering()
    drawn.set_layout_engine("none")
    frame = axes.get_window_extent()
    inside = Box(left=frame.x0, low=frame.y0, right=drawn.bbox.x1, high=drawn.bbox.y1)
    taken = [_around(*_pixel(axes, x, y), 2 * _MARK, 2 * _MARK) for x, y in marks]
    kept_free = [_pixels(axes, box) for box in avoid]
    written: list[Box] = []
    for label in labels:
        text = axes.annotate(label.text, (label.x, label.y), color=COLOURS[label.colour])
        size = text.get_window_extent()
        text.remove()
        places = [
            (offset, box)
            for offset, box in _places(*_pixel(axes, label.x, label.y), size.width, size.height)
            if box.within(inside) and not any(map(box.meets, [*taken, *written]))
        ]
        free = [place for place in places if not any(map(place[1].meets, kept_free))]
        if not places:
            continue
        (right, up), box = (free or places)[0]
        written.append(box)
        axes.annotate(
            label.text,
            (label.x, label.y),
            (right, up),
            textcoords="offset pixels",
            ha="center",
            va="center",
            color=COLOURS[label.colour],
            annotation_clip=False,
            arrowprops=_LINE if _leads(right, up, size.width, size.height) else None,
        )
    return tuple(written)


_LINE: Final = {
    "arrowstyle": "-",
    "color": COLOURS["soft"],
    "linewidth": 0.8,
    "shrinkA": 1,
    "shrinkB": _MARK,
    "relpos": (0.5, 0.5),
}


def _places(
    x: float, y: float, width: float, height: float
) -> Iterator[tuple[tuple[float, float], Box]]:
    """Where a name may stand: the offset of its middle, and what it covers; the best first."""
    for distance in _DISTANCES:
        for across, upwards in _DIRECTIONS:
            right = across * (distance + width / 2)
            up = upwards * (distance if across else distance + height / 2)
            box = _around(x + right, y + up, width + 2 * _AROUND, height + 2 * _AROUND)
            yield (right, up), box


def _leads(right: float, up: float, width: float, height: float) -> bool:
    gap = max(abs(right) - width / 2, abs(up) - height / 2)
    return gap > _LEADING


def _around(x: float, y: float, width: float, height: float) -> Box:
    return Box(left=x - width / 2, low=y - height / 2, right=x + width / 2, high=y + height / 2)


def _pixels(axes: "Axes", box: Box) -> Box:
    left, low = _pixel(axes, box.left, box.low)
    right, high = _pixel(axes, box.right, box.high)
    return Box(left=left, low=low, right=right, high=high)


def _pixel(axes: "Axes", x: float, y: float) -> tuple[float, float]:
    across, up = axes.transData.transform((x, y))
    return float(across), float(up)
