"""One network measured, in float, by us and by the peers, as far as it was not before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.formats import ONNX, Precision
from eightbit.benchmarks.artifact.metadata import file_sha256
from eightbit.benchmarks.runtimes.environment import usable_cores
from eightbit.benchmarks.studies.peers.candidates.job import (
    PEERS,
    Candidate,
    Job,
    Outcome,
    OwnJob,
    OwnOutcome,
)
from eightbit.benchmarks.studies.peers.candidates.process import Failed, Measured, run, run_module
from eightbit.benchmarks.studies.peers.candidates.worker import OUTCOME
from eightbit.benchmarks.studies.peers.reference import Reference
from eightbit.benchmarks.studies.peers.results import FailedRow, Results, Row, Setting
from eightbit.benchmarks.studies.peers.runs import (
    PLAIN,
    Options,
    Part,
    Trial,
    label_of,
    trials,
)
from eightbit.benchmarks.studies.peers.subjects import Subject
from eightbit.benchmarks.studies.peers.table import line
from eightbit.models.errors import InputError

# A program: this room does not know who quantizes.
_OURS: Final = "eightbit.quantize.studies.recipes"


@dataclass(frozen=True, kw_only=True)
class Study:
    """What all networks are studied for.

    Attributes:
        parts: Of the study.
        samples: Calibration images, where their number is not what is studied.
        limit: At most so many evaluation images; None for all.
        further: Runs of ours beside the default one and the peers.
        results: What was measured, and will be.
        as_written: As in `job.Job`.
    """

    parts: Sequence[Part]
    samples: int
    limit: int | None
    further: Sequence[Options]
    results: Results
    as_written: bool = False

    def trials(self, side: int) -> Iterator[Trial]:
        """What is done to a network with an input of so many pixels."""
        for part in self.parts:
            yield from trials(part, side, self.samples, self.limit, self.further)


def measure(subject: Subject, study: Study, folder: Path) -> None:
    """Measure a network, and keep every result as soon as it is there.

    Args:
        subject: Which.
        study: For what.
        folder: For everything that is written on the way.

    Raises:
        InputError: The network or the images cannot be used, so that there is no reference.
    """
    references = _References(subject, folder)
    side, _ = subject.spec.preprocessing.crop_size  # subjects are of square images
    for number, trial in enumerate(study.trials(side)):
        _Bench(subject, trial, study, references, folder / f"trial-{number}").measure()


def _job(subject: Subject, trial: Trial, folder: Path) -> Job:
    """The job of the reference; every other one is a copy with another candidate."""
    size = {"resize": trial.side, "crop": trial.side}
    preprocessing = subject.spec.preprocessing.model_copy(update=size)
    return Job(
        candidate=Candidate.FLOAT,
        spec=subject.spec.model_copy(update={"preprocessing": preprocessing}),
        structure=subject.structure,
        weights=subject.weights,
        file=None,
        calibrate=subject.calibrate,
        evaluate=subject.evaluate,
        samples=trial.samples,
        limit=trial.limit,
        threads=usable_cores(),
        folder=folder,
    )


class _References:
    """The float network's answers, computed once for each size and number of images."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self._subject, self._folder = subject, folder
        self._found: dict[tuple[int, int | None], Reference] = {}

    def of(self, trial: Trial) -> Reference:
        """What a trial's rows are compared with.

        Raises:
            InputError: The network or the images cannot be used.
        """
        key = (trial.side, trial.limit)
        if key not in self._found:
            folder = self._folder / f"float-{len(self._found)}"
            measured = run(_job(self._subject, trial, folder))
            if isinstance(measured, Failed):
                raise InputError(f"{self._subject.name}: float32 network: {measured.reason}")
            self._found[key] = Reference(measured=measured, labels=self._subject.labels())
        return self._found[key]


class _Bench:
    """One trial of one network."""

    def __init__(
        self,
        subject: Subject,
        trial: Trial,
        study: Study,
        references: _References,
        folder: Path,
    ) -> None:
        self._trial, self._results, self._references = trial, study.results, references
        base = _job(subject, trial, folder)
        self._base = base.model_copy(update={"as_written": study.as_written})
        calibrate, evaluate = subject.source
        self._setting = Setting(
            network=subject.name,
            weights_sha256=file_sha256(subject.weights),
            side=trial.side,
            samples=trial.samples,
            calibrate=calibrate,
            evaluate=evaluate,
            limit=trial.limit,
            as_written=study.as_written,
        )

    def measure(self) -> None:
        """Measure what is missing."""
        for number, group in enumerate(self._trial.runs):
            missing = [one for one in group if not self._has(label_of(one), ours=True)]
            if missing:
                for row in self._own_rows(missing, f"ours-{number}"):
                    self._keep(row)
        peers = [one for one in PEERS if not self._has(one.value, ours=False)]
        if self._trial.peers and peers:
            for row in self._peer_rows(peers):
                self._keep(row)

    def _has(self, label: str, *, ours: bool) -> bool:
        return self._results.has(self._setting, label, ours=ours)

    def _keep(self, row: Row | FailedRow) -> None:
        self._results.add(self._setting, row)
        print(line(row), flush=True)

    def _own_rows(self, runs: Sequence[Options], name: str) -> Iterator[Row | FailedRow]:
        reference = self._references.of(self._trial)
        folder = self._base.folder / name
        failed = self._quantize(runs, folder)
        for number, options in enumerate(runs):
            label, own = label_of(options), folder / str(number)
            measured: Measured | Failed
            if (own / OUTCOME).is_file():
                measured = self._artefact(own)
            else:
                measured = failed or Failed(reason="it left no model")
            yield reference.row(label, measured, ours=True)

    def _quantize(self, runs: Sequence[Options], folder: Path) -> Failed | None:
        """Let our program run; what it wrote before it failed stays."""
        job = OwnJob(
            spec=self._base.spec,
            structure=self._base.structure,
            weights=self._base.weights,
            calibrate=self._base.calibrate,
            samples=self._base.samples,
            threads=self._base.threads,
            folder=folder,
            runs={str(number): dict(options) for number, options in enumerate(runs)},
        )
        return run_module(_OURS, job)

    def _artefact(self, own: Path) -> Measured | Failed:
        """An artefact's answers are measured like everybody's, its cost by who made it."""
        update = {"candidate": Candidate.ARTIFACT, "file": own / ONNX.file()}
        measured = run(self._base.model_copy(update={**update, "folder": own / "measured"}))
        if isinstance(measured, Failed):
            return measured
        cost = OwnOutcome.model_validate_json((own / OUTCOME).read_bytes())
        outcome = Outcome(
            seconds=cost.seconds,
            peak_rss_bytes=cost.peak_rss_bytes,
            images=measured.outcome.images,
        )
        return Measured(outcome=outcome, logits=measured.logits, features=measured.features)

    def _peer_rows(self, peers: Sequence[Candidate]) -> Iterator[Row | FailedRow]:
        # The float ONNX model is the same whatever is chosen: that of the fastest run.
        folder = self._base.folder / "float-onnx"
        self._quantize([PLAIN], folder)
        file = folder / "0" / ONNX.file(Precision.FP32)
        reference = self._references.of(self._trial)
        for peer in peers:
            update = {"candidate": peer, "file": file, "folder": self._base.folder / peer.name}
            yield reference.row(peer.value, run(self._base.model_copy(update=update)), ours=False)
