"""A Matplotlib figure as SVG for a page: its colours, its font, its titles, and always alike."""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from eightbit.models.plain_text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """An SVG with its title, the caption that says how to read it, and an id unique on its page.

    A `wide` one keeps its width and scrolls in its own box on a narrow screen.
    """

    id: str
    title: str
    caption: str
    svg: Markup
    wide: bool = False


_SVG: Final = "http://www.w3.org/2000/svg"
_LINK: Final = "{http://www.w3.org/1999/xlink}href"
_DPI: Final = 72  # a point of the figure is a pixel of the page

# Stand-ins for the page's colours while Matplotlib draws; the page has one set per scheme.
COLOURS: Final[Mapping[str, str]] = {
    name: f"#fe01{index:02x}"
    for index, name in enumerate(
        (
            *("paper", "raised", "line", "grid", "ink", "soft", "accent"),
            *("int8", "int8-soft", "float", "float-soft", "third", "third-soft", "fourth"),
            *("good", "care", "bad"),
        )
    )
}

_COLOUR: Final = re.compile(r"#fe01[0-9a-f]{2}")
_FAMILY: Final = re.compile(r"font-family: [^;]*; ")
_POINTER: Final = re.compile(r"url\(#([^)]+)\)")
_COORDINATES: Final = frozenset({"d", "x", "y", "transform", "points"})
_FINE: Final = re.compile(r"(\.\d\d)\d+")  # a hundredth of a pixel is fine enough
_DEGREES: Final = re.compile(r"rotate\(-?0 [^)]*\)")  # no rotation at all
_VARIABLES: Final = {colour: f"var(--{name})" for name, colour in COLOURS.items()}

_STYLE: Final[Mapping[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "eightbit",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 12,
    "text.parse_math": False,
    "text.color": COLOURS["ink"],
    "axes.labelcolor": COLOURS["soft"],
    "axes.edgecolor": COLOURS["line"],
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelsize": 12,
    "axes.unicode_minus": False,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 1,
    "xtick.color": COLOURS["soft"],
    "ytick.color": COLOURS["soft"],
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 12,
    "figure.facecolor": "none",
    "lines.solid_capstyle": "round",
    "patch.linewidth": 0,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Margins:
    """Room around the axes of a figure, in pixels."""

    left: float
    bottom: float
    top: float = 8
    right: float = 8


@contextmanager
def figure(width: float, height: float, margins: Margins | None = None) -> Iterator["Figure"]:
    """An empty figure in the page's style; draw it, and hand it to `chart`, inside the block.

    Sizes are in pixels of the page. Without margins Matplotlib finds them out, which takes as long
    as drawing.
    """
    # Loading Matplotlib takes as long as a small command: only a page needs it.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = dict(_STYLE)  # its type lists every parameter there is
    with mpl.rc_context():
        # Nothing of a file of settings in the user's working directory or home.
        mpl.rcdefaults()
        mpl.rcParams.update(style)
        drawn = Figure(
            figsize=(width / _DPI, height / _DPI),
            dpi=_DPI,
            layout=None if margins else "constrained",
        )
        if margins:
            drawn.subplots_adjust(
                left=margins.left / width,
                right=1 - margins.right / width,
                bottom=margins.bottom / height,
                top=1 - margins.top / height,
            )
        yield drawn


def chart(
    drawn: "Figure",
    *,
    id: str,
    title: str,
    caption: str,
    description: str,
    tips: Mapping[str, Sequence[str]] | None = None,
    wide: bool = False,
) -> Chart:
    """What was drawn as a chart for a page; see `Chart`. The ids within the SVG begin with `id`.

    Args:
        drawn: The figure.
        id: Unique on the page.
        title: What it shows.
        caption: How to read it, in the page's text.
        description: Alternative text for a screen reader.
        tips: By gid of an artist, a title of each of its marks, in the order they were drawn.
        wide: See `Chart`.
    """
    file = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with warnings.catch_warnings():
        # The browser has the letters that the font with which texts are measured has not.
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        drawn.savefig(file, format="svg", metadata=nothing)
    root = ET.fromstring(file.getvalue())
    _drop(root)
    _add_tips(root, tips or {})
    _rename(root, id)
    for attribute in ("width", "height", "version"):
        del root.attrib[attribute]
    # What a style sheet of the figure's own would set for the whole page.
    root.set("style", "stroke-linejoin: round; stroke-linecap: butt")
    root.set("role", "img")
    root.set("aria-label", printable(title))
    root.set("aria-describedby", f"{id}-desc")
    for index, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(f"{{{_SVG}}}{tag}", id=f"{id}-{tag}")
        element.text = printable(text)
        root.insert(index, element)
    return Chart(id=id, title=title, caption=caption, svg=_markup(root), wide=wide)


def _drop(root: ET.Element) -> None:
    """Take away what only a file of its own needs: metadata, and style rules for every element."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)


def _add_tips(root: ET.Element, tips: Mapping[str, Sequence[str]]) -> None:
    groups = {element.get("id"): element for element in root.iter(f"{{{_SVG}}}g")}
    for gid, texts in tips.items():
        group = groups[gid]
        shapes = [e for e in group.iter() if e.tag in (f"{{{_SVG}}}use", f"{{{_SVG}}}path")]
        used = [shape for shape in shapes if shape.tag.endswith("use")] or shapes
        for shape, text in zip(used, texts, strict=True):
            ET.SubElement(shape, f"{{{_SVG}}}title").text = printable(text)


def _rename(root: ET.Element, prefix: str) -> None:
    """Make ids unique on the page, and drop those that nothing points to."""
    used = set()
    for element in root.iter():
        used |= {value[1:] for name, value in element.items() if name == _LINK}
        used |= {name for value in element.attrib.values() for name in _POINTER.findall(value)}
    for element in root.iter():
        own = element.attrib.pop("id", None)
        if own in used:
            element.set("id", f"{prefix}-{own}")
        for name, value in list(element.items()):
            if name == _LINK:
                del element.attrib[name]
                element.set("href", f"#{prefix}-{value[1:]}")
            elif name == "style":
                element.set(name, _style(value, prefix))
            elif name in _COORDINATES:
                element.set(name, _FINE.sub(r"\1", _DEGREES.sub("", " ".join(value.split()))))
            else:
                element.set(name, _POINTER.sub(rf"url(#{prefix}-\1)", value))


def _style(style: str, prefix: str) -> str:
    """The same style in the page's font and colours."""
    style = _FAMILY.sub("", style)
    style = _COLOUR.sub(lambda colour: _VARIABLES[colour[0]], style)
    return _POINTER.sub(rf"url(#{prefix}-\1)", style)


def _markup(root: ET.Element) -> Markup:
    for element in root.iter():
        element.attrib = {name: value for name, value in element.items() if value}
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None
    # An SVG inside HTML has its namespace by its name; the serializer escaped every text.
    return Markup(ET.tostring(root, encoding="unicode"))
