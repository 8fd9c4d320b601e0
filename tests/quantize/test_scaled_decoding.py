"""One command with `--decode scaled`: every reader of its photos decodes them alike."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.quantize.conftest import Eightbit

from eightbit.benchmarks import read_report
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.models import Decode, decode_for, preprocess
from eightbit.models.images.decoding import ScaledImage
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.deploy.archive import archive_of, bundle_files
from eightbit.quantize.deploy.web_page import index
from eightbit.quantize.photos import synthetic_picture
from eightbit.quantize.recipe.recipe import read_recipe


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos that are eight times as large as the network's images."""
    folder = tmp_path_factory.mktemp("large")
    for seed in range(8):
        synthetic_picture(300, 260, seed).save(folder / f"{seed}.jpg", quality=90)
    return folder


@pytest.fixture(scope="module")
def folder(
    eightbit: Eightbit,
    quick: tuple[object, ...],
    large: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("scaled") / "bundle"
    made = eightbit(
        *(*quick, "--out", out, "--calibrate", large, "--evaluate", large, "--decode", "scaled"),
        *("--formats", "onnx"),
    )
    assert made.code == 0, made
    return out


def test_artefact_recipe_and_report_say_it(folder: Path, eightbit: Eightbit) -> None:
    recipe = json.loads((folder / bundle.RECIPE).read_text())
    assert recipe["spec"]["preprocessing"]["decode"] == "scaled"
    metadata = read_metadata(folder / bundle.ONNX)
    assert metadata is not None
    assert metadata.spec.preprocessing.decode is Decode.SCALED
    report = read_report(folder / "report.json")
    assert report.model.spec.preprocessing.decode is Decode.SCALED
    assert report.decoding is not None
    assert report.decoding.images == 8
    assert "Decoding of large photos" in (folder / "report.md").read_text()
    assert "Decoding of large photos" in (folder / "report.html").read_text()
    shown = " ".join(eightbit("inspect", folder / bundle.ONNX).out.split())
    assert "scaled decoding, shorter side" in shown


def test_the_archive_and_the_command_line_answer_the_same(
    folder: Path, large: Path, eightbit: Eightbit, tmp_path: Path
) -> None:
    how = read_recipe(folder / bundle.RECIPE).spec.preprocessing
    photo = large / "5.jpg"
    image = decode_for(photo.read_bytes(), how)
    assert isinstance(image, ScaledImage)
    (logits,) = OnnxRunner(folder / bundle.ONNX, threads=1)(preprocess(image, how)[None])
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    expected = [f"{share:.1%}" for share in -np.sort(-shares)[:5]]
    listed = eightbit("classify", folder / bundle.ONNX, photo).out
    assert all(share in listed for share in expected)
    members = bundle_files(open_bundle(folder), read_report(folder / "report.json"))
    assert "a large JPEG decoded to the half, quarter or eighth" in members["README.md"].decode()
    model = tmp_path / "model.zip"
    model.write_bytes(archive_of(members))
    for arguments in (["--self-test"], [str(photo)]):
        done = subprocess.run(
            [sys.executable, model, *arguments], capture_output=True, text=True, check=True
        )
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == expected


def test_the_web_page_says_that_a_browser_decodes_whole(folder: Path) -> None:
    metadata = read_metadata(folder / bundle.ONNX)
    assert metadata is not None
    said = "It decodes a large one whole, where the model's images were decoded smaller"
    assert said in index(metadata, 0.1, ()).decode()
    spec = metadata.spec
    whole = spec.preprocessing.model_copy(update={"decode": Decode.EXACT})
    other = spec.model_copy(update={"preprocessing": whole})
    assert said not in index(metadata.model_copy(update={"spec": other}), 0.1, ()).decode()


def test_a_recipe_says_how_photos_are_decoded(
    folder: Path, quick: tuple[object, ...], eightbit: Eightbit, large: Path, tmp_path: Path
) -> None:
    weights = quick[quick.index("--weights") + 1]
    rebuild = ("quantize", "--weights", weights, "--recipe", folder / bundle.RECIPE)
    rebuild = (*rebuild, "--out", tmp_path / "again", "--formats", "onnx")
    error = eightbit(*rebuild, "--decode", "exact").error
    assert "--decode: expected only --weights beside --recipe" in error
    made = eightbit(*rebuild)
    assert made.code == 0, made
    again = (tmp_path / "again" / bundle.ONNX).read_bytes()
    assert again == (folder / bundle.ONNX).read_bytes()


def test_a_run_that_decodes_whole_advises_it(
    quick: tuple[object, ...], eightbit: Eightbit, large: Path, tmp_path: Path
) -> None:
    out = tmp_path / "whole"
    made = eightbit(*quick, "--calibrate", large, "--out", out)
    assert made.code == 0, made
    assert '"decode"' not in (out / bundle.RECIPE).read_text()
    report = read_report(out / "report.json")
    assert report.calibration is not None
    assert report.calibration.decoding is not None
    assert report.decoding == report.calibration.decoding
    assert "Decoding of large photos" in made.out


def test_another_word_is_refused(
    eightbit: Eightbit, quick: tuple[object, ...], tmp_path: Path
) -> None:
    error = eightbit(*quick, "--out", tmp_path / "out", "--decode", "half").error
    assert "--decode" in error
    assert "'half'" in error
