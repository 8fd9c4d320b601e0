"""How long one call takes, for several model files under the same conditions.

Every candidate is loaded and warmed up in a process of its own; then they take turns,
A B A B, so that a machine that slows down slows all of them down. Only one runs at a time.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import PositiveInt

from eightbit.benchmarks.artifact import Precision, Runtime
from eightbit.benchmarks.contract import FloatArray
from eightbit.benchmarks.execution import Execution
from eightbit.benchmarks.isolated import IsolatedRunner
from eightbit.models.spec import FrozenModel, Positive

_MAX_SAMPLES: Final = 400  # enough for a p99; a small network would take thousands in its time
_WARM_UP_CALLS: Final = 3  # TorchScript profiles its first two calls
_ESTIMATE_CALLS: Final = 2


class LatencyResult(FrozenModel):
    """Latency of one model file.

    Attributes:
        runtime: What executed the file.
        artifact: Name of the file or its description, such as "float TorchScript".
        precision: In which numbers it computes.
        threads: Threads that one call could use.
        batch: Images per call.
        n: Number of timed calls.
        p50_ms: Median milliseconds per call.
        p90_ms: 90th percentile, interpolated linearly.
        p99_ms: 99th percentile; close to the maximum where n is below 100.
        images_per_s: Images of all timed calls divided by their total time.
        launches: Processes that were started for it one after the other.
        load_s: Median seconds from the start of its process until the model could be called;
            None in reports of an earlier version.
        peak_rss_bytes: Highest resident memory of its largest process.
        is_baseline: Whether it is the fastest float model of its runtime under these conditions,
            the one that INT8 is compared with.
        speedup: How many times faster than that it is: geometric mean over the launches of the
            ratio of medians; None for the baseline, or where there is none.
        speedup_ci95: 95 % confidence interval of the speedup.
        limit_fraction: Its multiplications per second as a fraction of those of a large matrix
            product in the same numbers on the same threads; see `BenchmarkSection`.
    """

    runtime: Runtime
    artifact: str
    precision: Precision
    threads: PositiveInt
    batch: PositiveInt
    n: PositiveInt
    p50_ms: Positive
    p90_ms: Positive
    p99_ms: Positive
    images_per_s: Positive
    launches: PositiveInt = 1
    load_s: Positive | None = None
    peak_rss_bytes: PositiveInt | None = None
    is_baseline: bool = False
    speedup: Positive | None = None
    speedup_ci95: tuple[Positive, Positive] | None = None
    limit_fraction: Positive | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A model file that takes part in a measurement.

    Attributes:
        label: What it is called in the result.
        path: The .onnx or .pt file.
        runtime: What executes it.
        precision: In which numbers it computes.
    """

    label: str
    path: Path
    runtime: Runtime
    precision: Precision


def measure_latency(
    candidates: Sequence[Candidate],
    *,
    input_shape: tuple[int, int, int],
    threads: int,
    batch: int = 1,
    rounds: int = 10,
    seconds_per_candidate: float = 2.5,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[LatencyResult, ...]:
    """Measures candidates in turns.

    Args:
        candidates: What to measure.
        input_shape: (3, H, W) of one image.
        threads: Threads that one call may use.
        batch: Images per call.
        rounds: Turns per candidate; fewer where the slowest candidate leaves no time for them.
        seconds_per_candidate: About how long each candidate runs, loading not counted; a fast
            one is done earlier, after 400 calls.
        seed: Of the random input.
        on_progress: Called with (turns done, turns in all).

    Returns:
        One result per candidate, in the order given.

    Raises:
        InputError: A candidate cannot be loaded, or cannot run such a batch.
        WorkerCrashError: The process of a candidate died.
    """
    noise = np.random.default_rng(seed).standard_normal((batch, *input_shape), dtype=np.float32)
    with ExitStack() as stack:
        runners = [
            stack.enter_context(
                IsolatedRunner(
                    candidate.path,
                    threads=threads,
                    execution=Execution(runtime=candidate.runtime),
                )
            )
            for candidate in candidates
        ]
        samples = _take_turns(runners, noise, rounds, seconds_per_candidate, on_progress)
    return tuple(
        _summarize(candidate, seconds, threads=threads, batch=batch)
        for candidate, seconds in zip(candidates, samples, strict=True)
    )


def _take_turns(
    runners: Sequence[IsolatedRunner],
    batch: FloatArray,
    rounds: int,
    seconds_per_candidate: float,
    on_progress: Callable[[int, int], None] | None,
) -> list[list[float]]:
    """Seconds of every timed call, per runner."""
    estimates = [_seconds_per_call(runner, batch) for runner in runners]
    # A turn is one untimed call, which finds the caches as another process left them, and at
    # least one timed call.
    affordable = int(seconds_per_candidate / (2 * max(estimates, default=1.0)))
    rounds = max(1, min(rounds, affordable))
    turn_seconds = seconds_per_candidate / rounds
    repeats = [
        max(1, min(_MAX_SAMPLES // rounds, round(turn_seconds / estimate) - 1))
        for estimate in estimates
    ]
    samples: list[list[float]] = [[] for _ in runners]
    for turn in range(rounds):
        for index, runner in enumerate(runners):
            runner.warm_up(batch, repeats=1)
            samples[index] += runner.time(batch, repeats[index])
            if on_progress is not None:
                on_progress(turn * len(runners) + index + 1, rounds * len(runners))
    return samples


def _seconds_per_call(runner: IsolatedRunner, batch: FloatArray) -> float:
    runner.warm_up(batch, repeats=_WARM_UP_CALLS)
    return min(runner.time(batch, _ESTIMATE_CALLS))


def _summarize(
    candidate: Candidate, seconds: Sequence[float], *, threads: int, batch: int
) -> LatencyResult:
    p50_ms, p90_ms, p99_ms = (float(value) for value in np.percentile(seconds, [50, 90, 99]) * 1e3)
    return LatencyResult(
        runtime=candidate.runtime,
        artifact=candidate.label,
        precision=candidate.precision,
        threads=threads,
        batch=batch,
        n=len(seconds),
        p50_ms=p50_ms,
        p90_ms=p90_ms,
        p99_ms=p99_ms,
        images_per_s=batch * len(seconds) / sum(seconds),
    )
