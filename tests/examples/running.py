"""How the tests run a program of examples/cpp."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eightbit.benchmarks.runtimes.runner import FloatArray


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run left behind.

    Attributes:
        code: Its exit code.
        out: What it printed.
        err: What it complained of.
        logits: float32, shape (classes,); None where it wrote none.
    """

    code: int
    out: str
    err: str
    logits: FloatArray | None

    @property
    def shown(self) -> list[str]:
        """The lines of the classes."""
        assert self.code == 0, self
        assert not self.err, self
        return self.out.splitlines()[1:]

    @property
    def refusal(self) -> str:
        """The one sentence of a refusal, without the program's name."""
        assert self.code == 2, self
        assert not self.out, self
        assert self.logits is None
        *others, line = self.err.splitlines()
        program, sentence = line.split(": ", 1)
        assert program.startswith("classify_")
        # OpenVINO's protobuf logs what it cannot parse before OpenVINO can say so.
        assert not others or program == "classify_openvino", self
        return sentence


def run(program: Path, *arguments: object, logits: Path | None = None) -> Outcome:
    """Run a program, with nothing in its environment: it has to find its libraries itself."""
    options = () if logits is None else ("--logits", logits)
    done = subprocess.run(
        [program, *map(str, (*arguments, *options))],
        capture_output=True,
        text=True,
        check=False,
        env={"TMPDIR": os.environ.get("TMPDIR", "/tmp")},
    )
    written = None
    if logits is not None and logits.is_file():
        written = np.fromfile(logits, dtype=np.float32)
    return Outcome(code=done.returncode, out=done.stdout, err=done.stderr, logits=written)
