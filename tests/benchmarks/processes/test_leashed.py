"""Child processes end with the process that started them, and so does what they started."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from eightbit.benchmarks.processes.leashed import run_leashed

PATIENCE_S = 60

# Starts one more process, says both numbers, and then waits for ever.
_FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".part", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""


def _python(program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", program, *map(str, arguments)]


def _family(told: Path) -> list[int]:
    deadline = time.monotonic() + PATIENCE_S
    while not told.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [int(pid) for pid in told.read_text().split()]


def _all_ended(pids: list[int]) -> bool:
    def ended(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if all(map(ended, pids)):
            return True
        time.sleep(0.02)
    return False


def test_a_program_runs_to_its_end_with_its_output(tmp_path):
    program = "import os, sys; print(os.getcwd()); print(repr(sys.stdin.read()), file=sys.stderr)"
    done = run_leashed(_python(program), folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{tmp_path}\n".encode(), b"''\n")


@pytest.mark.parametrize(
    ("ending", "code"),
    [("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV)],
)
def test_its_end_is_told_as_it_was(ending, code):
    assert run_leashed(_python(f"import os, signal, sys; {ending}")).returncode == code


def test_a_program_that_cannot_be_run_is_told_in_one_line(tmp_path):
    done = run_leashed([str(tmp_path / "none")])
    assert done.returncode == 127
    assert done.stderr.splitlines() == [
        f"[Errno 2] No such file or directory: '{tmp_path / 'none'}'".encode()
    ]


def test_one_that_takes_too_long_is_ended_with_all_it_started(tmp_path):
    command = _python(_FAMILY, tmp_path / "told")
    with pytest.raises(subprocess.TimeoutExpired) as found:
        run_leashed(command, timeout_s=3)
    assert found.value.cmd == command
    assert _all_ended(_family(tmp_path / "told"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_the_process_that_started_it(tmp_path, number):
    script = textwrap.dedent(
        """
        import sys
        from eightbit.benchmarks.processes.leashed import run_leashed

        run_leashed(sys.argv[1:])
        """
    )
    with subprocess.Popen(_python(script, *_python(_FAMILY, tmp_path / "told"))) as starter:
        family = _family(tmp_path / "told")
        os.kill(starter.pid, number)
    assert _all_ended(family)


def test_a_worker_ends_in_the_middle_of_a_call(tmp_path):
    """One that is busy does not read, and so does not see the end of its input."""
    program = textwrap.dedent(
        """
        import os, sys, time
        from eightbit.benchmarks.processes.channel import claim_standard_streams

        claim_standard_streams()
        open(sys.argv[1] + ".part", "w").write(str(os.getpid()))
        os.rename(sys.argv[1] + ".part", sys.argv[1])
        time.sleep(600)
        """
    )
    told = tmp_path / "told"
    with subprocess.Popen(
        _python(program, told), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as worker:
        _family(told)
        assert worker.stdin is not None
        worker.stdin.write(b"half a request")
        worker.stdin.close()
        assert worker.wait(PATIENCE_S) == -signal.SIGKILL
