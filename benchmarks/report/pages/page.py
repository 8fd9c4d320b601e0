"""The base of every HTML page: one file that requests no other, with its values escaped."""

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from eightbit.benchmarks.report.figures import NOTHING
from eightbit.models.plain_text import printable

_ASSETS: Final = files("eightbit.benchmarks.report.pages") / "assets"
_SCRIPTS: Final = ("sortable.min.js", "page.js")
_NUMBER: Final = re.compile(r"[+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
_FACTORS: Final = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Page:
    """Style and script, which the base template inserts unescaped."""

    style: Markup
    script: Markup
    script_source: str
    version: str


def render_page(template: str, /, **values: Any) -> str:
    """A page from a template in the assets, which extends `page.html.j2`.

    Every value is escaped, and invisible characters in it are made visible. A value that is None or
    missing is an error, not an empty place.
    """
    environment = Environment(
        loader=PackageLoader("eightbit.benchmarks.report.pages", "assets"),
        autoescape=True,
        finalize=_visible,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["sort_key"] = sort_key
    return environment.get_template(template).render(page=_page(), **values)


def sort_key(cell: str) -> str:
    """The first number of a cell in its unit, to sort by; "" for none, infinity for "identical"."""
    if cell == "identical":
        return "Infinity"
    found = _NUMBER.search(cell)
    if cell == NOTHING or found is None:
        return ""
    number = float(found[0].replace(",", ""))
    return repr(number * _FACTORS.get(cell[found.end() :].strip(), 1.0))


@cache
def _page() -> _Page:
    script = "\n".join((_ASSETS / name).read_text(encoding="utf-8") for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return _Page(
        # Files of ours: nothing in them comes from a report.
        style=Markup((_ASSETS / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_source=f"sha256-{digest}",
        version=version("eightbit"),
    )


def _visible(value: object) -> object:
    if value is None:
        raise TypeError("page: expected a value, found None")
    return value if isinstance(value, Markup) else printable(str(value))
