"""A candidate's job in a process of its own, and what came of it."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass

import numpy as np

from eightbit.benchmarks.processes.process import with_short_spins
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.studies.peers.candidates.job import Job, Outcome, Work
from eightbit.benchmarks.studies.peers.candidates.worker import FAILURE, FEATURES, LOGITS, OUTCOME
from eightbit.models.plain_text import one_line

# NNCF reports its use over the network unless this is set: a benchmark tells nobody.
_WITHOUT_TELEMETRY = {"NNCF_CI": "1"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A candidate that gave logits.

    Attributes:
        outcome: Its own measurements.
        logits: float32, shape (N, classes), one row for each of `outcome.images`.
        features: What its classifier read: float32, shape (N, channels); None where that cannot
            be seen.
    """

    outcome: Outcome
    logits: FloatArray
    features: FloatArray | None = None


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A candidate that gave none.

    Attributes:
        reason: One line.
    """

    reason: str


def run(job: Job) -> Measured | Failed:
    """Run a job in a fresh process and read what it left; a failure is a value, for the table."""
    failed = run_module("eightbit.benchmarks.studies.peers.candidates.worker", job)
    if failed is not None:
        return failed
    outcome = Outcome.model_validate_json((job.folder / OUTCOME).read_bytes())
    features = job.folder / FEATURES
    return Measured(
        outcome=outcome,
        logits=np.load(job.folder / LOGITS),
        features=np.load(features) if features.is_file() else None,
    )


def run_module(module: str, work: Work) -> Failed | None:
    """Run a program of ours in a fresh process, with the path of a job as its argument."""
    work.folder.mkdir(parents=True)
    path = work.folder / "job.json"
    path.write_text(work.model_dump_json(), encoding="utf-8")
    # -P: a folder in which the caller happens to stand must not shadow a module.
    done = subprocess.run(
        [sys.executable, "-P", "-m", module, str(path)],
        env={**with_short_spins(os.environ), **_WITHOUT_TELEMETRY},
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    return Failed(reason=_reason(work, done.returncode, done.stderr)) if done.returncode else None


def _reason(work: Work, code: int, stderr: str) -> str:
    told = work.folder / FAILURE
    if told.is_file():
        return one_line(told.read_text(encoding="utf-8"))
    if code < 0:
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"its process was ended by {signal.Signals(-code).name}{hint}"
    last = next((line for line in reversed(stderr.splitlines()) if line.strip()), "no message")
    return one_line(f"exit code {code}: {last}")
