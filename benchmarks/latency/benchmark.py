"""A whole benchmark of several model files under the same conditions."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from eightbit.benchmarks.artifact.formats import Precision, Runtime
from eightbit.benchmarks.latency.launches import (
    Candidate,
    Conditions,
    Effort,
    Launched,
    Measurement,
    OptionalCandidateError,
    measure,
)
from eightbit.benchmarks.latency.limits import machine_limits
from eightbit.benchmarks.latency.results import LatencyResult, latency_results
from eightbit.benchmarks.latency.sections import MachineLimit, WholePath, not_measured_name
from eightbit.benchmarks.processes.calls import median_steps

# Enough to tell which of two is faster by more than one percent.
_PRELIMINARY: Final = Effort(launches=1, rounds=6, seconds=0.4)


@dataclass(frozen=True, kw_only=True, slots=True)
class Benchmarked:
    """What a benchmark found.

    Attributes:
        latency: One entry per candidate that took part in the whole of it.
        limits: The machine's limit, by precision; empty where it was not asked for.
        whole_path: One entry per INT8 candidate; empty without photos.
        launches: How often every candidate's process was started.
        rounds: Turns of each candidate in a launch.
        not_measured: As in `BenchmarkSection`.
    """

    latency: tuple[LatencyResult, ...]
    limits: tuple[MachineLimit, ...]
    whole_path: tuple[WholePath, ...]
    launches: int
    rounds: int
    not_measured: Mapping[str, str] = field(default_factory=dict)


def benchmark(
    candidates: Sequence[Candidate],
    conditions: Conditions,
    effort: Effort,
    *,
    products_per_image: int,
    limits: Sequence[MachineLimit] | None = None,
    photos: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> Benchmarked:
    """Find each runtime's fastest float model, then measure it and all that is compared with it.

    An optional candidate that fails is left out, and the others are measured again without it.

    Args:
        candidates: Of each runtime any number of float models, the first one of which is the
            baseline where they are equally fast, and the INT8 ones.
        conditions: How to call them, and the photos.
        effort: How often and how long.
        products_per_image: Multiplications of the network.
        limits: The machine's, where they are known already; None to measure them as well.
        photos: A description of the photos.
        on_progress: Called with (turns done, turns in all).

    Raises:
        InputError: A candidate cannot be loaded, cannot run such a batch or use a photo.
        WorkerCrashError: A process died.
    """
    if limits is not None:
        effort = replace(effort, limits=0)
    left, not_measured = list(candidates), dict[str, str]()
    while True:
        try:
            chosen = with_baselines(left, conditions)
            measured = measure(chosen, conditions, effort, on_progress=on_progress)
            break
        except OptionalCandidateError as exc:
            lost = replace(exc.candidate, is_baseline=False)
            left.remove(lost)
            name = f"{lost.label} in {lost.runtime}"
            batch = len(conditions.batch)
            not_measured[not_measured_name(name, conditions.threads, batch)] = str(exc)
    if measured.no_rates is not None:
        not_measured[not_measured_name("limit", conditions.threads)] = measured.no_rates
    if limits is None:
        limits = machine_limits(measured.rates, conditions.threads)
    products = products_per_image * len(conditions.batch)
    return Benchmarked(
        latency=latency_results(
            chosen,
            conditions,
            measured,
            seconds_at_limit={limit.precision: products / limit.products_per_s for limit in limits},
        ),
        limits=tuple(limits),
        whole_path=_whole_paths(chosen, conditions, measured, photos),
        launches=measured.launches,
        rounds=measured.rounds,
        not_measured=not_measured,
    )


def with_baselines(
    candidates: Sequence[Candidate], conditions: Conditions
) -> tuple[Candidate, ...]:
    """The candidates, of the float ones only each runtime's fastest, marked as its baseline.

    Raises:
        OptionalCandidateError: One of the following, of an optional candidate.
        InputError: A candidate cannot be loaded, or cannot run such a batch.
        WorkerCrashError: A process died.
    """
    fastest: dict[Runtime, Candidate] = {}
    for runtime in dict.fromkeys(candidate.runtime for candidate in candidates):
        floats = [
            candidate
            for candidate in candidates
            if candidate.runtime is runtime and candidate.precision is Precision.FP32
        ]
        if floats:
            fastest[runtime] = _fastest(floats, conditions)
    return tuple(
        replace(candidate, is_baseline=candidate.precision is Precision.FP32)
        for candidate in candidates
        if candidate.precision is not Precision.FP32 or candidate is fastest[candidate.runtime]
    )


def _fastest(floats: Sequence[Candidate], conditions: Conditions) -> Candidate:
    if len(floats) == 1:
        return floats[0]
    measured = measure(floats, replace(conditions, photos=()), _PRELIMINARY)
    times = {
        candidate: least_disturbed(series[0])
        for candidate, series in zip(floats, measured.by_candidate, strict=True)
    }
    return min(floats, key=times.__getitem__)


def least_disturbed(launched: Launched) -> float:
    """Seconds per call: the median of the fastest turn, since others only ever take time."""
    return min(statistics.median(turn) for turn in launched.turns)


def _whole_paths(
    candidates: Sequence[Candidate], conditions: Conditions, measured: Measurement, photos: str
) -> tuple[WholePath, ...]:
    paths = []
    for candidate, series in zip(candidates, measured.by_candidate, strict=True):
        walks = [steps for launched in series for steps in launched.walks]
        if not walks:
            continue
        medians_ms = [1e3 * seconds for seconds in median_steps(walks)]
        paths.append(
            WholePath(
                runtime=candidate.runtime,
                artifact=candidate.label,
                threads=conditions.threads,
                photo=photos,
                n=len(walks),
                decode_ms=medians_ms[0],
                resize_ms=medians_ms[1],
                normalise_ms=medians_ms[2],
                infer_ms=medians_ms[3],
                total_ms=1e3 * statistics.median(sum(steps) for steps in walks),
            )
        )
    return tuple(paths)
