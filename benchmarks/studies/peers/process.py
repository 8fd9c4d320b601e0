"""A candidate's job in a process of its own, and what came of it."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from eightbit.benchmarks.processes.process import with_short_spins
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.studies.peers.job import Job, Outcome
from eightbit.benchmarks.studies.peers.worker import FAILURE, LOGITS, OUTCOME
from eightbit.models.plain_text import one_line

# NNCF reports its use over the network unless this is set: a benchmark tells nobody.
_WITHOUT_TELEMETRY = {"NNCF_CI": "1"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A candidate that gave logits.

    Attributes:
        outcome: Its own measurements.
        logits: float32, shape (N, classes), one row for each of `outcome.images`.
    """

    outcome: Outcome
    logits: FloatArray


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A candidate that gave none.

    Attributes:
        reason: One line.
    """

    reason: str


def run(job: Job) -> Measured | Failed:
    """Run a job in a fresh process and read what it left; a failure is a value, for the table."""
    job.folder.mkdir()
    path = job.folder / "job.json"
    path.write_text(job.model_dump_json(), encoding="utf-8")
    # -P: a folder in which the caller happens to stand must not shadow a module.
    command = [sys.executable, "-P", "-m", "eightbit.benchmarks.studies.peers.worker", str(path)]
    done = subprocess.run(
        command,
        env={**with_short_spins(os.environ), **_WITHOUT_TELEMETRY},
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    if done.returncode:
        return Failed(reason=_reason(job, done.returncode, done.stderr))
    outcome = Outcome.model_validate_json((job.folder / OUTCOME).read_bytes())
    return Measured(outcome=outcome, logits=np.load(job.folder / LOGITS))


def _reason(job: Job, code: int, stderr: str) -> str:
    told = job.folder / FAILURE
    if told.is_file():
        return one_line(told.read_text(encoding="utf-8"))
    if code < 0:
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{hint}"
    last = next((line for line in reversed(stderr.splitlines()) if line.strip()), "no message")
    return one_line(f"exit code {code}: {last}")
