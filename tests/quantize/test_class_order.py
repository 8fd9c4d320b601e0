"""Classes and images that a user brings: asked for where they are not clear, never dropped."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from eightbit.benchmarks.report.document import read_report
from eightbit.models.class_match import ClassOrder
from eightbit.models.errors import InputError
from eightbit.quantize import Delivery, bundle

Eightbit = Callable[..., Any]


@pytest.fixture
def nine(photos: Path, tmp_path: Path) -> Path:
    """Class folders 1 to 9, and 10 for 0: numbers from 1."""
    folder = shutil.copytree(photos, tmp_path / "nine")
    (folder / "0").rename(folder / "10")
    return folder


@pytest.mark.parametrize("command", ["quantize", "evaluate"])
def test_numbers_from_1_are_asked_about(
    command: str,
    eightbit: Eightbit,
    quick: tuple[object, ...],
    bundle_folder: Path,
    nine: Path,
    tmp_path: Path,
) -> None:
    arguments = {
        "quantize": (*quick, "--evaluate", nine, "--out", tmp_path / "out"),
        "evaluate": ("evaluate", bundle_folder, "--data", nine),
    }[command]
    error = eightbit(*arguments).error
    assert "by index none for '10'; in sorted order '1' = class 0, '10' = class 1" in error
    assert "say --class-order sorted" in error
    assert not (tmp_path / "out").exists()


def test_the_option_decides_and_what_was_left_out_is_said(
    eightbit: Eightbit, bundle_folder: Path, nine: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(bundle_folder, tmp_path / "bundle")
    for name in ("1/notes.txt", "2/x.heic", ".DS_Store"):
        (nine / name).write_text("no image")
    for path in (nine / "7").iterdir():
        path.write_bytes(b"damaged")
    for path in (nine / "8").iterdir():
        Image.open(path).save(path.with_suffix(""), "AVIF")
        path.unlink()
    outcome = eightbit(
        "evaluate", folder, "--data", nine, "--class-order", "sorted", "--threads", 1
    )
    assert outcome.code == 0, outcome
    evaluation = read_report(folder / bundle.REPORT_JSON).evaluation
    assert evaluation is not None
    assert (evaluation.matched_by, evaluation.images) == ("sorted order", 36)
    assert (evaluation.skipped_count, evaluation.passed_over.hidden) == (4, 1)
    assert {entry.ending for entry in evaluation.passed_over.endings} == {".txt", ".heic"}
    assert evaluation.without_images.names == ("7",)
    assert "1 .heic (such as '2/x.heic')" in outcome.out.replace("\n", " ")
    assert "of 1 class: '7'" in outcome.out.replace("\n", " ")


def test_a_class_order_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="class order: expected images"):
        Delivery(out=tmp_path, class_order=ClassOrder.INDEX)
