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
