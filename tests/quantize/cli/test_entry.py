"""What becomes of an error on its way out of the program."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from eightbit.benchmarks.processes.process import WorkerCrashError, WorkerProcess
from eightbit.quantize.cli import entry

Eightbit = Callable[..., Any]


def _crash(*arguments: str, kill: bool = False) -> WorkerCrashError:
    """How a real process ends that was given such arguments."""
    module = "eightbit.benchmarks.evaluation.worker"
    process = WorkerProcess(module, arguments, where="a.onnx", threads=1)
    if kill:
        os.kill(process.pid, signal.SIGKILL)
    return process.crash()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(36, "File name too long", "x" * 3000), "File name too long; check the path"),
        (OSError("no folder for fonts"), "a file: cannot be read or written: no folder for fonts"),
        (RuntimeError("a library: No space left on device (os error 28)"), "No space left on"),
        (MemoryError(), "memory ran out"),
    ],
    ids=["a path", "without a number", "a library's", "memory"],
)
def test_what_a_machine_refuses_is_one_short_line(
    eightbit: Eightbit, error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def app(**_: object) -> None:
        raise error

    monkeypatch.setattr(entry, "app", app)
    line = eightbit("models").error
    assert said in line
    assert len(line) < 500


def test_a_bug_is_a_traceback(eightbit: Eightbit, monkeypatch: pytest.MonkeyPatch) -> None:
    def app(**_: object) -> None:
        raise RuntimeError("expected")

    monkeypatch.setattr(entry, "app", app)
    with pytest.raises(RuntimeError, match="expected"):
        eightbit("models")


@pytest.mark.parametrize(
    ("crash", "said"),
    [
        (lambda: _crash("1", "{}", kill=True), "was ended by SIGKILL (out of memory?)"),
        (
            lambda: _crash("many"),
            "exited with 1: ValueError: invalid literal for int() with base 10: 'many'",
        ),
    ],
    ids=["killed", "an error"],
)
def test_a_process_that_dies_is_one_line_and_no_failed_gate(
    eightbit: Eightbit,
    crash: Callable[[], WorkerCrashError],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def app(**_: object) -> None:
        raise crash()

    monkeypatch.setattr(entry, "app", app)
    assert eightbit("benchmark").error == (
        f"eightbit: a.onnx: the process that runs it {said}; if memory ran out, make room or give "
        "fewer --threads"
    )
