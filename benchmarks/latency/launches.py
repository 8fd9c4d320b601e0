"""One launch of every candidate: fresh processes, which warm up and then take turns.

Only one computes at a time. Turns go A B C, C B A and so on, so that a machine that slows down
evenly slows all of them alike.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import numpy as np

from eightbit.benchmarks.artifact.formats import TORCHSCRIPT, Precision, Runtime
from eightbit.benchmarks.latency.busy import OtherPrograms
from eightbit.benchmarks.latency.limits import Rates, measure_rates
from eightbit.benchmarks.latency.limits_worker import Library
from eightbit.benchmarks.latency.speedup import spread
from eightbit.benchmarks.processes.calls import WINDOW, Steps
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.runner import AnyArray
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable

_LOADED_AT_A_TIME: Final = 2

# A fast network would take thousands of calls in its time; so many are enough for a p99.
_MOST_CALLS: Final = 1000

_WARM_UP_SECONDS: Final = 2.0  # at most, where times go on falling

# Launches go on until every speedup is known to about so much to either side.
_CLOSE_ENOUGH: Final = 0.05

Turns: TypeAlias = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A model file that takes part in a measurement.

    Attributes:
        label: What it is called in the result.
        path: The model file.
        runtime: What executes it.
        precision: In which numbers it computes.
        for_inference: See `Execution`.
        is_baseline: Whether it is what the others of its runtime are compared with.
        optional: Whether the others can do without it.
    """

    label: str
    path: Path
    runtime: Runtime
    precision: Precision
    for_inference: bool = False
    is_baseline: bool = False
    optional: bool = False


class OptionalCandidateError(RuntimeError):
    """A candidate cannot be measured that the others can do without; the message says why."""

    def __init__(self, candidate: Candidate, cause: InputError | WorkerCrashError) -> None:
        said = cause.in_short if isinstance(cause, WorkerCrashError) else str(cause)
        # Where the file lay meanwhile helps nobody: the label says which one it is.
        said = said.removeprefix(f"{printable(str(candidate.path))}: ")
        super().__init__(" ".join(said.split()))
        self.candidate = candidate


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
        plan: Makes the schedule, which is returned, from each candidate's seconds per call.
        on_turn: Called after every turn of a candidate.

    Raises:
        OptionalCandidateError: One of the following, of an optional candidate.
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
        walks = [runner.walks(conditions.photos) for runner in runners]
        return schedule, tuple(
            Launched(turns=own, load_s=runner.load_s, peak_rss_bytes=peak, walks=steps)
            for own, runner, peak, steps in zip(turns, runners, peaks, walks, strict=True)
        )


def take_turns(
    runners: Sequence[Timeable], batch: AnyArray, schedule: Schedule, on_turn: Callable[[], None]
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


def synthetic_batch(size: int, input_shape: tuple[int, int, int], seed: int) -> AnyArray:
    """Noise of the size of preprocessed images: float32, shape (size, 3, H, W)."""
    noise = np.random.default_rng(seed).standard_normal((size, *input_shape), dtype=np.float32)
    return noise


class _Participant:
    """A candidate's process; what fails in it is told as the candidate's."""

    def __init__(self, candidate: Candidate, runner: IsolatedRunner) -> None:
        self._candidate = candidate
        self._runner = runner
        self.load_s = runner.load_s

    def settle(self, batch: AnyArray, *, max_seconds: float) -> list[float]:
        """See `Timeable`."""
        with _told_as_of(self._candidate):
            return self._runner.settle(batch, max_seconds=max_seconds)

    def time(self, batch: AnyArray, repeats: int) -> list[float]:
        """See `Timeable`."""
        with _told_as_of(self._candidate):
            return self._runner.time(batch, repeats)

    def peak_rss_bytes(self) -> int:
        """See `IsolatedRunner`."""
        with _told_as_of(self._candidate):
            return self._runner.peak_rss_bytes()

    def walks(self, photos: Sequence[bytes]) -> tuple[Steps, ...]:
        """Steps of each photo; none for a float model."""
        if not photos or self._candidate.precision is not Precision.INT8:
            return ()
        with _told_as_of(self._candidate):
            self._runner.walk(photos[0])  # loads the decoder
            return tuple(self._runner.walk(photo) for photo in photos)


@contextmanager
def _told_as_of(candidate: Candidate) -> Iterator[None]:
    try:
        yield
    except (InputError, WorkerCrashError) as exc:
        if not candidate.optional:
            raise
        raise OptionalCandidateError(candidate, exc) from exc


def _started(candidates: Sequence[Candidate], threads: int, stack: ExitStack) -> list[_Participant]:
    """All of them, some at a time; the stack ends whatever has started, whenever it is closed."""
    alive: dict[int, IsolatedRunner] = {}

    def start(index: int) -> IsolatedRunner:
        candidate = candidates[index]
        execution = Execution(runtime=candidate.runtime, for_inference=candidate.for_inference)
        with _told_as_of(candidate):
            alive[index] = IsolatedRunner(candidate.path, threads=threads, execution=execution)
        return alive[index]

    @stack.callback
    def end() -> None:
        with ExitStack() as ending:
            for index in sorted(alive):
                ending.enter_context(alive[index])

    with ThreadPoolExecutor(_LOADED_AT_A_TIME) as executor:
        try:
            # Each thread in a copy of this context: what is trusted here is trusted there.
            futures = [
                executor.submit(copy_context().run, start, index)
                for index in range(len(candidates))
            ]
            runners = [future.result() for future in futures]
        except BaseException:
            # Failed or interrupted: what has not begun need not begin.
            executor.shutdown(cancel_futures=True)
            raise
    return [_Participant(*pair) for pair in zip(candidates, runners, strict=True)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How much time a measurement may take.

    Attributes:
        launches: How often every candidate's process is started, at least 1.
        rounds: Turns of each candidate in a launch.
        seconds: About how long each candidate runs in so many launches together.
        limits: Before how many of the launches matrix products are measured.
        patience_s: Where a speedup's interval is still wider than 5 % to either side after so many
            launches, others follow while no more seconds than this have passed in all.
        serving_s: Seconds of a turn where images per second are measured in several settings
            (`serving`); 0 to leave that out.
    """

    launches: int
    rounds: int
    seconds: float
    limits: int = 0
    patience_s: float = 0.0
    serving_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What all launches found.

    Attributes:
        by_candidate: What each launch says, by candidate.
        rates: The rates of matrix products, by launch that they were measured before; none where
            one of those measurements failed.
        no_rates: Why it failed; None where none did.
        rounds: Turns of each candidate in a launch.
        busy: Share of the usable cores' time that other programs took; None where it is unknown.
    """

    by_candidate: tuple[tuple[Launched, ...], ...]
    rates: tuple[Rates, ...]
    rounds: int
    busy: float | None
    no_rates: str | None = None

    @property
    def launches(self) -> int:
        """How many there were."""
        return len(self.by_candidate[0]) if self.by_candidate else 0


def measure(
    candidates: Sequence[Candidate],
    conditions: Conditions,
    effort: Effort,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Measurement:
    """Launch the candidates several times; progress is (turns done, turns in all so far).

    Raises:
        OptionalCandidateError: One of the following, of an optional candidate.
        InputError: A candidate cannot be loaded, cannot run such a batch or use a photo.
        WorkerCrashError: A process died.
    """
    if effort.launches < 1:
        raise ValueError(f"launches: expected at least 1, found {effort.launches}")
    others = OtherPrograms()
    schedule: Schedule | None = None
    done, start = 0, time.monotonic()

    def plan(estimates: Sequence[float]) -> Schedule:
        # That of the first launch holds for all: launches are alike, and so is the progress.
        return schedule or planned(
            estimates, rounds=effort.rounds, seconds=effort.seconds, launches=effort.launches
        )

    def turn_over(current: Schedule) -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            begun = max(effort.launches, len(launched) + 1)
            on_progress(done, begun * current.rounds * len(candidates))

    launched: list[tuple[Launched, ...]] = []
    rates: list[Rates] = []
    no_rates: str | None = None

    def wants_another(number: int) -> bool:
        if number < effort.launches:
            return bool(candidates)
        # As long as those before: another one is begun only if it will be over in time.
        expected = (time.monotonic() - start) * (number + 1) / number
        return expected <= effort.patience_s and not _close_enough(candidates, launched)

    for number in takewhile(wants_another, count()):
        if number < effort.limits and no_rates is None:
            try:
                rates.append(measure_rates(conditions.threads, _libraries(candidates)))
            except WorkerCrashError as exc:
                # What is left of the rates may be far from the limit: then there is none.
                no_rates, rates = " ".join(exc.in_short.split()), []
        schedule, found = launch(candidates, conditions, plan, turn_over)
        launched.append(found)
    return Measurement(
        by_candidate=tuple(zip(*launched, strict=True)),
        rates=tuple(rates),
        rounds=schedule.rounds if schedule else 0,
        busy=others.share(),
        no_rates=no_rates,
    )


def _close_enough(
    candidates: Sequence[Candidate], launched: Sequence[tuple[Launched, ...]]
) -> bool:
    """Whether every speedup over a baseline is known as well as it has to be.

    Stopping when an interval is narrow makes it a little too narrow where launches are few (Chow
    and Robbins, Annals of Mathematical Statistics 36, 1965): hence a least number of them.
    """
    series = dict(zip(candidates, zip(*launched, strict=True), strict=True))
    baselines = {one.runtime: one for one in candidates if one.is_baseline}
    pairs = [(baselines.get(one.runtime), one) for one in candidates if not one.is_baseline]
    return all(
        spread([of.turns for of in series[baseline]], [of.turns for of in series[one]])
        <= _CLOSE_ENOUGH
        for baseline, one in pairs
        if baseline is not None
    )


def _libraries(candidates: Sequence[Candidate]) -> Sequence[Library]:
    """What multiplies matrices in the runtimes that take part; OpenVINO offers no product alone."""
    with_torch = any(one.runtime is TORCHSCRIPT.runtime for one in candidates)
    return tuple(Library) if with_torch else (Library.ONNXRUNTIME,)
