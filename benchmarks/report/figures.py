"""A table of plain text, and how numbers are written in one."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor, log10
from typing import Final

from eightbit.models.plain_text import counted
from eightbit.models.spec import ModelSpec, Task

NOTHING: Final = "-"  # what was not measured

_MOST_DIGITS: Final = 6
_MAX_DIGITS: Final = 15  # that a float holds
_BYTE_UNITS: Final = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows under a title; each renderer escapes the cells, which may hold file names and labels.

    Attributes:
        text_columns: How many columns from the left hold words; the others hold numbers.
        note: A sentence below the table, or nothing.
        sorts: Whether another order of its rows makes sense.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    note: str = ""
    sorts: bool = True

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"{self.title}: expected {len(self.columns)} cells in every row")


def facts(
    title: str,
    rows: Iterable[tuple[str, str]],
    *,
    columns: tuple[str, str] = ("what", "value"),
    note: str = "",
) -> Table:
    """One fact a row, in an order that stays."""
    return Table(
        title=title, columns=columns, rows=tuple(rows), text_columns=2, note=note, sorts=False
    )


def percent(fraction: float | None, digits: int = 2) -> str:
    """0.8123 as "81.23 %"; what is short of all is never rounded up to 100."""
    if fraction is None:
        return NOTHING
    value = round(100 * fraction, digits)
    if value == 100 and fraction < 1:
        value -= 10**-digits
    return f"{value:.{digits}f} %"


def points(drop_pp: float | None, digits: int = 2) -> str:
    """A drop as "0.12 pp", a gain as "-0.12 pp"; never "-0.00"."""
    return NOTHING if drop_pp is None else f"{round(drop_pp, digits) + 0.0:.{digits}f} pp"


def interval(
    drop_pp: float | None, ci95_pp: tuple[float, float] | None, bound_pp: float | None = None
) -> str:
    """A drop as "0.35 pp [-0.10, 0.80]"; an end held against a bound is that of `upper_end`."""
    if drop_pp is None or ci95_pp is None:
        return points(drop_pp)
    digits = interval_digits(ci95_pp)
    low, high = (f"{round(end, digits) + 0.0:.{digits}f}" for end in ci95_pp)
    if bound_pp is not None:
        high = upper_end(ci95_pp[1], bound_pp)
    return f"{points(drop_pp, digits)} [{low}, {high}]"


def interval_digits(ci95_pp: tuple[float, float]) -> int:
    """How many digits tell the ends of an interval apart: two, more where it is narrow.

    Of 1,000,000 images, 60 that broke and 30 that were fixed are a drop of 0.0030 [0.0011, 0.0049].
    """
    width = ci95_pp[1] - ci95_pp[0]
    return min(_MOST_DIGITS, max(2, 1 - floor(log10(width)))) if width > 0 else 2


def upper_end(value_pp: float, bound_pp: float) -> str:
    """An upper end to stand beside a bound, rounded up: what exceeds a bound is never shown within.

    It has two digits, or as many more as it takes for what is within to be shown so.
    """
    for digits in range(2, _MAX_DIGITS):
        shown = round(value_pp, digits)
        if shown < value_pp:
            shown = round(shown + 10**-digits, digits)
        if (shown > bound_pp) == (value_pp > bound_pp):
            return f"{shown + 0.0:.{digits}f}"
    return repr(value_pp)


def probability(p_value: float | None) -> str:
    """0.4 as "0.40" and 0.0312 as "0.031"; what is smaller than a thousandth as "<0.001"."""
    if p_value is None:
        return NOTHING
    return "<0.001" if p_value < 0.001 else f"{p_value:.{2 if p_value >= 0.1 else 3}f}"


def class_name(index: int | None, labels: tuple[str, ...] | None) -> str:
    """A class by its label, or by its index where the labels do not name it."""
    if index is None:
        return NOTHING
    return labels[index] if labels and index < len(labels) else str(index)


def outputs(spec: ModelSpec) -> str:
    """What a network answers with, such as "10 classes"."""
    if spec.task is Task.REGRESSION:
        return f"regression: {counted(spec.num_classes, 'number')}"
    if spec.task is Task.SINGLE_LABEL:
        return f"{spec.num_classes:,} classes"
    above = f"probability exceeds {spec.threshold:g}"
    if spec.task is Task.MULTI_LABEL:
        return f"multi-label: {spec.num_classes:,} classes, each where its {above}"
    no, yes = (
        repr(class_name(index, spec.labels)) if spec.labels else str(index) for index in (0, 1)
    )
    return f"binary: one logit, class {yes} where its {above}, else {no}"


def percents(value: float, ends: tuple[float, float] | None = None) -> str:
    """0.1234 with its interval as "12.3 % [8.0, 16.4]"; never "-0.0"."""
    shown, *around = (f"{round(100 * number, 1) + 0.0:.1f}" for number in (value, *(ends or ())))
    return f"{shown} %" + (f" [{', '.join(around)}]" if around else "")


def times(value: float | None, ends: tuple[float, float] | None = None) -> str:
    """2.512 with its interval as "2.51x [2.43, 2.60]"."""
    if value is None:
        return NOTHING
    return f"{value:.2f}x" + (f" [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else "")


def decibels(ratio_db: float | None) -> str:
    """34.56 as "34.6 dB"; None, which stands for infinity in a `FidelityResult`, as "identical"."""
    return "identical" if ratio_db is None else f"{ratio_db:.1f} dB"


def determination(r2: float | None) -> str:
    """0.99871 as "0.9987"; what is short of 1 is never rounded up to it."""
    if r2 is None:
        return NOTHING
    return f"{min(r2, 0.9999) if r2 < 1 else 1.0:.4f}"


def nats(divergence: float) -> str:
    """Three significant digits, without a unit; only what is exactly zero is "0"."""
    return f"{divergence:.3g}"


def ratio(value: float | None) -> str:
    """3.14 as "3.1x"."""
    return NOTHING if value is None else f"{value:.1f}x"


def milliseconds(value: float) -> str:
    """Three significant digits, without a unit and without an exponent."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def decimal_bytes(size: int) -> str:
    """45678901 as "45.7 MB"; units are powers of 1000."""
    unit, factor = next((pair for pair in _BYTE_UNITS if size >= pair[1]), _BYTE_UNITS[-1])
    return f"{size / factor:,.1f} {unit}"
