"""Whether the speed of the artefacts speaks for shipping them."""

from collections.abc import Iterator
from enum import StrEnum

from eightbit.benchmarks.artifact.artifact import Precision
from eightbit.benchmarks.artifact.formats import written
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.reasons import Reason, care, elsewhere, ship
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import counted, times
from eightbit.benchmarks.report.tables.cost import speedup


class _Kind(StrEnum):
    """What can be said of a speedup, from the worst to the best."""

    SLOWER = "Slower than"
    NOT_SHOWN = "Not shown to be faster than"
    ONCE = "Without an interval, which takes more launches than one, against"
    FASTER = "Faster than"


_Found = dict[_Kind, dict[str, list[str]]]
"""By what can be said and under which conditions, the artefacts."""


def speed_reasons(report: Report) -> Iterator[Reason]:
    """One reason for each kind of result, over all conditions that were measured."""
    found: _Found = {}
    measured = set()
    for entry in report.latency:
        factor = speedup(entry, report.latency)
        if entry.precision is Precision.INT8 and factor:
            measured.add(entry.runtime)
            under = f"{counted(entry.threads, 'thread')}, batch {entry.batch}"
            said = f"{entry.runtime.value} {times(factor, entry.speedup_ci95)}"
            found.setdefault(_kind(entry), {}).setdefault(under, []).append(said)
    missing = [form.name for form in written(report.size_bytes) if form.runtime not in measured]
    if not found or missing:
        whose = f" of {' and '.join(missing)}" if found else ""
        yield care(f"Speed{whose} against float was not measured.")
    where = elsewhere(report, report.benchmark.environment if report.benchmark else None)
    for kind in _Kind:
        if kind in found:
            advise = ship if kind is _Kind.FASTER else care
            yield advise(_sentence(kind, found[kind], where))


def _kind(entry: LatencyResult) -> _Kind:
    if entry.speedup_ci95 is None:
        return _Kind.ONCE
    low, high = entry.speedup_ci95
    return _Kind.FASTER if low > 1 else _Kind.SLOWER if high < 1 else _Kind.NOT_SHOWN


def _sentence(kind: _Kind, found: dict[str, list[str]], where: str) -> str:
    # What speaks for shipping is said of the first conditions; what does not, of all of them.
    shown = list(found.items())[: 1 if kind is _Kind.FASTER else None]
    said = "; ".join(f"with {under}: {', '.join(names)}" for under, names in shown)
    more = len(found) - len(shown)
    also = f"; and with {counted(more, 'other setting')}" if more else ""
    measured = f" ({where})" if where else ""
    return f"{kind.value} the best float of the same runtime {said}{also}{measured}."
