"""Ticks of a logarithmic axis, in plain numbers."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axis import Axis

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
