"""What the study asks for, keeps and shows, with synthetic logits."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from eightbit.benchmarks.studies.peers import bench, results, study
from eightbit.benchmarks.studies.peers.bench import Study, measure
from eightbit.benchmarks.studies.peers.candidates.job import (
    PEERS,
    Candidate,
    Job,
    Outcome,
    OwnJob,
    OwnOutcome,
)
from eightbit.benchmarks.studies.peers.candidates.process import Failed, Measured
from eightbit.benchmarks.studies.peers.candidates.worker import OUTCOME
from eightbit.benchmarks.studies.peers.reference import Reference
from eightbit.benchmarks.studies.peers.results import FailedRow, Result, Results, Row, Setting
from eightbit.benchmarks.studies.peers.runs import (
    DEFAULT,
    METHODS,
    Part,
    label_of,
    parse_options,
    trials,
)
from eightbit.benchmarks.studies.peers.subjects import Subject
from eightbit.benchmarks.studies.peers.table import difference_interval_pp, document, line
from eightbit.models import ModelSpec, Preprocessing
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture

CLASSES = 10
NAMES = tuple(f"{index % CLASSES}/{index}.png" for index in range(40))
LABELS = {name: int(name[0]) for name in NAMES}
FLOAT_LOGITS = np.eye(CLASSES, dtype=np.float32)[[LABELS[name] for name in NAMES]] * 8
FEATURES = np.full((len(NAMES), 4), 2.0, np.float32)
SETTING = Setting(
    network="net",
    weights_sha256="0" * 64,
    side=64,
    samples=128,
    calibrate="c",
    evaluate="e",
    limit=None,
)


def measured(logits: np.ndarray, *, images: tuple[str, ...] = NAMES, error: float = 0) -> Measured:
    outcome = Outcome(seconds=2.0, peak_rss_bytes=300 * 2**20, images=images)
    return Measured(
        outcome=outcome, logits=logits.astype(np.float32), features=FEATURES + np.float32(error)
    )


def off_by(noise: float, *, wrong: int = 0) -> Measured:
    """The float answers with noise in each number and the class of some images changed."""
    logits = FLOAT_LOGITS + noise
    logits[:wrong] = np.roll(logits[:wrong], 1, axis=1)
    return measured(logits, error=noise)


@pytest.fixture
def reference() -> Reference:
    return Reference(measured=measured(FLOAT_LOGITS), labels=LABELS)


def test_a_row_has_every_measure_with_its_unit(reference):
    row = reference.row("someone", off_by(0.08, wrong=2), ours=False)
    # Two of 40 broke and none was fixed; the interval is `drop_interval_pp`'s, tested there.
    cells = line(row).strip("| ").split(" | ")
    assert cells[:3] == ["someone", "95.00%", "+5.00 pp (-4.20 to +16.50)"]
    assert cells[3] == "95.00% (83.5% to 98.6%)"  # Wilson's
    # Noise 0.08 in ten logits against a signal of 8 in one: 64 / 0.064 is 30 dB.
    assert cells[5] == "30.00 dB"
    # And in each feature against a signal of 2: 4 / 0.0064 is 28 dB.
    assert cells[6:8] == ["27.96 dB", "27.96 dB"]
    assert cells[-2:] == ["2.0 s", "300 MiB"]


def test_without_labels_there_is_agreement_and_no_accuracy():
    unlabelled = Reference(measured=measured(FLOAT_LOGITS), labels=None)
    cells = line(unlabelled.row("someone", off_by(0.08, wrong=2), ours=False)).split(" | ")
    assert cells[1:3] == ["-", "-"]
    assert cells[3].startswith("95.00%")


def test_a_failure_is_a_row_of_the_same_width_that_says_so(reference):
    failed = line(reference.row("someone", Failed(reason="MemoryError: 4|2 GiB"), ours=False))
    assert failed.startswith(r"| someone | failed: MemoryError: 4\|2 GiB |")
    fine = line(reference.row("someone", off_by(0.1), ours=False))
    assert failed.replace(r"\|", "").count("|") == fine.count("|")


@pytest.mark.parametrize(
    ("candidate", "reason"),
    [
        (measured(np.full_like(FLOAT_LOGITS, np.nan)), "finite"),
        (measured(FLOAT_LOGITS[:, :3]), "shapes"),
        (measured(FLOAT_LOGITS, images=NAMES[::-1]), "same images"),
    ],
    ids=["NaN", "other classes", "other images"],
)
def test_answers_that_cannot_be_compared_are_a_failure(candidate, reason, reference):
    row = reference.row("someone", candidate, ours=False)
    assert isinstance(row, FailedRow)
    assert reason in row.reason


def test_the_default_stands_beside_the_best_peer_of_each_measure(reference):
    rows = [
        reference.row("eightbit", off_by(0.008, wrong=2), ours=True),
        reference.row("eightbit --method mse", off_by(0.0008), ours=True),
        FailedRow(label="a crash", ours=False, reason="crashed"),
        reference.row("noisy", off_by(0.8), ours=False),
        reference.row("precise but wrong", off_by(0.08, wrong=1), ours=False),
    ]
    text = "\n".join(document([Result(setting=SETTING, version="1", row=row) for row in rows]))
    (summary,) = (line for line in text.splitlines() if line.startswith("| net |"))
    cells = summary.strip("| ").split(" | ")
    assert cells[:5] == ["net", "64", "128", "40", "50.00, 30.00, **+20.00 dB**"]
    # Two images are lost to the noisy one, which agrees on all.
    assert cells[6] == "95.00, 100.00, **-5.00 pp** (-16.50 to +4.20)"
    assert "- net, 64 px: precise but wrong (median image SQNR); precise but wrong (SQNR); " in text
    assert "noisy (agreement)" in text
    assert "float32: top-1 100.00% on 40 images." in text
    assert text.index("--method mse |") < text.index("a crash")


def test_the_interval_of_a_difference_is_that_of_the_same_images(reference):
    first = reference.row("one", off_by(0, wrong=2), ours=True)
    second = reference.row("two", off_by(0), ours=False)
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    low, high = difference_interval_pp(first, second)
    assert low < -5 < high
    assert difference_interval_pp(second, first) == pytest.approx((-high, -low))


def test_the_default_stands_beside_the_best_of_the_methods(reference):
    best, other = METHODS[5], METHODS[6]
    rows = [
        reference.row(label_of(DEFAULT), off_by(0.02), ours=True),
        reference.row(label_of(best), off_by(0.01), ours=True),
        reference.row(label_of(other), off_by(0.04), ours=True),
    ]
    text = "\n".join(document([Result(setting=SETTING, version="1", row=row) for row in rows]))
    assert "best single method" in text
    assert "42.04, 48.06, **-6.02 dB**" in text


def test_every_method_is_crossed_with_every_stage():
    (trial,) = trials(Part.METHODS, 64, 128, None, ())
    labels = {label_of(options) for group in trial.runs for options in group}
    assert len(labels) == 1 + 7 * 4
    assert "eightbit --method entropy --rounding gptq --bias-correction on" in labels


def test_few_images_and_large_ones_are_compared_with_plain_rounding():
    few = trials(Part.FEW, 64, 128, None, ())
    large = trials(Part.LARGE, 64, 128, None, ())
    assert [(trial.side, trial.samples) for trial in few] == [(64, 8), (64, 16), (64, 32)]
    assert [(trial.side, trial.samples) for trial in large] == [(320, 128), (448, 128)]
    plain = "eightbit --method minmax --rounding nearest --bias-correction off"
    assert {label_of(o) for trial in (*few, *large) for g in trial.runs for o in g} == {
        *("eightbit", plain)
    }


@pytest.mark.parametrize("text", ["--method", "method mse", "--method mse --rounding"])
def test_options_come_in_pairs(text):
    with pytest.raises(InputError, match="options with their values"):
        parse_options(text)


def test_what_was_measured_is_not_measured_again_unless_it_failed_or_changed(
    reference, tmp_path, monkeypatch
):
    path = tmp_path / "results.jsonl"
    found = Results(path)
    found.add(SETTING, reference.row("eightbit", off_by(0.1), ours=True))
    found.add(SETTING, reference.row("peer", off_by(0.1), ours=False))
    found.add(SETTING, FailedRow(label="broken", ours=False, reason="no memory"))
    again = Results(path)
    assert list(again) == list(found)
    assert again.has(SETTING, "eightbit", ours=True)
    assert not again.has(SETTING.model_copy(update={"samples": 8}), "eightbit", ours=True)
    assert not again.has(SETTING, "broken", ours=False)
    monkeypatch.setattr(results, "_OURS", ("calibration",))  # as after a change of the sources
    assert not again.has(SETTING, "eightbit", ours=True)
    assert again.has(SETTING, "peer", ours=False)
    again.add(SETTING, reference.row("eightbit", off_by(0.2), ours=True))
    assert len(list(Results(path))) == 3


def test_rows_of_several_versions_are_not_passed_off_as_one(reference):
    rows = [reference.row(label, off_by(0.1), ours=True) for label in ("eightbit", "eightbit 2")]
    mixed = [Result(setting=SETTING, version=v, row=r) for v, r in zip("12", rows, strict=True)]
    same = [Result(setting=SETTING, version="1", row=row) for row in rows]
    assert "several versions" in "\n".join(document(mixed))
    assert "several versions" not in "\n".join(document(same))


def test_a_damaged_line_is_refused_by_its_number(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text('{"setting": 3}\n')
    with pytest.raises(InputError, match=r"results\.jsonl:1: expected a result"):
        Results(path)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    (tmp_path / "w.pth").write_bytes(b"weights")
    return Subject(
        name="net",
        spec=ModelSpec(
            architecture=Architecture.RESNET18,
            num_classes=CLASSES,
            preprocessing=Preprocessing(resize=64, crop=64),
        ),
        structure={},
        weights=tmp_path / "w.pth",
        calibrate=tmp_path / "c",
        evaluate=tmp_path / "e",
        source=("c.tar", "e.tar"),
    )


@pytest.fixture
def work(monkeypatch) -> list[Job | OwnJob]:
    """Replace everything that costs time; collects the jobs that would have run."""
    seen: list[Job | OwnJob] = []

    def fake_run(job: Job) -> Measured | Failed:
        seen.append(job)
        if job.candidate is Candidate.FLOAT:
            return measured(FLOAT_LOGITS)
        return Failed(reason="no such") if job.candidate is Candidate.NNCF else off_by(0.1)

    def fake_module(_: str, job: OwnJob) -> Failed | None:
        seen.append(job)
        cost = OwnOutcome(seconds=7.5, peak_rss_bytes=2**30).model_dump_json()
        for name, options in job.runs.items():
            if "x" in options:
                return Failed(reason="no option x")
            (job.folder / name).mkdir(parents=True)
            (job.folder / name / OUTCOME).write_text(cost)
        return None

    monkeypatch.setattr(bench, "run", fake_run)
    monkeypatch.setattr(bench, "run_module", fake_module)
    monkeypatch.setattr(Subject, "labels", lambda _: LABELS)
    return seen


def test_every_peer_and_each_of_our_runs_is_a_row_and_the_rest_comes_later(work, subject, tmp_path):
    path = tmp_path / "results.jsonl"

    def once(folder: str, *parts: Part) -> list[Row | FailedRow]:
        asked = Study(
            parts=parts, samples=8, limit=None, further=[{"x": "1"}], results=Results(path)
        )
        measure(subject, asked, tmp_path / folder)
        return [result.row for result in asked.results]

    rows = {row.label: row for row in once("first", Part.PEERS)}
    assert list(rows) == ["eightbit", "eightbit --x 1", *(peer.value for peer in PEERS)]
    assert {label for label, row in rows.items() if isinstance(row, FailedRow)} == {
        *("eightbit --x 1", Candidate.NNCF.value)
    }
    assert line(rows["eightbit"]).endswith("| 7.5 s | 1,024 MiB |")  # not those of the worker
    assert len({job.folder for job in work}) == len(work)
    (float_onnx,) = {job.file for job in work if isinstance(job, Job) and job.candidate in PEERS}
    assert float_onnx is not None
    assert float_onnx.name == "model.fp32.onnx"
    work.clear()
    once("second", Part.PEERS, Part.METHODS)
    runs = [tuple(job.runs.values()) for job in work if isinstance(job, OwnJob)]
    assert [len(run) for run in runs] == [1, 1, len(METHODS)]  # x again, the float model, methods
    assert {job.candidate for job in work if isinstance(job, Job)} == {
        *(Candidate.FLOAT, Candidate.NNCF, Candidate.ARTIFACT)
    }


def test_without_float_answers_there_is_no_table(work, subject, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "run", lambda job: Failed(reason="no memory"))
    asked = Study(
        parts=[Part.PEERS],
        samples=8,
        limit=None,
        further=(),
        results=Results(tmp_path / "results.jsonl"),
    )
    with pytest.raises(InputError, match="no memory"):
        measure(subject, asked, tmp_path)


def test_the_file_begins_with_the_command_that_makes_it_and_the_machine(
    work, subject, tmp_path, monkeypatch
):
    monkeypatch.setattr(study, "open_subject", lambda *_: subject)
    monkeypatch.setattr(study, "read_cpu_features", lambda: SimpleNamespace(pairs_saturate=True))
    app = typer.Typer()
    app.command()(study.main)
    out = tmp_path / "table.md"
    arguments = ["--results", str(tmp_path / "r.jsonl"), "--out", str(out)]
    arguments += ["--calibrate", "/some/c.tar", "--evaluate", "/some/e.tar", "--limit", "40"]
    arguments += ["--ours", "--method mse", "resnet18:/w/r18.pth:64"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    text = out.read_text()
    assert (
        "`python -m eightbit.benchmarks.studies.peers --results FILE.jsonl --out FILE.md "
        "--calibrate c.tar --evaluate e.tar --part peers --samples 128 --limit 40 "
        "--ours '--method mse' resnet18:r18.pth:64`"
    ) in text
    assert "torch 2" in text
    assert "**This CPU has no VNNI.**" in text
    assert "/some" not in text
    assert "## net, 64 px, 128 calibration images" in text
    work.clear()
    again = CliRunner().invoke(app, arguments[:4])
    assert again.exit_code == 0, again.output
    assert out.read_text().partition("##")[2] == text.partition("##")[2]
    assert not work
