"""Networks whose highest output is not the answer, from the checkpoint to the classified photo."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.quantize.conftest import ARCHITECTURE, Eightbit, Outcome

from eightbit.benchmarks import read_report
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.models import Task
from eightbit.quantize import classify

Run = Callable[..., Outcome]


def _with_head(checkpoint: Path, rows: torch.Tensor, path: Path) -> Path:
    """The network with linear combinations of its ten logits in their place."""
    state = torch.load(checkpoint, weights_only=True)
    state["fc.weight"], state["fc.bias"] = rows @ state["fc.weight"], rows @ state["fc.bias"]
    torch.save(state, path)
    return path


@pytest.fixture(scope="session")
def heads(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Path]:
    folder, eye = tmp_path_factory.mktemp("heads"), 40 * torch.eye(10)
    rows = {
        Task.BINARY: eye[1:2] - eye[0:1],
        # The ten logits of a picture are one 1 and nine 0: yes is far above, no far below.
        Task.MULTI_LABEL: eye[:3] - eye.mean(dim=0) * 5,
        Task.REGRESSION: eye[:2],
    }
    return {task: _with_head(checkpoint, own, folder / f"{task}.pth") for task, own in rows.items()}


@pytest.fixture(scope="session")
def quantized(eightbit: Eightbit, heads: dict[Task, Path], photos: Path) -> Run:
    """Quantize the network of a task into a folder."""

    def run(task: Task, out: Path, *options: object) -> Outcome:
        return eightbit(
            *("quantize", ARCHITECTURE, "--weights", heads[task], "--calibrate", photos),
            *("--formats", "onnx", "--threads", 1, "--samples", 16, "--out", out, *options),
        )

    return run


@pytest.fixture(scope="session")
def pair(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two class folders, whose names sort against the order of the classes."""
    folder = tmp_path_factory.mktemp("pair")
    for name, index in (("yes", 0), ("no", 1)):
        (folder / name).symlink_to(photos / str(index), target_is_directory=True)
    return folder


@pytest.fixture(scope="session")
def table(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    labels = {0: "0|1", 1: "2;1", 2: ""}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "label"))
        for photo in sorted(photos.glob("*/*.png")):
            name = photo.relative_to(photos).as_posix()
            writer.writerow((name, labels.get(int(photo.parent.name) % 4, "2")))
    return path


def _says_nothing_of_ranks(outcome: Outcome, out: Path) -> None:
    for text in (outcome.out, (out / "report.html").read_text(), (out / "report.md").read_text()):
        assert not re.search(r"top-[15]", text, re.IGNORECASE)


def test_one_logit_is_recognised_and_judged_by_its_sign(
    quantized: Run, pair: Path, tmp_path: Path
) -> None:
    out, names = tmp_path / "out", tmp_path / "names.txt"
    names.write_text("yes\nno\n")
    outcome = quantized(Task.BINARY, out, "--evaluate", pair, "--labels", names)
    assert outcome.code == 0, outcome
    assert (
        "binary: one logit, class 'no' where its probability exceeds 0.5, else 'yes'" in outcome.out
    )
    _says_nothing_of_ranks(outcome, out)
    report = read_report(out / "report.json")
    assert report.accuracy is not None
    assert report.accuracy.onnx is not None
    assert [entry.n for entry in report.accuracy.onnx.classes] == [4, 4]
    photo = next((pair / "no").iterdir())
    ((_, guesses),) = classify(out / "model.int8.onnx", [photo], threads=1)
    assert sum(guess.probability or 0 for guess in guesses) == pytest.approx(1)
    assert [guess.chosen for guess in guesses] == [True, False]
    assert {guess.label for guess in guesses} == {"yes", "no"}


def test_several_labels_are_judged_by_their_ranking(
    quantized: Run, photos: Path, table: Path, tmp_path: Path, eightbit: Eightbit
) -> None:
    out = tmp_path / "out"
    outcome = quantized(
        *(Task.MULTI_LABEL, out, "--task", "multi-label", "--threshold", 0.4),
        *("--evaluate", photos, "--labels", table, "--max-drop", 100),
    )
    assert outcome.code == 0, outcome
    assert "mAP" in outcome.out
    _says_nothing_of_ranks(outcome, out)
    metadata = read_metadata(out / "model.int8.onnx")
    assert metadata is not None
    assert (metadata.spec.task, metadata.spec.threshold) == (Task.MULTI_LABEL, 0.4)
    report = read_report(out / "report.json")
    assert report.multi_label is not None
    assert report.multi_label.onnx is not None
    assert report.multi_label.onnx.decisions == 40 * 3
    shown = eightbit("classify", out / "model.int8.onnx", next(photos.glob("*/*.png")))
    assert "answer" in shown.out
    again = eightbit("evaluate", out, "--data", photos, "--threads", 1)
    assert again.code == 0, again
    assert "without labels" in again.err + again.out
    gated = eightbit("evaluate", out, "--data", photos, "--threads", 1, "--max-drop", 1)
    assert "expected a CSV with all labels of every image" in gated.error


def test_numbers_are_neither_right_nor_wrong(
    quantized: Run, flat_photos: Path, tmp_path: Path, eightbit: Eightbit
) -> None:
    out = tmp_path / "out"
    outcome = quantized(Task.REGRESSION, out, "--task", "regression", "--evaluate", flat_photos)
    assert outcome.code == 0, outcome
    _says_nothing_of_ranks(outcome, out)
    assert "R²" in outcome.out
    assert "accuracy" not in outcome.out.lower()
    gated = eightbit("evaluate", out, "--data", flat_photos, "--max-drop", 1)
    assert "expected none of a regression" in gated.error
    ((_, guesses),) = classify(
        out / "model.int8.onnx", [next(flat_photos.iterdir())], threads=1, top=1
    )
    assert [guess.probability for guess in guesses] == [None, None]


@pytest.mark.parametrize(
    ("task", "options", "problem"),
    [
        (Task.BINARY, ("--task", "single-label"), "a classifier of one logit is binary"),
        (Task.REGRESSION, ("--task", "binary"), "expected one output of binary, found 2"),
        (Task.BINARY, ("--threshold", "1.5"), "threshold: Input should be less than 1"),
        (Task.MULTI_LABEL, ("--threshold", "0.3"), "expected none of single-label, found 0.3"),
        (
            *(Task.MULTI_LABEL, ("--task", "multi-label", "--max-drop", 1, "--fallback")),
            "--fallback: expected a single-label or binary classifier",
        ),
        (Task.REGRESSION, ("--task", "regression", "--max-drop", 1), "--max-drop: expected none"),
    ],
)
def test_what_a_head_does_not_allow_is_refused(
    task: Task,
    options: tuple[object, ...],
    problem: str,
    quantized: Run,
    photos: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    assert problem in quantized(task, out, "--evaluate", photos, *options).error
    assert not out.exists()
