"""A command in a process that dies: after its n-th change on the disk, or when it is told to."""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from eightbit.quantize import atomic_files
from eightbit.quantize.cli import entry

# What changes something on the disk, or waits for it. Files are written by one of the last two.
_STEPS = (
    *((os, name) for name in ("rename", "replace", "link", "mkdir", "rmdir", "unlink", "fsync")),
    *((Path, name) for name in ("write_bytes", "write_text")),
    (atomic_files, "exchange"),
)


@dataclass(frozen=True)
class Ended:
    """How the process ended: by the kill, or by itself with so many steps taken."""

    killed: bool
    code: int
    steps: int
    seconds: float


def run(
    command: Sequence[object],
    temporary: Path,
    *,
    after_step: int | None = None,
    after_s: float | None = None,
) -> Ended:
    """Run a command line in a fork of this process, and kill it after a step or some seconds.

    A fork has everything imported; it runs alone, since this process has a single thread to
    compute with. Its temporary files lie in ``temporary``.
    """
    start = time.monotonic()
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child([str(word) for word in command], temporary, tell, after_step)
    os.close(tell)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(pid, signal.SIGKILL)
    with os.fdopen(told) as file:
        steps = len(file.read())
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return Ended(code == -signal.SIGKILL, code, steps, time.monotonic() - start)


def _child(command: list[str], temporary: Path, tell: int, after_step: int | None) -> None:
    code = 99
    try:
        null = os.open(os.devnull, os.O_RDWR)
        log = os.open(temporary.parent / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        sys.argv = ["eightbit", *command]
        os.environ["TMPDIR"] = str(temporary)
        tempfile.tempdir = None
        torch.set_num_threads(1)
        _count_steps(tell, after_step)
        code = entry.main(command)
        sys.stderr.flush()
    finally:
        os._exit(code)


def _count_steps(tell: int, after_step: int | None) -> None:
    taken = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal taken
            result = function(*arguments, **options)
            taken += 1
            os.write(tell, b".")
            if taken == after_step:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return step

    for where, name in _STEPS:
        setattr(where, name, counted(getattr(where, name)))
