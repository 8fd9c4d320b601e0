"""The machine's own limit: the rate of a large matrix product on the same threads.

A network's convolutions are matrix products with something in between. What two libraries reach
with nothing in between is the rate to hold them against.
"""

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.latency.limits_worker import Library
from eightbit.benchmarks.latency.sections import MachineLimit
from eightbit.benchmarks.processes.process import WorkerProcess

Rates: TypeAlias = Mapping[tuple[Library, Precision], float]
"""Products per second by library and precision."""

_MODULE: Final = "eightbit.benchmarks.latency.limits_worker"


def measure_rates(threads: int, libraries: Iterable[Library] = tuple(Library)) -> Rates:
    """One measurement of each library, one after the other, each in a fresh process.

    Raises:
        WorkerCrashError: The process died.
    """
    rates: dict[tuple[Library, Precision], float] = {}
    for library in libraries:
        worker = WorkerProcess(
            _MODULE, [library.value, str(threads)], where=library.value, threads=threads
        )
        try:
            line = worker.stdout.readline()
            if not line.endswith(b"\n"):
                raise worker.crash()
        finally:
            worker.close()
        for precision, rate in json.loads(line).items():
            rates[library, Precision(precision)] = rate
    return rates


def machine_limits(measured: Iterable[Rates], threads: int) -> tuple[MachineLimit, ...]:
    """The library with the highest median rate over the launches, per precision."""
    found: dict[tuple[Library, Precision], list[float]] = defaultdict(list)
    for rates in measured:
        for key, rate in rates.items():
            found[key].append(rate)
    medians = {key: statistics.median(rates) for key, rates in found.items()}
    best = {
        precision: max((key for key in medians if key[1] is precision), key=medians.__getitem__)
        for precision in Precision
        if any(key[1] is precision for key in medians)
    }
    return tuple(
        MachineLimit(
            precision=precision, threads=threads, products_per_s=medians[key], library=key[0].value
        )
        for precision, key in best.items()
    )
