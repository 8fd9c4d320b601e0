"""The program and its table, with synthetic logits; `test_peers_worker` runs real peers."""

from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from eightbit.benchmarks.studies.peers import study
from eightbit.benchmarks.studies.peers.job import PEERS, Candidate, Job, Outcome
from eightbit.benchmarks.studies.peers.process import Failed, Measured
from eightbit.benchmarks.studies.peers.study import (
    Comparison,
    compare,
    parse_network,
    quantizing_seconds,
)
from eightbit.benchmarks.studies.peers.table import FailedRow, Reference, line, section
from eightbit.models import ModelSpec
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture

CLASSES = 10
NAMES = tuple(f"{index % CLASSES}/{index}.png" for index in range(40))
LABELS = {name: int(name[0]) for name in NAMES}
FLOAT_LOGITS = np.eye(CLASSES, dtype=np.float32)[[LABELS[name] for name in NAMES]] * 8


def measured(logits: np.ndarray, *, images: tuple[str, ...] = NAMES) -> Measured:
    outcome = Outcome(seconds=2.0, peak_rss_bytes=300 * 2**20, images=images)
    return Measured(outcome=outcome, logits=logits.astype(np.float32))


def off_by(noise: float, *, wrong: int = 0) -> Measured:
    """The float logits with noise in every logit and the class of some images changed."""
    logits = FLOAT_LOGITS + noise
    logits[:wrong] = np.roll(logits[:wrong], 1, axis=1)
    return measured(logits)


@pytest.fixture
def reference() -> Reference:
    return Reference(measured=measured(FLOAT_LOGITS), labels=LABELS)


def test_a_row_has_every_measure_with_its_unit(reference):
    row = reference.row("someone", off_by(0.08, wrong=2), ours=False)
    # Two of 40 broke and none was fixed; the interval is `drop_interval_pp`'s, tested there.
    cells = line(row).strip("| ").split(" | ")
    assert cells[:3] == ["someone", "95.00%", "+5.00 pp (-4.20 to +16.50)"]
    assert cells[3] == "95.00%"
    # Noise 0.08 in ten logits against a signal of 8 in one: 64 / 0.064 is 30 dB.
    assert cells[5] == "30.0 dB"
    assert cells[-2:] == ["2.0 s", "300 MiB"]


def test_a_failure_is_a_row_of_the_same_width_that_says_so(reference):
    failed = line(reference.row("someone", Failed(reason="MemoryError: 4|2 GiB"), ours=False))
    assert failed.startswith(r"| someone | failed: MemoryError: 4\|2 GiB |")
    fine = line(reference.row("someone", off_by(0.1), ours=False))
    assert failed.replace(r"\|", "").count("|") == fine.count("|")


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (measured(np.full_like(FLOAT_LOGITS, np.nan)), "finite"),
        (measured(FLOAT_LOGITS[:, :3]), "classes"),
        (measured(FLOAT_LOGITS, images=NAMES[::-1]), "same images"),
    ],
    ids=["NaN", "other classes", "other images"],
)
def test_logits_that_cannot_be_compared_are_a_failure(candidate, reason, reference):
    row = reference.row("someone", candidate, ours=False)
    assert isinstance(row, FailedRow)
    assert reason in row.reason


def test_the_best_peer_is_named_for_each_measure_with_its_difference(reference):
    rows = [
        reference.row("eightbit (ONNX)", off_by(0.008), ours=True),
        FailedRow(label="a crash", reason="crashed"),
        reference.row("noisy", off_by(0.8), ours=False),
        reference.row("precise but wrong", off_by(0.08, wrong=1), ours=False),
    ]
    text = "\n".join(section("some network", reference, rows))
    assert "float32: top-1 100.00% on 40 images." in text
    assert "Best peer by agreement: noisy, 100.00 %; ours, best (eightbit (ONNX))" in text
    assert "Best peer by SQNR: precise but wrong, " in text
    assert text.index("eightbit (ONNX) |") < text.index("a crash")


def test_without_a_measured_peer_nothing_is_compared(reference):
    rows = [reference.row("eightbit", off_by(0.1), ours=True)]
    assert "Nothing to compare" in "\n".join(section("some network", reference, rows))


@pytest.mark.parametrize(
    "text", ["resnet18", "resnet18:w.pth", "resnet18:w.pth:", "resnet17:w.pth:32", "resnet18::32"]
)
def test_what_is_no_network_is_refused(text):
    with pytest.raises(InputError, match="ARCHITECTURE:WEIGHTS:SIDE"):
        parse_network(text)


def test_a_path_of_weights_may_hold_colons():
    network = parse_network("resnet18:some:where/w.pth:64")
    assert (network.weights, network.side) == (Path("some:where/w.pth"), "64")


def test_our_seconds_hold_what_quantizes_and_not_what_proves_and_measures(full_report):
    timings = {
        "load weights": 1.0,
        "fuse": 2.0,
        "calibrate": 4.0,
        "a stage that is new": 8.0,
        "export float ONNX": 16.0,
        "audit": 32.0,
        "load artefacts": 64.0,
        "verify": 128.0,
        "evaluate": 256.0,
        "latency, 2 threads, batch 1": 512.0,
    }
    assert quantizing_seconds(full_report.model_copy(update={"timings_s": timings})) == 30.0


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    return Comparison(
        calibrate=tmp_path / "c", evaluate=tmp_path / "e", samples=8, limit=None, ours=("", "--x 1")
    )


@pytest.fixture
def jobs(monkeypatch, full_report, tmp_path) -> list[Job]:
    """Replace everything that costs time; collects the jobs that would have run."""
    seen: list[Job] = []

    def fake_job(network, comparison, folder):
        return Job(
            candidate=Candidate.FLOAT,
            spec=ModelSpec(architecture=Architecture.RESNET18, num_classes=CLASSES),
            weights=network.weights,
            file=None,
            calibrate=comparison.calibrate,
            evaluate=comparison.evaluate,
            samples=comparison.samples,
            limit=comparison.limit,
            threads=1,
            folder=folder / "float",
        )

    def fake_run(job):
        seen.append(job)
        if job.candidate is Candidate.FLOAT:
            return measured(FLOAT_LOGITS)
        return Failed(reason="no such") if job.candidate is Candidate.NNCF else off_by(0.1)

    def fake_quantize(arguments, out):
        if "--x" in arguments:
            raise RuntimeError("eightbit quantize resnet18: exit code 2")
        out.mkdir()
        (out / "model.int8.onnx").touch()
        return full_report

    monkeypatch.setattr(study, "_job", fake_job)
    monkeypatch.setattr(study, "_labels", lambda *_: LABELS)
    monkeypatch.setattr(study, "run", fake_run)
    monkeypatch.setattr(study, "quantize", fake_quantize)
    return seen


def test_every_peer_and_each_of_our_runs_is_a_row_whatever_happens(comparison, jobs, tmp_path):
    lines = list(compare(parse_network("resnet18:w.pth:64"), comparison, tmp_path))
    rows = [line.strip("| ").split(" | ")[0] for line in lines if line.startswith("| ")][1:]
    ours = ["eightbit (ONNX)", "eightbit --x 1"]
    assert rows == [*ours, *(peer.value for peer in PEERS)]
    failed = [line for line in lines if "failed:" in line]
    assert "exit code 2" in failed[0]
    assert "no such" in failed[1]
    (our_line,) = (line for line in lines if line.startswith("| eightbit (ONNX)"))
    assert our_line.endswith("| 8.8 s | 1,177 MiB |")  # those of the report, not of the worker
    assert {job.file for job in jobs if job.candidate in PEERS} == {
        tmp_path / "ours-0" / "model.fp32.onnx"
    }
    assert len({job.folder for job in jobs}) == len(jobs)


def test_without_float_logits_there_is_no_table(comparison, jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "run", lambda job: Failed(reason="no memory"))
    with pytest.raises(InputError, match="no memory"):
        list(compare(parse_network("resnet18:w.pth:64"), comparison, tmp_path))


@pytest.mark.usefixtures("jobs")
def test_the_file_begins_with_the_command_that_makes_it_and_the_machine(tmp_path):
    app = typer.Typer()
    app.command()(study.main)
    out = tmp_path / "table.md"
    arguments = ["--calibrate", "/some/c.tar", "--evaluate", "/some/e.tar", "--out", str(out)]
    arguments += ["--limit", "40", "--ours", "", "--ours", "--method mse", "resnet18:/w/r18.pth:64"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    text = out.read_text()
    assert (
        "`python -m eightbit.benchmarks.studies.peers --calibrate c.tar --evaluate e.tar "
        "--out FILE.md --samples 256 --limit 40 --ours '' --ours '--method mse' "
        "resnet18:r18.pth:64`"
    ) in text
    assert "torch 2" in text
    assert "/some" not in text
    assert "## r18, 64 px" in text
