"""A runner in a process of its own.

Thread pools of two runtimes in one process slow each other down, and a crash inside a runtime
would take the caller with it.
"""

import time
from pathlib import Path

import numpy as np

from eightbit.benchmarks.artifact.formats import format_of
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.processes.calls import LEAST_CALLS, Steps
from eightbit.benchmarks.processes.channel import Action, Reply, Request, receive, send
from eightbit.benchmarks.processes.patience import answer_limit_s, load_limit_s
from eightbit.benchmarks.processes.process import Closing, WorkerCrashError, WorkerProcess
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.feed import Feed
from eightbit.benchmarks.runtimes.runner import AnyArray, FloatArray
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable


class IsolatedRunner(Closing):
    """Runs a model file in a fresh process; see `runner.Runner`. A context manager.

    Args:
        path: The model file.
        threads: Number of threads that one call may use, at least 1.
        execution: How to execute it; None for the runtime that the file's suffix asks for.

    Attributes:
        feed: What the model takes.
        load_s: Seconds from the start of the process until the model could be called.

    Raises:
        InputError: The file cannot be loaded by its runtime on this machine.
        WorkerCrashError: The process died while it loaded the file.
    """

    def __init__(self, path: Path, *, threads: int, execution: Execution | None = None) -> None:
        self._where = printable(str(path))
        execution = execution or Execution(runtime=format_of(path).runtime)
        read_metadata(path)  # refuses what no worker should be handed
        start = time.perf_counter()
        self._process = WorkerProcess(
            "eightbit.benchmarks.processes.worker",
            [str(path), str(threads), execution.model_dump_json()],
            where=self._where,
            threads=threads,
            variables=execution.variables,
            prefix=execution.command_prefix(),
        )
        try:
            reply, _ = self._receive(load_limit_s())
        except BaseException:
            self.close()
            raise
        self.load_s = time.perf_counter() - start
        self.feed = reply.feed or Feed()

    def __call__(self, batch: AnyArray) -> FloatArray:
        """Runs the model on float32 (N, 3, H, W); returns float32 logits (N, classes)."""
        _, logits = self._ask(Request(action=Action.RUN), self.feed(batch, where=self._where))
        if logits is None:
            raise WorkerCrashError(f"{self._where}: the worker answered without logits")
        return logits

    def settle(self, batch: AnyArray, *, max_seconds: float) -> list[float]:
        """Runs the model until its calls take no less time; returns the seconds of each."""
        request = Request(action=Action.SETTLE, max_seconds=max_seconds)
        reply, _ = self._ask(request, self.feed(batch, exact=False, where=self._where))
        return list(reply.seconds)

    def time(self, batch: AnyArray, repeats: int) -> list[float]:
        """Seconds of each of `repeats` calls one after the other, measured inside the process.

        A model that takes pixels is timed from the pixels on, and any numbers will do.
        """
        request = Request(action=Action.TIME, repeats=repeats)
        reply, _ = self._ask(request, self.feed(batch, exact=False, where=self._where))
        return list(reply.seconds)

    def walk(self, photo: bytes) -> Steps:
        """Classifies a photo from its bytes on; returns the seconds of each step.

        Raises:
            InputError: The photo cannot be used.
        """
        reply, _ = self._ask(Request(action=Action.WALK), np.frombuffer(photo, dtype=np.uint8))
        return Steps(*reply.seconds)

    def peak_rss_bytes(self) -> int:
        """Highest resident memory of the process so far, in bytes."""
        reply, _ = self._ask(Request(action=Action.PEAK_RSS))
        return reply.peak_rss_bytes

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def close(self) -> None:
        """Ends the process and waits for its end; may be called again."""
        self._process.close()

    def _ask(
        self, request: Request, batch: AnyArray | None = None
    ) -> tuple[Reply, AnyArray | None]:
        if self._process.stdin.closed:
            raise ValueError(f"{self._where}: this runner is closed")
        try:
            limit_s = _limit_s(request, batch)
            with self._process.patience.for_s(limit_s):
                send(self._process.stdin, request, batch)
            return self._receive(limit_s)
        except InputError:
            raise
        except BrokenPipeError as exc:
            raise self._process.crash() from exc
        except BaseException:
            # Interrupted between request and reply: the next reply would answer this request.
            self.close()
            raise

    def _receive(self, limit_s: float) -> tuple[Reply, AnyArray | None]:
        try:
            with self._process.patience.for_s(limit_s):
                reply, array = receive(self._process.stdout, Reply)
        except EOFError as exc:
            raise self._process.crash() from exc
        if reply.input_error is not None:
            raise InputError(reply.input_error)
        return reply, array


def _limit_s(request: Request, batch: AnyArray | None) -> float:
    """Seconds that a worker may take for a request; a photo is a batch of one."""
    images = 1 if batch is None or batch.ndim < 2 else len(batch)
    calls = LEAST_CALLS if request.action is Action.SETTLE else request.repeats
    return answer_limit_s(images * calls) + request.max_seconds
