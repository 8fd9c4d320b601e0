"""A fresh interpreter that runs one of our modules and talks over two pipes.

It is neither a fork nor `multiprocessing`, so that a caller's script needs no main guard.
"""

import os
import re
import resource
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import IO, Final, Self

from eightbit.benchmarks.artifact.trust import trust_variables
from eightbit.benchmarks.processes.patience import VARIABLE, Patience
from eightbit.models.plain_text import one_line, printable


class Closing(ABC):
    """Closed at the end of a `with` block, however that ends."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of what is held; may be called again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


# How long torch's threads wait in a loop for each other before they sleep.
#
# torch's CPU build brings GNU's OpenMP, whose threads spin for milliseconds at every barrier. Where
# something else runs on one of the cores, each layer waits for a thread that has no core to run on
# while the other one burns its own. Calibrating ResNet-50 on 32 images of 224 px, three passes
# each: with one of two cores busy 37.6 to 38.0 s by default, 5.2 to 8.2 s with a short spin; with
# little else running 2.1 to 2.6 s with a short spin, 2.3 s for the only undisturbed pass by
# default.
_SPINS: Final = {"GOMP_SPINCOUNT": "10000"}


def with_short_spins(environment: Mapping[str, str]) -> dict[str, str]:
    """Environment variables under which OpenMP's threads soon give their core away.

    What the user set is kept. libgomp reads them when torch is imported.
    """
    return {**_SPINS, **environment}


# The runtimes are told their threads directly too; these reach the libraries beneath them.
THREAD_VARIABLES: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_STDERR_KEPT_BYTES: Final = 16 * 2**10
_STDERR_SHOWN_LINES: Final = 15


class WorkerCrashError(RuntimeError):
    """The process of a worker ended unasked; the message has how, and the last lines it wrote.

    Attributes:
        in_short: The message in one line.
        todo: What may help.
    """

    def __init__(
        self,
        ended: str,
        lines: Sequence[str] = (),
        *,
        in_short: str | None = None,
        todo: str = "if memory ran out, make room or give fewer --threads",
    ) -> None:
        super().__init__("\n".join([f"{ended}; its last lines:", *lines]) if lines else ended)
        self.in_short = ended if in_short is None else in_short
        self.todo = todo


class WorkerProcess:
    """The process of a worker, seen from its parent. It ends when its standard input does.

    Attributes:
        patience: With which its answers are awaited.

    Args:
        module: What it runs.
        arguments: Of the module.
        where: The model or file it works on, for messages.
        threads: Of the libraries beneath the runtimes.
        variables: Added to its environment.
        prefix: What stands before the interpreter on its command line.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        where: str,
        threads: int,
        variables: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self._where = where
        # -P: a folder in which the caller happens to stand must not shadow a module.
        options = ["-P", "-X", "faulthandler", "-m", module]
        self._process = subprocess.Popen(
            [*prefix, sys.executable, *options, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={
                **with_short_spins(os.environ),
                **dict.fromkeys(THREAD_VARIABLES, str(threads)),
                **trust_variables(),
                **(variables or {}),
            },
        )
        self.stdin = _opened(self._process.stdin)
        self.stdout = _opened(self._process.stdout)
        self._stderr = _Tail(_opened(self._process.stderr))
        self.pid = self._process.pid
        self.patience = Patience(self._process)

    def crash(self) -> WorkerCrashError:
        """Waits for the end of a process that hung up, and says how it ended."""
        code = self._process.wait()
        self.close()
        if self.patience.spent_s is not None:
            return WorkerCrashError(
                f"{self._where}: the process that runs it gave no answer within "
                f"{self.patience.spent_s:,.0f} s and was ended",
                todo=f"give {VARIABLE}=SECONDS if it needs longer",
            )
        cause = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        lines = self._stderr.lines()
        ended = f"{self._where}: the process that runs it {cause}{hint}"
        if not lines:
            return WorkerCrashError(f"{ended}; it wrote no error", in_short=ended)
        # An exception's last line says what it was; those after a signal list modules.
        in_short = ended if code < 0 else f"{ended}: {one_line(lines[-1])}"
        return WorkerCrashError(ended, lines, in_short=in_short)

    def kill(self) -> None:
        """Ends the process; whoever reads its answers comes to their end."""
        # It owns nothing but memory, and it may be busy: killing it is safe and immediate.
        self._process.kill()

    def close(self) -> None:
        """Ends the process and waits for its end; may be called again."""
        self.kill()
        self._process.wait()
        self._stderr.close()
        self.stdout.close()
        with suppress(BrokenPipeError):  # a half-written request that nobody will read
            self.stdin.close()


class _Tail:
    """Keeps a stream's last bytes, read in the background: a full pipe would stop the process."""

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


def _opened(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("Popen was asked for a pipe and gave none")
    return pipe


def peak_rss_bytes() -> int:
    """Highest resident memory of this process so far, in bytes."""
    if sys.platform == "linux":
        # Not getrusage: Linux carries the parent's peak over into the new process there.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        if match := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
            return int(match[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def proportional_bytes(pid: int) -> int:
    """Resident memory of a process and its live children, shared pages counted once; Linux only."""
    total = 0
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        try:
            rollup = Path(f"/proc/{current}/smaps_rollup").read_text(encoding="ascii")
            for told in Path(f"/proc/{current}/task").glob("*/children"):
                waiting += [int(child) for child in told.read_text(encoding="ascii").split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if match := re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE):
            total += int(match[1]) * 1024
    return total
