"""A killed `eightbit evaluate` continues where it was, and trusts nobody else's answers."""

import base64
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.quantize.conftest import CLASSES, like_known

from eightbit.benchmarks.artifact.formats import TORCHSCRIPT
from eightbit.benchmarks.evaluation.cache import journal_folder, journal_path
from eightbit.benchmarks.evaluation.journal import JournalHeader, header_of, open_journal
from eightbit.benchmarks.evaluation.pool import PredictionPool
from eightbit.benchmarks.evaluation.prediction import Answer, Predicted, answer_of
from eightbit.benchmarks.processes.channel import receive_pieces, send_pieces
from eightbit.benchmarks.report.document import AccuracySection, Report, read_report
from eightbit.benchmarks.report.images import EvaluationSection
from eightbit.models.images.sources import open_source
from eightbit.quantize import bundle
from eightbit.quantize.measure import evaluation
from eightbit.quantize.recipe.recipe import read_recipe
from eightbit.quantize.verify.verification import models_of

Eightbit = Callable[..., Any]

COMMAND = Path(sys.executable).with_name("eightbit")
PATIENCE_S = 120
IMAGES = 400


@pytest.fixture
def folder(onnx_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(onnx_bundle, tmp_path / "bundle")


def _report(folder: Path) -> Report:
    return read_report(folder / bundle.REPORT_JSON)


def _measured(folder: Path) -> str:
    """The sections that the evaluation measured, as they lie on disk."""
    content = json.loads((folder / bundle.REPORT_JSON).read_text())
    return json.dumps({name: content[name] for name in ("accuracy", "fidelity", "parity")})


def test_the_same_evaluation_does_not_run_twice_at_a_time(
    eightbit: Eightbit, folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(evaluation, "open_pool")
    with open_source(photos) as source:
        preprocessing = read_recipe(folder / bundle.RECIPE).spec.preprocessing
        header = header_of(models_of(folder), preprocessing, source.items, threads=1)
    with open_journal(folder, photos, header, print):
        line = eightbit("evaluate", folder, "--data", photos, "--threads", 1).error
    assert "bundle: expected no other evaluation of this bundle on these images" in line


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
    return ("evaluate", folder, "--data", images, "--threads", 1)


@pytest.fixture(scope="module")
def killed(
    eightbit: Eightbit, bundle_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Killed:
    """Killed without a warning when half of the answers are on disk."""
    root = tmp_path_factory.mktemp("killed")
    images = root / "images"
    for index in range(IMAGES):
        path = images / str(index % CLASSES) / f"{index:04}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        like_known(index % CLASSES, 10_000 + index).save(path)
    (images / "3" / "0013.bmp").write_bytes(b"no picture")
    undisturbed = shutil.copytree(bundle_folder, root / "undisturbed")
    assert eightbit(*_typed(undisturbed, images)).code == 0
    folder = shutil.copytree(bundle_folder, root / "bundle")
    journal = journal_path(journal_folder(), folder, images)
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
    """A copy of the bundle, and its journal."""
    folder = shutil.copytree(killed.folder, tmp_path / "bundle")
    journal = journal_path(journal_folder(), folder, killed.images)
    shutil.copy(killed.journal, journal)
    return folder, journal


def test_a_killed_evaluation_continues_and_finds_the_same(killed: Killed, tmp_path: Path) -> None:
    folder, journal = _copied(killed, tmp_path)
    command = [COMMAND, *map(str, _typed(folder, killed.images))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    line, *_ = done.stderr.splitlines()
    words = line.split()
    assert words[:3] == ["eightbit:", "continues", "after"]
    assert words[4:] == ["of", str(IMAGES), "images"]
    assert IMAGES // 3 < int(words[3].replace(",", "")) < IMAGES
    assert _measured(folder) == killed.expected
    assert not journal.exists()
    section = _report(folder).evaluation
    assert section is not None
    assert section.images == IMAGES - 1
    assert [skipped.name for skipped in section.skipped] == ["3/0013.bmp"]


def test_what_was_answered_before_is_not_run_again(
    eightbit: Eightbit, killed: Killed, tmp_path: Path
) -> None:
    """So answers that are changed on disk, with digests that fit, change the result."""
    folder, journal = _copied(killed, tmp_path)
    _forge(journal)
    assert eightbit(*_typed(folder, killed.images)).code == 0
    report, expected = _report(folder), json.loads(killed.expected)["accuracy"]
    assert report.accuracy is not None
    assert report.accuracy.torchscript is not None
    assert report.accuracy.torchscript.flip_count == expected["torchscript"]["flip_count"] + 32
    assert json.loads(report.accuracy.model_dump_json())["onnx"] == expected["onnx"]
    assert report.evaluation is not None
    _check_thumbnails(report.accuracy, report.evaluation)


def _forge(journal: Path) -> None:
    """Changes the answers to the first two chunks, with every digest as it should be."""
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


def test_answers_that_come_with_a_bundle_are_not_used(
    eightbit: Eightbit, killed: Killed, tmp_path: Path
) -> None:
    """Whoever made the bundle could write what an evaluation shall find."""
    folder, journal = _copied(killed, tmp_path)
    _forge(journal)
    for name in (journal.name, f".evaluation-{_digest(killed.images)[:12]}"):
        shutil.copy(journal, folder / name)
    journal.unlink()
    outcome = eightbit(*_typed(folder, killed.images))
    assert (outcome.code, outcome.err) == (0, "")
    assert _measured(folder) == killed.expected


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.resolve())).hexdigest()


def test_it_says_why_nothing_of_an_earlier_evaluation_is_used(
    eightbit: Eightbit, folder: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("evaluate", folder, "--data", photos, "--threads", 1)
    with monkeypatch.context() as patch:
        _end_after_one_chunk(patch, lambda pool: os.kill(pool.pids[0], signal.SIGKILL))
        assert eightbit(*command).code == 2
    journal = journal_path(journal_folder(), folder, photos)
    content = journal.read_bytes()
    journal.write_bytes(content[: content.index(b"\n") + 10])  # the header, and little more
    outcome = eightbit(*command)
    assert outcome.code == 0
    assert outcome.err == (
        "eightbit: starts again: of what an earlier evaluation left, a record is incomplete or "
        "damaged\n"
    )


def _end_after_one_chunk(
    patch: pytest.MonkeyPatch, end: Callable[[PredictionPool], object]
) -> None:
    whole = PredictionPool.predict

    def predict(pool: PredictionPool, *arguments: Any, **options: Any) -> Iterator[Answer]:
        for answer in whole(pool, *arguments, **options):
            yield answer
            end(pool)

    patch.setattr(PredictionPool, "predict", predict)


def _interrupt(pool: PredictionPool) -> None:
    raise KeyboardInterrupt


def _crash(pool: PredictionPool) -> None:
    os.kill(pool.pids[0], signal.SIGKILL)


MODELS = "model.int8.onnx, model.fp32.onnx"
CONTINUES = "the same command continues where this one ended"
CRASHED = (
    f"{MODELS}: the process that runs it was ended by SIGKILL (out of memory?); if memory ran out, "
    "make room or give fewer --threads"
)


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (_interrupt, 130, f"eightbit: interrupted; {CONTINUES}"),
        (_crash, 2, f"eightbit: {CRASHED}; {CONTINUES}"),
    ],
    ids=["interrupted", "crashed"],
)
def test_an_evaluation_that_ends_early_says_how_to_go_on(
    eightbit: Eightbit,
    folder: Path,
    photos: Path,
    end: Callable[[PredictionPool], None],
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = ("evaluate", folder, "--data", photos, "--threads", 1)
    with monkeypatch.context() as patch:
        _end_after_one_chunk(patch, end)
        outcome = eightbit(*command)
    assert (outcome.code, outcome.err) == (code, f"{said}\n")
    journal = journal_path(journal_folder(), folder, photos)
    assert journal.exists()
    outcome = eightbit(*command)
    assert outcome.code == 0
    assert outcome.err.startswith("eightbit: continues after ")
    assert not journal.exists()


def test_without_a_cache_it_evaluates_all_the_same(
    eightbit: Eightbit,
    folder: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    outcome = eightbit("evaluate", folder, "--data", photos, "--threads", 1)
    assert outcome.code == 0
    assert outcome.err == (
        f"eightbit: {tmp_path / 'file' / 'eightbit' / 'evaluations'}: Not a directory; answers are "
        "not kept: if it is killed, it starts again\n"
    )
    assert _report(folder).accuracy is not None


def _check_thumbnails(accuracy: AccuracySection, section: EvaluationSection) -> None:
    found = [one for one in (accuracy.torchscript, accuracy.onnx) if one is not None]
    flipped = sorted({flip.image for one in found for flip in one.flips})
    assert len(flipped) >= 32
    assert list(section.thumbnails) == flipped[:24]
    for text in section.thumbnails.values():
        with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
            assert (picture.format, picture.size) == ("JPEG", (38, 32))


def test_other_models_begin_again_and_say_so(
    eightbit: Eightbit, killed: Killed, tmp_path: Path
) -> None:
    folder, journal = _copied(killed, tmp_path)
    (folder / TORCHSCRIPT.file()).unlink()
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
