"""What `inspect` says about the files of a bundle, and about those of others."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from eightbit.benchmarks import read_metadata
from eightbit.benchmarks.artifact.formats import TORCHSCRIPT
from eightbit.quantize import bundle, read_recipe

Eightbit = Callable[..., Any]


@pytest.mark.parametrize("name", [bundle.ONNX, TORCHSCRIPT.file()])
def test_an_artefact_shows_metadata_coverage_and_recipe(
    name: str, eightbit: Eightbit, bundle_folder: Path
) -> None:
    outcome = eightbit("inspect", bundle_folder / name)
    assert outcome.code == 0, outcome
    assert outcome.err == ""
    recipe = read_recipe(bundle_folder / bundle.RECIPE)
    for expected in ("cifar_resnet20", "int8", "19 of 19", "9 of 9", "1 of 1", recipe.sha256):
        assert expected in outcome.out
    assert "tiny.pth" in outcome.out
    assert "40 images" in outcome.out


def test_a_torchscript_artefact_names_its_engine(eightbit: Eightbit, bundle_folder: Path) -> None:
    metadata = read_metadata(bundle_folder / TORCHSCRIPT.file())
    assert metadata is not None
    assert metadata.engine is not None
    assert metadata.engine in eightbit("inspect", bundle_folder / TORCHSCRIPT.file()).out


def test_the_float_model_computes_nothing_in_integers(
    eightbit: Eightbit, bundle_folder: Path
) -> None:
    outcome = eightbit("inspect", bundle_folder / bundle.FLOAT_ONNX)
    assert outcome.code == 0, outcome
    assert "fp32" in outcome.out
    assert "0 of 19" in outcome.out


def test_a_recipe_alone_is_summarised(eightbit: Eightbit, bundle_folder: Path) -> None:
    outcome = eightbit("inspect", bundle_folder / bundle.RECIPE)
    assert outcome.code == 0, outcome
    assert "20 layers" in outcome.out
    assert "auto ranges, fx front end, seed 0" in outcome.out


def test_an_artefact_alone_shows_no_recipe(
    eightbit: Eightbit, bundle_folder: Path, tmp_path: Path
) -> None:
    artifact = shutil.copy(bundle_folder / bundle.ONNX, tmp_path / "alone.onnx")
    outcome = eightbit("inspect", artifact)
    assert outcome.code == 0, outcome
    assert "calibrated on" not in outcome.out


def test_the_recipe_of_another_artefact_is_not_shown(
    eightbit: Eightbit, bundle_folder: Path, tmp_path: Path
) -> None:
    artifact = shutil.copy(bundle_folder / bundle.ONNX, tmp_path)
    recipe = (bundle_folder / bundle.RECIPE).read_text()
    (tmp_path / bundle.RECIPE).write_text(recipe.replace('"seed": 0', '"seed": 1'))
    shutil.copy(bundle_folder / bundle.TABLES, tmp_path)
    assert read_recipe(tmp_path / bundle.RECIPE).config.seed == 1
    outcome = eightbit("inspect", artifact)
    assert outcome.code == 0, outcome
    assert "calibrated on" not in outcome.out


def test_a_model_of_another_tool_is_said_to_be_one(
    eightbit: Eightbit, bundle_folder: Path, tmp_path: Path
) -> None:
    model = onnx.load(bundle_folder / bundle.ONNX)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "stranger.onnx")
    outcome = eightbit("inspect", tmp_path / "stranger.onnx")
    assert outcome.code == 0, outcome
    assert "none: eightbit did not write this file" in outcome.out
    assert "19 of 19" in outcome.out


def test_all_architectures_are_listed(eightbit: Eightbit) -> None:
    outcome = eightbit("models")
    assert outcome.code == 0, outcome
    lines = {line.split()[0]: line for line in outcome.out.splitlines() if line.strip()}
    assert "25.6 M" in lines["resnet50"]
    assert "IMAGENET1K_V2" in lines["resnet50"]
    assert "local files only" in lines["cifar_resnet110"]
