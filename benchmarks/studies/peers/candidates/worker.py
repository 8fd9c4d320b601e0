"""The process of one candidate: loads, quantizes, measures itself, and gives its logits.

Usage: python -P -m eightbit.benchmarks.studies.peers.candidates.worker JOB.json

What a candidate needs is imported only in its own process, so that its peak memory is its own.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from eightbit.benchmarks.processes.process import peak_rss_bytes
from eightbit.benchmarks.studies.peers.candidates.job import (
    Candidate,
    Job,
    Outcome,
    Work,
    evaluation_batches,
)
from eightbit.models.errors import InputError

if TYPE_CHECKING:
    from eightbit.benchmarks.studies.peers.candidates.answers import Answers

LOGITS = "logits.npy"
FEATURES = "features.npy"
OUTCOME = "outcome.json"
FAILURE = "failure.txt"

_BATCH = 32


def work(job: Job) -> None:
    """Run a job and leave its outcome in its folder."""
    quantize = LOADERS[job.candidate](job)
    start = time.perf_counter()
    quantized = quantize()
    seconds = time.perf_counter() - start
    peak = peak_rss_bytes()
    answers = _answers(quantized, job) if isinstance(quantized, Path) else quantized
    names: list[str] = []
    logits, features = [], []
    for batch in evaluation_batches(job, _BATCH):
        names += batch.names
        answered, read = answers(batch.pixels)
        logits.append(answered)
        if read is not None:
            features.append(read.reshape(len(read), -1))
    if not logits:
        raise InputError(f"{job.evaluate}: expected a usable image, found none")
    np.save(job.folder / LOGITS, np.concatenate(logits))
    if features:
        np.save(job.folder / FEATURES, np.concatenate(features))
    outcome = Outcome(seconds=seconds, peak_rss_bytes=peak, images=tuple(names))
    (job.folder / OUTCOME).write_text(outcome.model_dump_json(), encoding="utf-8")


def _answers(path: Path, job: Job) -> "Answers":
    from eightbit.benchmarks.studies.peers.candidates.answers import open_answers

    return open_answers(path, job.threads, job.folder, as_written=job.as_written)


def _artifact(job: Job) -> Callable[[], Path]:
    path = job.file
    if path is None:
        raise InputError("expected a quantized file, found none")
    return lambda: path


def _float(job: Job) -> "Callable[[], Answers]":
    from eightbit.benchmarks.studies.peers.candidates.by_torch import load_float

    return load_float(job)


def _fx(job: Job) -> "Callable[[], Answers]":
    from eightbit.benchmarks.studies.peers.candidates.by_torch import load_fx

    return load_fx(job)


def _onnxruntime(job: Job) -> Callable[[], Path]:
    from eightbit.benchmarks.studies.peers.candidates.by_onnxruntime import load_onnxruntime

    return load_onnxruntime(job)


def _nncf(job: Job) -> Callable[[], Path]:
    from eightbit.benchmarks.studies.peers.candidates.by_nncf import load_nncf

    return load_nncf(job)


@contextmanager
def tell(work: Work) -> Iterator[None]:
    """Leave what goes wrong in a block in the folder of a job, in one line."""
    try:
        yield
    except Exception as exc:
        first = next(iter(str(exc).strip().splitlines()), "")
        said = first if isinstance(exc, InputError) else f"{type(exc).__name__}: {first}"
        (work.folder / FAILURE).write_text(said, encoding="utf-8", errors="backslashreplace")
        raise


def main(path: Path) -> None:
    """Run the job of a file; what goes wrong is told in one line beside it, and by the exit."""
    job = Job.model_validate_json(path.read_bytes())
    with tell(job):
        work(job)


# Each loads the float model and returns what quantizes it: to a file, or to a network in memory.
LOADERS: Final[dict[Candidate, Callable[[Job], "Callable[[], Path | Answers]"]]] = {
    Candidate.FLOAT: _float,
    Candidate.ARTIFACT: _artifact,
    Candidate.FX_X86: _fx,
    Candidate.FX_ONEDNN: _fx,
    Candidate.FX_FBGEMM: _fx,
    Candidate.ORT_MINMAX: _onnxruntime,
    Candidate.ORT_PERCENTILE: _onnxruntime,
    Candidate.ORT_ENTROPY: _onnxruntime,
    Candidate.NNCF: _nncf,
    Candidate.NNCF_MIXED_MINMAX: _nncf,
}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
