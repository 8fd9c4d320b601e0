"""Words and numbers for a chart, where there is little room."""

from typing import Final

from eightbit.benchmarks.report.figures import class_name
from eightbit.models.plain_text import printable

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
