"""Standard streams that are closed or full, and signals: one line, an exit code, nothing left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "eightbit"
LINE = "eightbit: standard output: cannot be written: No space left on device; send it elsewhere"


def _shell(line: str) -> tuple[int, list[str]]:
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_output_is_told_in_one_line() -> None:
    code, lines = _shell(f"{COMMAND} models >/dev/full")
    assert code == 2
    (line,) = lines
    assert line.startswith(LINE)


def test_a_closed_output_is_refused_before_the_work() -> None:
    code, (line,) = _shell(f"{COMMAND} models >&-")
    assert code == 2
    assert line.startswith("eightbit: standard output: expected it open, found it closed")


def test_nobody_who_reads_any_more_is_no_error() -> None:
    assert _shell(f"{{ {COMMAND} models; echo $? >&2; }} | true") == (0, ["141"])


@pytest.mark.parametrize("messages", ["2>&-", "2>/dev/full", "<&-"])
def test_what_cannot_be_said_does_not_stop_the_work(messages: str, tmp_path: Path) -> None:
    code, _ = _shell(f"{COMMAND} models {messages} >{tmp_path}/out")
    assert code == 0
    assert "resnet50" in (tmp_path / "out").read_text()
    assert _shell(f"{COMMAND} inspect nothing.onnx {messages} >/dev/null")[0] == 2


def _started(*arguments: object) -> subprocess.Popen[str]:
    typed = map(str, arguments)
    return subprocess.Popen(
        [COMMAND, *typed], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )


def _await_staging(folder: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob(".eightbit-*/new")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "numbers",
    [[signal.SIGHUP], [signal.SIGTERM, signal.SIGINT, signal.SIGTERM]],
    ids=lambda numbers: " ".join(number.name for number in numbers),
)
def test_a_signal_cleans_up_and_a_second_does_not_disturb_that(
    quick: tuple[object, ...], tmp_path: Path, numbers: list[signal.Signals]
) -> None:
    with _started(*quick, "--out", tmp_path / "deep" / "out") as process:
        _await_staging(tmp_path, process)
        for number in numbers:
            os.kill(process.pid, number)
        _, err = process.communicate(timeout=120)
    # Of several that wait for the same moment, the lowest number comes first.
    number = signal.Signals(process.returncode - 128)
    assert number in numbers
    assert err == f"eightbit: ended by {number.name}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_the_starter_ignores_is_ignored(
    quick: tuple[object, ...], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    typed = " ".join(map(str, (COMMAND, *quick, "--out", out)))
    with subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; exec {typed}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        _await_staging(tmp_path, process)
        os.kill(process.pid, signal.SIGHUP)
        time.sleep(1)
        assert process.poll() is None
        process.terminate()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert err == "eightbit: ended by SIGTERM\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "lost",
    [
        "class Last:\n    def __del__(self): wait()\n\ndef lose(): Last()",
        "def lose():\n    try: wait()\n    except: pass",
    ],
    ids=["a finaliser", "a bare except"],
)
def test_a_signal_is_not_lost_where_no_exception_comes_out(lost: str) -> None:
    program = f"""
import time
from eightbit.quantize.cli import entry

def wait():
    print("ready", flush=True)
    time.sleep(60)

{lost}

def app(**_):
    lose()
    time.sleep(60)

entry.app = app
entry.run()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (128 + signal.SIGTERM, "eightbit: ended by SIGTERM\n")
