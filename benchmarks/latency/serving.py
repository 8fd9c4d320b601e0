"""How many images a second a machine answers: a session of many threads, or many of one.

A session is a process of its own, as the workers of a server are. The sessions of a setting compute
at the same time, settings take turns, in the order A B C, C B A, and every figure is the median of
the turns. Latency is another question: see `launches`.
"""

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.formats import Runtime
from eightbit.benchmarks.latency.launches import synthetic_batch
from eightbit.benchmarks.latency.sections import Serving
from eightbit.benchmarks.processes.calls import WINDOW
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.runner import AnyArray

BATCHES: Final = (1, 8, 32)

# Each needs as much memory as the model: a machine of many cores gets sessions of several threads.
_MOST_SESSIONS: Final = 16
_WARM_UP_SECONDS: Final = 1.0
_TURNS: Final = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Sessions:
    """How a machine's cores are shared out.

    Attributes:
        count: Sessions that compute at the same time.
        threads: Of each.
    """

    count: int
    threads: int


def shared_out(cores: int) -> tuple[Sessions, ...]:
    """One session with all cores, and as many as there can be; one setting where there is one."""
    several = min(cores, _MOST_SESSIONS)
    both = (
        Sessions(count=1, threads=cores),
        Sessions(count=several, threads=cores // several),
    )
    return tuple(dict.fromkeys(both))


def measure_serving(
    path: Path,
    runtime: Runtime,
    *,
    input_shape: tuple[int, int, int],
    cores: int,
    seconds: float,
    batches: Sequence[int] = BATCHES,
    on_turn: Callable[[int], None] = lambda _: None,
) -> tuple[Serving, ...]:
    """Images per second of a model file in each setting.

    Args:
        path: The model file.
        runtime: What executes it.
        input_shape: (C, H, W) of one image.
        cores: How many the sessions share.
        seconds: About how long a turn of a setting lasts.
        batches: Images per call.
        on_turn: Called after each turn of a setting, with how many there are in all.

    Raises:
        InputError: The file cannot be loaded, or cannot run such a batch.
        WorkerCrashError: A process died.
    """
    images = {batch: synthetic_batch(batch, input_shape, seed=0) for batch in batches}
    with ExitStack() as stack:
        pools = [
            stack.enter_context(_Pool(path, runtime, sessions)) for sessions in shared_out(cores)
        ]
        settings = [(pool, batch) for pool in pools for batch in batches]
        calls = [pool.settle(images[batch], seconds) for pool, batch in settings]
        rates: list[list[float]] = [[] for _ in settings]
        order = list(range(len(settings)))
        for _ in range(_TURNS):
            for index in order:
                pool, batch = settings[index]
                rates[index].append(pool.rate(images[batch], calls[index]))
                on_turn(_TURNS * len(settings))
            order.reverse()
        return tuple(
            Serving(
                runtime=runtime,
                artifact=path.name,
                sessions=pool.sessions.count,
                threads=pool.sessions.threads,
                batch=batch,
                images_per_s=statistics.median(own),
                turns=len(own),
                peak_rss_bytes=pool.peak_rss_bytes(),
            )
            for (pool, batch), own in zip(settings, rates, strict=True)
        )


class _Pool(ExitStack):
    """Sessions that compute at the same time."""

    def __init__(self, path: Path, runtime: Runtime, sessions: Sessions) -> None:
        super().__init__()
        self.sessions = sessions
        self._executor = self.enter_context(ThreadPoolExecutor(sessions.count))
        execution = Execution(runtime=runtime)
        make = partial(IsolatedRunner, path, threads=sessions.threads, execution=execution)
        self._runners: list[IsolatedRunner] = []
        try:
            # One after the other: what has started is ended whatever becomes of the next.
            for _ in range(sessions.count):
                self._runners.append(self.enter_context(make()))
        except BaseException:
            self.close()
            raise

    def settle(self, batch: AnyArray, seconds: float) -> int:
        """Warm up; how many calls of a session take so long."""
        found = self._all(
            lambda runner: runner.settle(batch, max_seconds=_WARM_UP_SECONDS)[-WINDOW:]
        )
        return max(1, round(seconds / statistics.median(chain.from_iterable(found))))

    def rate(self, batch: AnyArray, calls: int) -> float:
        """Images per second of all sessions together, each with so many calls."""
        found = self._all(lambda runner: runner.time(batch, 1 + calls))
        # The first call finds the caches as others left them, and not every session at work.
        return sum(len(batch) * calls / sum(seconds[1:]) for seconds in found)

    def peak_rss_bytes(self) -> int:
        """Highest resident memory of all sessions together."""
        return sum(runner.peak_rss_bytes() for runner in self._runners)

    def _all(self, ask: Callable[[IsolatedRunner], list[float]]) -> list[list[float]]:
        # Each in a copy of this context: what is trusted here is trusted there.
        asked = [self._executor.submit(copy_context().run, ask, runner) for runner in self._runners]
        return [future.result() for future in asked]
