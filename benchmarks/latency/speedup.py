"""How many times faster one model is than another, and how sure that is.

Processes of one and the same program differ in their memory layout and in where their threads
run, and calls within a process share it: so calls are no independent measurements, launches are
(Kalibera and Jones, "Rigorous Benchmarking in Reasonable Time", ISMM 2013). Candidates that took
turns are compared turn by turn, so that what slows all of them down cancels.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Round: TypeAlias = Sequence[float]
"""Seconds of the calls of one turn."""

Launch: TypeAlias = Sequence[Round]
"""Turns of one process."""

# Two runs, each well within itself, may differ by so much: code that is loaded from other pages of
# a file, a machine that is warmer. No interval is narrower.
LEAST_UNCERTAINTY: Final = 0.01

_MOST_UNCERTAINTY: Final = 1000.0  # beyond that it says nothing any more
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Speedup:
    """How many times faster one model is than another, and its 95 % interval.

    `ci95` is None from a single launch, which says nothing of others.
    """

    value: float
    ci95: tuple[float, float] | None


def paired_speedup(
    baseline: Sequence[Launch], candidate: Sequence[Launch], *, busy: float = 0.0
) -> Speedup:
    """The geometric mean over the launches of each launch's median ratio.

    Both are in seconds by launch and turn; the ratio of a turn is that of its median times. The
    interval is Student's t over the logarithms of the launches' ratios, and at least one percent to
    each side. Where other programs took a share of the processor (`busy`, 0 to 1), it is at least
    that share: their time may have fallen on one of the two.

    Raises:
        ValueError: There is no launch, or the two differ in launches or turns.
    """
    if not baseline:
        raise ValueError("expected at least one launch, found none")
    logs = _log_ratios(baseline, candidate)
    centre = statistics.fmean(logs)
    if len(logs) == 1:
        return Speedup(value=math.exp(centre), ci95=None)
    least = math.log1p(max(LEAST_UNCERTAINTY, busy))
    half = min(max(_half_width(logs), least), math.log(_MOST_UNCERTAINTY))
    return Speedup(value=math.exp(centre), ci95=(math.exp(centre - half), math.exp(centre + half)))


def spread(baseline: Sequence[Launch], candidate: Sequence[Launch]) -> float:
    """Half the width of the interval of `paired_speedup`, before any bound: natural logarithm.

    Infinite from a single launch.
    """
    logs = _log_ratios(baseline, candidate)
    return _half_width(logs) if len(logs) > 1 else math.inf


def _half_width(logs: Sequence[float]) -> float:
    # Here, so that reading results does not load SciPy.
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(logs) - 1, (1 + _CONFIDENCE) / 2))
    return quantile * statistics.stdev(logs) / math.sqrt(len(logs))


def _log_ratios(baseline: Sequence[Launch], candidate: Sequence[Launch]) -> list[float]:
    return [_log_ratio(*pair) for pair in zip(baseline, candidate, strict=True)]


def _log_ratio(baseline: Launch, candidate: Launch) -> float:
    """Of one launch: the median over the turns, which a disturbed turn does not move."""
    return statistics.median(
        math.log(statistics.median(theirs) / statistics.median(ours))
        for theirs, ours in zip(baseline, candidate, strict=True)
    )
