"""How long one call takes, for several model files under the same conditions.

Every candidate runs in a process of its own, and all processes are started afresh several times:
what differs between two starts of a program is most of what differs between two measurements of
it. Within a launch candidates take turns; `speedup` has the statistics.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import numpy as np

from eightbit.benchmarks.artifact.formats import Precision, RuntimeByName
from eightbit.benchmarks.latency.launches import (
    Candidate,
    Conditions,
    Effort,
    Launched,
    Measurement,
    measure,
    synthetic_batch,
)
from eightbit.benchmarks.latency.speedup import paired_speedup
from eightbit.models.spec import FrozenModel, Positive, PositiveCount


class LatencyResult(FrozenModel):
    """Latency of one model file.

    Attributes:
        runtime: What executed the file.
        artifact: Name of the file or its description, such as "float TorchScript".
        precision: In which numbers it computes.
        threads: Threads that one call could use.
        batch: Images per call.
        n: Number of timed calls, of all launches together.
        p50_ms: Median milliseconds per call.
        p90_ms: 90th percentile, interpolated linearly.
        p99_ms: 99th percentile; close to the maximum where n is below 100.
        images_per_s: Images of all timed calls divided by their total time.
        launches: Processes that were started for it one after the other.
        load_s: Median seconds from the start of its process, interpreter and runtime included,
            until the model could be called; two load at a time.
        peak_rss_bytes: Highest resident memory of its largest process, interpreter and runtime
            included.
        is_baseline: Whether it is the fastest float model of its runtime under these conditions,
            the one that INT8 is compared with.
        speedup: How many times faster than that it is: geometric mean over the launches of the
            ratio of medians; None for the baseline, or where there is none.
        speedup_ci95: 95 % confidence interval of the speedup; None where there was one launch.
        limit_fraction: Its multiplications per second, by the median call, as a fraction of those
            of a large matrix product in the same numbers on the same threads; see
            `BenchmarkSection`. A float convolution that saves multiplications can exceed 1.
    """

    runtime: RuntimeByName
    artifact: str
    precision: Precision
    threads: PositiveCount
    batch: PositiveCount
    n: PositiveCount
    p50_ms: Positive
    p90_ms: Positive
    p99_ms: Positive
    images_per_s: Positive
    launches: PositiveCount
    load_s: Positive
    peak_rss_bytes: PositiveCount
    is_baseline: bool = False
    speedup: Positive | None = None
    speedup_ci95: tuple[Positive, Positive] | None = None
    limit_fraction: Positive | None = None


def measure_latency(
    candidates: Sequence[Candidate],
    *,
    input_shape: tuple[int, int, int],
    threads: int,
    batch: int = 1,
    rounds: int = 10,
    seconds_per_candidate: float = 2.5,
    launches: int = 1,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[LatencyResult, ...]:
    """Measures candidates in turns; one result per candidate, in the order given.

    Args:
        candidates: What to measure.
        input_shape: (3, H, W) of one image.
        threads: Threads that one call may use.
        batch: Images per call.
        rounds: Turns per candidate and launch; fewer where the slowest candidate leaves no time
            for them.
        seconds_per_candidate: About how long each candidate runs in all launches together,
            loading and warming up not counted; a fast one is done earlier, after 1,000 calls.
        launches: How often every process is started; an interval takes at least two.
        seed: Of the random input.
        on_progress: Called with (turns done, turns in all).

    Raises:
        InputError: A candidate cannot be loaded, or cannot run such a batch.
        WorkerCrashError: The process of a candidate died.
    """
    conditions = Conditions(batch=synthetic_batch(batch, input_shape, seed), threads=threads)
    effort = Effort(launches=launches, rounds=rounds, seconds=seconds_per_candidate)
    measured = measure(candidates, conditions, effort, on_progress=on_progress)
    return latency_results(candidates, conditions, measured)


def latency_results(
    candidates: Sequence[Candidate],
    conditions: Conditions,
    measured: Measurement,
    *,
    seconds_at_limit: Mapping[Precision, float] | None = None,
) -> tuple[LatencyResult, ...]:
    """The result of each candidate, and its fraction of the machine's limit.

    Args:
        candidates: As measured.
        conditions: As measured.
        measured: Of `launches.measure`.
        seconds_at_limit: What a call would take at the machine's limit, by precision.
    """
    limits = seconds_at_limit or {}
    series = measured.by_candidate
    baselines = {
        candidate.runtime: own
        for candidate, own in zip(candidates, series, strict=True)
        if candidate.is_baseline
    }
    return tuple(
        _result(
            candidate,
            own,
            conditions,
            baseline=None if candidate.is_baseline else baselines.get(candidate.runtime),
            busy=measured.busy,
            limit_s=limits.get(candidate.precision),
        )
        for candidate, own in zip(candidates, series, strict=True)
    )


def _result(
    candidate: Candidate,
    series: Sequence[Launched],
    conditions: Conditions,
    *,
    baseline: Sequence[Launched] | None,
    busy: float | None,
    limit_s: float | None,
) -> LatencyResult:
    seconds = list(chain.from_iterable(chain.from_iterable(one.turns for one in series)))
    p50_ms, p90_ms, p99_ms = (float(value) for value in np.percentile(seconds, [50, 90, 99]) * 1e3)
    faster = None
    if baseline is not None:
        faster = paired_speedup(
            [one.turns for one in baseline], [one.turns for one in series], busy=busy or 0.0
        )
    return LatencyResult(
        runtime=candidate.runtime,
        artifact=candidate.label,
        precision=candidate.precision,
        threads=conditions.threads,
        batch=len(conditions.batch),
        n=len(seconds),
        p50_ms=p50_ms,
        p90_ms=p90_ms,
        p99_ms=p99_ms,
        images_per_s=len(conditions.batch) * len(seconds) / sum(seconds),
        launches=len(series),
        load_s=statistics.median(one.load_s for one in series),
        peak_rss_bytes=max(one.peak_rss_bytes for one in series),
        is_baseline=candidate.is_baseline,
        speedup=faster.value if faster else None,
        speedup_ci95=faster.ci95 if faster else None,
        limit_fraction=None if limit_s is None else limit_s * 1e3 / p50_ms,
    )
