"""`eightbit evaluate` on a bundle: what it leaves in the report, and how it continues."""

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eightbit.benchmarks.channel import receive_pieces, send_pieces
from eightbit.benchmarks.environment import read_environment
from eightbit.benchmarks.prediction import Predicted, answer_of
from eightbit.benchmarks.prediction_journal import Journal, JournalHeader, header_of, journal_path
from eightbit.benchmarks.report import (
    AccuracySection,
    Check,
    EvaluationSection,
    Report,
    read_report,
)
from eightbit.models.sources import open_source
from eightbit.quantize import bundle, evaluation_run, pipeline
from eightbit.quantize.assessment import models_of
from eightbit.quantize.evaluation import FINITE_CHECK
from eightbit.quantize.recipe import read_recipe

Eightbit = Callable[..., Any]

COMMAND = Path(sys.executable).with_name("eightbit")
PATIENCE_S = 120
IMAGES = 1000
COLOURS = 10


@pytest.fixture
def folder(bundle_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bundle_folder, tmp_path / "bundle")


def _report(folder: Path) -> Report:
    return read_report(folder / bundle.REPORT_JSON)


def _measured(folder: Path) -> str:
    """The sections that the evaluation measured, as they lie on disk."""
    content = json.loads((folder / bundle.REPORT_JSON).read_text())
    return json.dumps({name: content[name] for name in ("accuracy", "fidelity", "parity")})


def _hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_result_goes_into_the_bundles_report(
    eightbit: Eightbit, folder: Path, flat_photos: Path
) -> None:
    before = _report(folder)
    outcome = eightbit("evaluate", folder, "--data", flat_photos, "--threads", 1)
    assert outcome.code == 0, outcome
    assert outcome.out.endswith(f"written to {folder}\n")
    assert "Size" not in outcome.out  # it prints what it measured
    after = _report(folder)
    assert after.evaluation is not None
    assert after.evaluation.source == "flat"
    assert after.evaluation.images == 12
    assert after.evaluation.environment is None  # that of the run
    assert after.evaluation.images_per_s is not None
    assert after.accuracy is not None
    assert after.accuracy.fp32.n == 12
    assert after.fidelity is not None
    assert after.fidelity.onnx is not None
    assert after.fidelity.onnx.n == 12
    assert after.parity["torchscript_vs_onnx"].n == 12
    changed = {"evaluation", "accuracy", "fidelity", "parity"}
    assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    others = before.parity.keys() - {"torchscript_vs_onnx"}
    assert others
    assert {pair: after.parity[pair] for pair in others} == {
        pair: before.parity[pair] for pair in others
    }
    assert f"{12} images" in (folder / bundle.REPORT_MARKDOWN).read_text()
    assert _hidden(folder) == []


def test_a_bundle_without_a_report_gets_one(
    eightbit: Eightbit, folder: Path, flat_photos: Path
) -> None:
    (folder / bundle.REPORT_JSON).unlink()
    outcome = eightbit("evaluate", folder, "--data", flat_photos, "--threads", 1)
    assert outcome.code == 0, outcome
    report = _report(folder)
    assert report.accuracy is not None
    assert report.environment == read_environment()
    assert report.command.startswith("eightbit evaluate")


def test_it_says_where_it_ran_if_that_was_elsewhere(
    eightbit: Eightbit, folder: Path, flat_photos: Path
) -> None:
    elsewhere = read_environment().model_copy(update={"cpu": "Another CPU"})
    report = _report(folder).model_copy(update={"environment": elsewhere})
    (folder / bundle.REPORT_JSON).write_text(report.to_json())
    assert eightbit("evaluate", folder, "--data", flat_photos, "--threads", 1).code == 0
    after = _report(folder)
    assert after.environment == elsewhere
    assert after.evaluation is not None
    assert after.evaluation.environment == read_environment()


@pytest.mark.parametrize("spoil", ["a damaged report", "another evaluation"])
def test_what_would_fail_in_the_end_is_refused_before_the_work(
    eightbit: Eightbit,
    folder: Path,
    flat_photos: Path,
    spoil: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(evaluation_run, "PredictionPool")
    command = ("evaluate", folder, "--data", flat_photos, "--threads", 1)
    if spoil == "a damaged report":
        (folder / bundle.REPORT_JSON).write_text("{}")
        assert bundle.REPORT_JSON in eightbit(*command).error
        return
    with open_source(flat_photos) as source:
        preprocessing = read_recipe(folder / bundle.RECIPE).spec.preprocessing
        header = header_of(models_of(folder), preprocessing, source.items, threads=1)
    with Journal(journal_path(folder, flat_photos), header):
        assert "expected no other evaluation of this bundle" in eightbit(*command).error


def test_logits_that_are_no_numbers_fail_a_check(
    eightbit: Eightbit, folder: Path, broken_onnx: Path, flat_photos: Path
) -> None:
    good = (folder / bundle.FLOAT_ONNX).read_bytes()
    command = ("evaluate", folder, "--data", flat_photos, "--threads", 1)
    shutil.copy(broken_onnx, folder / bundle.FLOAT_ONNX)
    outcome = eightbit(*command)
    assert outcome.code == 1
    (line,) = outcome.err.splitlines()
    assert line.startswith(
        "eightbit: failed: verification: evaluation: finite logits: NaN or infinite, of 120 logits "
        "from 0.png on: fp32 12"
    )
    report = _report(folder)
    assert report.verification is not None
    assert not report.verification.passed
    assert report.verification.checks[-1].name == FINITE_CHECK
    assert report.accuracy is report.evaluation is None
    assert _hidden(folder) == []

    (folder / bundle.FLOAT_ONNX).write_bytes(good)
    assert eightbit(*command).code == 0
    repaired = _report(folder)
    assert repaired.verification is not None
    assert repaired.verification.passed
    assert repaired.accuracy is not None


def test_quantize_delivers_the_failed_check_too(
    eightbit: Eightbit,
    quick: tuple[object, ...],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed = Check(name=FINITE_CHECK, passed=False, detail="onnx 3")
    monkeypatch.setattr(pipeline, "evaluate_artifacts", lambda *_, **__: failed)
    outcome = eightbit(*quick, "--evaluate", photos, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert outcome.err == "eightbit: failed: verification: evaluation: finite logits: onnx 3\n"
    report = _report(tmp_path / "out")
    assert report.verification is not None
    assert failed in report.verification.checks
    assert report.accuracy is None
    assert report.fidelity is not None  # of the verification


@dataclass(frozen=True)
class Killed:
    """A bundle whose evaluation was killed, beside one whose was not.

    Attributes:
        folder: The bundle; to be read only.
        images: What it was evaluated on.
        journal: What the evaluation left.
        expected: What an undisturbed one finds.
    """

    folder: Path
    images: Path
    journal: Path
    expected: str


def _typed(folder: Path, images: Path) -> tuple[object, ...]:
    return ("evaluate", folder, "--data", images, "--threads", 2)


@pytest.fixture(scope="module")
def killed(
    eightbit: Eightbit, bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Killed:
    """Killed without a warning when half of the answers are on disk."""
    root = tmp_path_factory.mktemp("killed")
    images = root / "images"
    rng = np.random.default_rng(0)
    for index in range(IMAGES):
        path = images / str(index % COLOURS) / f"{index:04}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    (images / "3" / "0013.bmp").write_bytes(b"no picture")
    undisturbed = shutil.copytree(bundle_folder, root / "undisturbed")
    assert eightbit(*_typed(undisturbed, images)).code == 0
    folder = shutil.copytree(bundle_folder, root / "bundle")
    journal = journal_path(folder, images)
    command = [COMMAND, *map(str, _typed(folder, images))]
    half = 220 * IMAGES / 2  # bytes: digests and logits
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + PATIENCE_S
        while not (journal.exists() and journal.stat().st_size > half):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    before = (bundle_folder / bundle.REPORT_JSON).read_bytes()
    assert (folder / bundle.REPORT_JSON).read_bytes() == before
    return Killed(folder=folder, images=images, journal=journal, expected=_measured(undisturbed))


def _copied(killed: Killed, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the bundle, and the journal in it."""
    folder = shutil.copytree(killed.folder, tmp_path / "bundle")
    return folder, folder / killed.journal.name


def test_a_killed_evaluation_continues_and_finds_the_same(killed: Killed, tmp_path: Path) -> None:
    folder, journal = _copied(killed, tmp_path)
    command = [COMMAND, *map(str, _typed(folder, killed.images))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    words = line.split()
    assert words[:3] == ["eightbit:", "continues", "after"]
    assert words[4:] == ["of", "1,000", "images"]
    assert 400 < int(words[3].replace(",", "")) < 1000
    assert _measured(folder) == killed.expected
    assert not journal.exists()
    evaluation = _report(folder).evaluation
    assert evaluation is not None
    assert evaluation.images == IMAGES - 1
    assert [skipped.name for skipped in evaluation.skipped] == ["3/0013.bmp"]


def test_what_was_answered_before_is_not_run_again(
    eightbit: Eightbit, killed: Killed, tmp_path: Path
) -> None:
    """So answers that are changed on disk, with digests that fit, change the result."""
    folder, journal = _copied(killed, tmp_path)
    with journal.open("rb") as file:
        header, _ = receive_pieces(file, JournalHeader)
        records = [receive_pieces(file, Predicted) for _ in range(2)]
        rest = file.read()
    with journal.open("wb") as file:
        send_pieces(file, header)
        for told, pieces in records:
            logits = [np.frombuffer(piece, dtype="<f4").reshape(-1, 10).copy() for piece in pieces]
            logits[0] *= -1
            changed = answer_of(told.chunk, told.files, logits, peak_rss_bytes=1)
            send_pieces(file, changed.message, changed.pieces)
        file.write(rest)
    assert eightbit(*_typed(folder, killed.images)).code == 0
    report, expected = _report(folder), json.loads(killed.expected)["accuracy"]
    assert report.accuracy is not None
    assert report.accuracy.torchscript is not None
    assert report.accuracy.torchscript.flip_count == expected["torchscript"]["flip_count"] + 32
    assert json.loads(report.accuracy.model_dump_json())["onnx"] == expected["onnx"]
    assert report.evaluation is not None
    _check_thumbnails(report.accuracy, report.evaluation)


def _check_thumbnails(accuracy: AccuracySection, evaluation: EvaluationSection) -> None:
    found = [one for one in (accuracy.torchscript, accuracy.onnx) if one is not None]
    flipped = sorted({flip.image for one in found for flip in one.flips})
    assert len(flipped) >= 32
    assert list(evaluation.thumbnails) == flipped[:24]
    for text in evaluation.thumbnails.values():
        with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
            assert (picture.format, picture.size) == ("JPEG", (32, 32))


def test_other_models_begin_again_and_say_so(
    eightbit: Eightbit, killed: Killed, tmp_path: Path
) -> None:
    folder, journal = _copied(killed, tmp_path)
    (folder / bundle.TORCHSCRIPT).unlink()
    outcome = eightbit(*_typed(folder, killed.images))
    assert outcome.code == 0, outcome
    assert outcome.err == (
        "eightbit: what an earlier evaluation left is not used, since it is of other models\n"
    )
    expected = json.loads(killed.expected)["accuracy"]
    found = json.loads(_measured(folder))["accuracy"]
    assert (found["fp32"], found["onnx"]) == (expected["fp32"], expected["onnx"])
    assert found["torchscript"] is None
    assert not journal.exists()
