"""A runner in a process of its own.

Thread pools of two runtimes in one process slow each other down, and a crash inside a runtime
would take the caller with it. The process is a fresh interpreter, not a fork and not
`multiprocessing`, so that a caller's script needs no main guard.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import IO, Final, Self

from eightbit.benchmarks.artifact import runtime_of
from eightbit.benchmarks.channel import Action, Reply, Request, receive, send
from eightbit.benchmarks.contract import AnyArray, FloatArray
from eightbit.benchmarks.execution import Execution
from eightbit.benchmarks.feed import Feed
from eightbit.benchmarks.openmp import with_short_spins
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable

# The runtimes are told their threads directly too; these reach the libraries beneath them.
_THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_STDERR_KEPT_BYTES: Final = 16 * 2**10
_STDERR_SHOWN_LINES: Final = 15


class WorkerCrashError(RuntimeError):
    """The process of an `IsolatedRunner` ended by itself; the message holds its last lines."""


class IsolatedRunner:
    """Runs a model file in a fresh process; see `contract.Runner`. A context manager.

    Args:
        path: The .onnx or .pt file.
        threads: Number of threads that one call may use, at least 1.
        execution: How to execute it; None for the runtime that the file's suffix asks for.

    Raises:
        InputError: The file cannot be loaded by its runtime on this machine.
        WorkerCrashError: The process died while it loaded the file.
    """

    def __init__(self, path: Path, *, threads: int, execution: Execution | None = None) -> None:
        self._where = printable(str(path))
        execution = execution or Execution(runtime=runtime_of(path))
        self._process = subprocess.Popen(
            _command(path, threads, execution),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(os.environ, threads, execution),
        )
        self._stdin = _opened(self._process.stdin)
        self._stdout = _opened(self._process.stdout)
        self._stderr = _Tail(_opened(self._process.stderr))
        try:
            reply, _ = self._receive()
        except BaseException:
            self.close()
            raise
        self.feed = reply.feed or Feed()

    def __call__(self, batch: AnyArray) -> FloatArray:
        """Runs the model on float32 (N, 3, H, W); returns float32 logits (N, classes)."""
        _, logits = self._ask(Request(action=Action.RUN), self.feed(batch))
        if logits is None:
            raise WorkerCrashError(f"{self._where}: the worker answered without logits")
        return logits

    def warm_up(self, batch: AnyArray, repeats: int = 3) -> None:
        """Runs the model `repeats` times: allocations, caches and TorchScript's profiling."""
        self.time(batch, repeats)

    def time(self, batch: AnyArray, repeats: int) -> list[float]:
        """Seconds of each of `repeats` calls one after the other, measured inside the process.

        A model that takes pixels is timed from the pixels on, and any numbers will do.
        """
        request = Request(action=Action.TIME, repeats=repeats)
        reply, _ = self._ask(request, self.feed(batch, exact=False))
        return list(reply.seconds)

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
        # It owns nothing but memory, and it may be busy: killing it is safe and immediate.
        self._process.kill()
        self._process.wait()
        self._stderr.close()
        self._stdout.close()
        with suppress(BrokenPipeError):  # a half-written request that nobody will read
            self._stdin.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(
        self, request: Request, batch: AnyArray | None = None
    ) -> tuple[Reply, AnyArray | None]:
        if self._stdin.closed:
            raise ValueError(f"{self._where}: this runner is closed")
        try:
            send(self._stdin, request, batch)
            return self._receive()
        except InputError:
            raise
        except BrokenPipeError as exc:
            raise self._crash() from exc
        except BaseException:
            # Interrupted between request and reply: the next reply would answer this request.
            self.close()
            raise

    def _receive(self) -> tuple[Reply, AnyArray | None]:
        try:
            reply, array = receive(self._stdout, Reply)
        except EOFError as exc:
            raise self._crash() from exc
        if reply.input_error is not None:
            raise InputError(reply.input_error)
        return reply, array

    def _crash(self) -> WorkerCrashError:
        code = self._process.wait()
        self.close()
        cause = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        lines = self._stderr.lines()
        said = "\n".join(["; its last lines:", *lines]) if lines else "; it wrote no error"
        return WorkerCrashError(f"{self._where}: the process that runs it {cause}{hint}{said}")


class _Tail:
    """Reads a stream to its end in the background and keeps its last bytes.

    Without a reader the process would stop as soon as the pipe is full.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._kept = b""
        self._thread = Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self) -> None:
        while chunk := self._stream.read1(2**16):  # type: ignore[attr-defined]
            self._kept = (self._kept + chunk)[-_STDERR_KEPT_BYTES:]

    def lines(self) -> list[str]:
        """The last lines, made printable."""
        text = self._kept.decode("utf-8", "replace")
        return [printable(line) for line in text.splitlines()[-_STDERR_SHOWN_LINES:]]

    def close(self) -> None:
        """Waits for the end of the stream, which comes with the end of the process."""
        self._thread.join()
        self._stream.close()


def _command(path: Path, threads: int, execution: Execution) -> list[str]:
    # -P: a folder in which the caller happens to stand must not shadow a module.
    options = ["-P", "-X", "faulthandler", "-m", "eightbit.benchmarks.worker"]
    arguments = [str(path), str(threads), execution.model_dump_json()]
    return [*execution.command_prefix(), sys.executable, *options, *arguments]


def _environment(
    inherited: Mapping[str, str], threads: int, execution: Execution
) -> dict[str, str]:
    return {
        **with_short_spins(inherited),
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
        **execution.variables,
    }


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("Popen was asked for a pipe and gave none")
    return pipe
