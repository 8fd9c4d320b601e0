"""One launch of every candidate: fresh processes, which warm up and then take turns.

Only one computes at a time. Turns go A B C, C B A and so on, so that a machine that slows down
evenly slows all of them alike.
"""

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import numpy as np

from eightbit.benchmarks.artifact import Precision, Runtime
from eightbit.benchmarks.contract import AnyArray
from eightbit.benchmarks.execution import Execution
from eightbit.benchmarks.isolated import IsolatedRunner
from eightbit.benchmarks.warm_up import WINDOW
from eightbit.benchmarks.whole_path import Steps

_LOADED_AT_A_TIME: Final = 2

# A fast network would take thousands of calls in its time; so many are enough for a p99.
_MOST_CALLS: Final = 1000

_WARM_UP_SECONDS: Final = 2.0  # at most, where times go on falling

Turns: TypeAlias = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A model file that takes part in a measurement.

    Attributes:
        label: What it is called in the result.
        path: The .onnx or .pt file.
        runtime: What executes it.
        precision: In which numbers it computes.
        for_inference: See `Execution`.
        is_baseline: Whether it is what the others of its runtime are compared with.
    """

    label: str
    path: Path
    runtime: Runtime
    precision: Precision
    for_inference: bool = False
    is_baseline: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """What is the same for all candidates.

    Attributes:
        batch: Images of every call: float32, shape (N, 3, H, W).
        threads: Threads that one call may use.
        photos: Files of photos, which every INT8 candidate classifies from their bytes on.
    """

    batch: AnyArray
    threads: int
    photos: tuple[bytes, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How often candidates are called in a launch.

    Attributes:
        rounds: Turns of each candidate.
        calls: Timed calls in a turn, by candidate; one untimed call comes first.
    """

    rounds: int
    calls: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Launched:
    """What one launch says of one candidate.

    Attributes:
        turns: Seconds of the timed calls of each turn.
        load_s: From the start of the process until the model could be called.
        peak_rss_bytes: Highest resident memory of the process, before any photo.
        walks: Steps of each photo.
    """

    turns: Turns
    load_s: float
    peak_rss_bytes: int
    walks: tuple[Steps, ...] = ()


class Timeable(Protocol):
    """What takes turns: an `IsolatedRunner`."""

    def settle(self, batch: AnyArray, *, max_seconds: float) -> list[float]:
        """Warm up; seconds of each call."""
        ...

    def time(self, batch: AnyArray, repeats: int) -> list[float]:
        """Seconds of each call."""
        ...


def planned(
    seconds_per_call: Sequence[float], *, rounds: int, seconds: float, launches: int = 1
) -> Schedule:
    """As many calls as there is time for, 1,000 of a candidate at most.

    Args:
        seconds_per_call: Of each candidate.
        rounds: Turns in each launch; fewer where the slowest candidate leaves no time for them.
        seconds: About how long each candidate may run in all launches together.
        launches: How many there will be.
    """
    seconds /= launches
    # A turn is one untimed call, which finds the caches as another process left them, and at
    # least one timed call.
    affordable = int(seconds / (2 * max(seconds_per_call, default=1.0)))
    rounds = max(1, min(rounds, affordable))
    calls = (
        max(1, min(_MOST_CALLS // (rounds * launches), round(seconds / rounds / estimate) - 1))
        for estimate in seconds_per_call
    )
    return Schedule(rounds=rounds, calls=tuple(calls))


def launch(
    candidates: Sequence[Candidate],
    conditions: Conditions,
    plan: Callable[[Sequence[float]], Schedule],
    on_turn: Callable[[Schedule], None] = lambda _: None,
) -> tuple[Schedule, tuple[Launched, ...]]:
    """Start every candidate, let them warm up and take turns, and end them.

    Args:
        candidates: What to start.
        conditions: How to call them.
        plan: Makes the schedule from the seconds per call of each candidate.
        on_turn: Called after every turn of a candidate.

    Returns:
        The schedule, and what was found of each candidate.

    Raises:
        InputError: A candidate cannot be loaded, cannot run such a batch or use a photo.
        WorkerCrashError: A process died.
    """
    with ExitStack() as stack:
        runners = _started(candidates, conditions.threads, stack)
        settled = [
            runner.settle(conditions.batch, max_seconds=_WARM_UP_SECONDS) for runner in runners
        ]
        schedule = plan([statistics.median(seconds[-WINDOW:]) for seconds in settled])
        turns = take_turns(runners, conditions.batch, schedule, lambda: on_turn(schedule))
        peaks = [runner.peak_rss_bytes() for runner in runners]
        walks = [
            _walks(runner, conditions.photos) if candidate.precision is Precision.INT8 else ()
            for candidate, runner in zip(candidates, runners, strict=True)
        ]
        return schedule, tuple(
            Launched(turns=own, load_s=runner.load_s, peak_rss_bytes=peak, walks=steps)
            for own, runner, peak, steps in zip(turns, runners, peaks, walks, strict=True)
        )


def take_turns(
    runners: Sequence[Timeable],
    batch: AnyArray,
    schedule: Schedule,
    on_turn: Callable[[], None],
) -> list[Turns]:
    """Seconds of every timed call, per runner and turn."""
    turns: list[list[tuple[float, ...]]] = [[] for _ in runners]
    order = list(range(len(runners)))
    for _ in range(schedule.rounds):
        for index in order:
            # The first call finds the caches as another process left them.
            _, *timed = runners[index].time(batch, 1 + schedule.calls[index])
            turns[index].append(tuple(timed))
            on_turn()
        order.reverse()
    return [tuple(own) for own in turns]


def made_up_batch(size: int, input_shape: tuple[int, int, int], seed: int) -> AnyArray:
    """Noise of the size of preprocessed images: float32, shape (size, 3, H, W)."""
    noise = np.random.default_rng(seed).standard_normal((size, *input_shape), dtype=np.float32)
    return noise


def _started(
    candidates: Sequence[Candidate], threads: int, stack: ExitStack
) -> list[IsolatedRunner]:
    """All of them, some at a time; where one fails, the stack ends the others."""

    def start(candidate: Candidate) -> IsolatedRunner:
        execution = Execution(runtime=candidate.runtime, for_inference=candidate.for_inference)
        return IsolatedRunner(candidate.path, threads=threads, execution=execution)

    with ThreadPoolExecutor(_LOADED_AT_A_TIME) as executor:
        futures = [executor.submit(start, candidate) for candidate in candidates]
        for future in futures:
            if future.exception() is None:
                stack.enter_context(future.result())
    return [future.result() for future in futures]


def _walks(runner: IsolatedRunner, photos: Sequence[bytes]) -> tuple[Steps, ...]:
    if not photos:
        return ()
    runner.walk(photos[0])  # loads the decoder
    return tuple(runner.walk(photo) for photo in photos)
