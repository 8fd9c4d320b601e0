"""Child processes that end with the process that started them, however that ends."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

from eightbit.benchmarks.processes import leash


def run_leashed(
    command: Sequence[str], *, folder: Path | None = None, timeout_s: float | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program, by its absolute path, to its end, with its output; nothing to read.

    It and all that it started end when this call ends early or this process dies.

    Raises:
        subprocess.TimeoutExpired: It took longer.
    """
    launched = [sys.executable, "-I", "-S", str(Path(leash.__file__)), *command]
    with ExitStack() as stack:
        theirs, ours = os.pipe()
        stack.callback(os.close, ours)
        try:
            process = subprocess.Popen(
                launched, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder
            )
        finally:
            os.close(theirs)
        with process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired as exc:
                stack.close()
                raise subprocess.TimeoutExpired(list(command), exc.timeout) from exc
            except BaseException:
                stack.close()  # at which the leash ends what it holds
                raise
    return subprocess.CompletedProcess(list(command), process.returncode, out, err)


def end_with_starter() -> None:
    """Have this process end once the other end of its standard input is closed.

    To be called before anything is read. A worker sees the end of its input as well, but only when
    it reads again: a call of its model may take minutes.
    """
    Thread(target=_end_after, args=(os.dup(0),), daemon=True).start()


def _end_after(starter: int) -> None:
    hang_up = select.poll()
    hang_up.register(starter, 0)  # what is always told: that the other end is closed
    hang_up.poll()
    os.kill(os.getpid(), signal.SIGKILL)
