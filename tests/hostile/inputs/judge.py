"""What a bad input may come to: one line that says what is wrong, exit code 2, and nothing else."""

import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

ROOT: Final = Path(__file__).resolve().parents[3]
MOST_CHARACTERS: Final = 500
MOST_SECONDS: Final = 180


@dataclass(frozen=True, kw_only=True)
class Bad:
    """A command line with a bad input.

    Attributes:
        arguments: Of the program.
        decoy: Part of the refusal that comes where the damage did not matter; empty where it always
            does. Such an input, and one that is answered with exit code 0, is not counted.
    """

    arguments: tuple[str, ...]
    decoy: str = ""
    harmless: bool = False


class Program:
    """The program in a process of its own; a context manager. A process that died is replaced."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._process = self._started()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, arguments: tuple[str, ...], folder: Path) -> dict[str, Any]:
        """What it came to: code, out, err, trace."""
        job = json.dumps({"arguments": arguments, "folder": str(folder)})
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(job + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], MOST_SECONDS)
        line = self._process.stdout.readline() if ready else ""
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        how = "hung" if not ready else f"ended with {self._process.wait()}"
        self._end()
        self._process = self._started()
        return {"code": None, "out": "", "err": "", "trace": f"its process {how}"}

    def _started(self) -> subprocess.Popen[str]:
        paths = (str(ROOT), str(ROOT / "tests" / "typing_root"), os.environ.get("PYTHONPATH", ""))
        scratch = self._home / "tmp"
        scratch.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.inputs.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "TMPDIR": str(scratch),
                "XDG_CACHE_HOME": str(self._home / "cache"),
                "EIGHTBIT_TIMEOUT_S": "60",
                "OMP_NUM_THREADS": "1",
            },
        )

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


def everything(folder: Path) -> dict[str, object]:
    """Names, sizes and times of all that lies below a folder."""
    found: dict[str, object] = {}
    for parent, _, names in os.walk(folder):
        found[parent] = None
        for name in names:
            if name == ".ses":  # ONNX Runtime's own, where temporary files go
                continue
            path = os.path.join(parent, name)
            status = os.lstat(path)
            found[path] = (status.st_size, status.st_mtime_ns)
    return found


def complaints(answer: dict[str, Any], bad: Bad) -> list[str]:
    """What is wrong with how the program took an input."""
    if answer["trace"]:
        return [f"a traceback: {answer['trace'][-1500:]}"]
    found = []
    if answer["code"] not in (0, 2):
        found.append(f"exit code {answer['code']}")
    if not all(char.isprintable() or char == "\n" for char in answer["out"]):
        found.append("characters on stdout that are not printable")
    if answer["code"] == 0 and not bad.harmless:
        found.append("exit code 0")
    if answer["code"] != 2:
        return found
    lines = answer["err"].splitlines()
    if len(lines) != 1 or not lines[0].startswith("eightbit: "):
        found.append(f"{len(lines)} lines on stderr")
    if not all(line.isprintable() for line in lines):
        found.append("characters on stderr that are not printable")
    if any(len(line) >= MOST_CHARACTERS for line in lines):
        found.append(f"a line of {max(map(len, lines))} characters")
    return found


def is_refusal(answer: dict[str, Any], bad: Bad) -> bool:
    """Whether it was the damage that was refused."""
    return answer["code"] == 2 and not (bad.decoy and bad.decoy in answer["err"])
