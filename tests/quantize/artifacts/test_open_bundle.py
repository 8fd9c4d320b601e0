"""A bundle on disk, opened: what belongs to its recipe, and what its report still says."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from eightbit.benchmarks.artifact.metadata import file_sha256
from eightbit.benchmarks.report.deployment import EdgeSection
from eightbit.benchmarks.report.document import Report, read_report
from eightbit.models.errors import InputError
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.open_bundle import metadata_of, open_bundle
from eightbit.quantize.recipe.recipe import read_recipe


@pytest.fixture
def folder(bundle_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_folder, tmp_path / "bundle"))


def write(report: Report, folder: Path) -> None:
    (folder / bundle.REPORT_JSON).write_text(report.to_json())


def test_it_holds_the_recipe_and_the_models(bundle_folder: Path) -> None:
    opened = open_bundle(bundle_folder)
    assert opened.recipe == read_recipe(bundle_folder / bundle.RECIPE)
    assert opened.onnx == opened.require_onnx() == bundle_folder / bundle.ONNX
    assert metadata_of(opened.float_onnx).spec == opened.recipe.spec
    assert opened.read_report() == read_report(bundle_folder / bundle.REPORT_JSON)


def test_a_model_that_was_deleted_is_asked_for(folder: Path) -> None:
    (folder / bundle.ONNX).unlink()
    opened = open_bundle(folder)
    assert opened.onnx is None
    with pytest.raises(
        InputError, match=r"bundle: expected the INT8 model as ONNX, found no model"
    ):
        opened.require_onnx()


def no_float_model(folder: Path) -> str:
    (folder / bundle.FLOAT_ONNX).unlink()
    return "expected a folder that `eightbit quantize` wrote, found no model.fp32.onnx in it"


def recipe_of_another_run(folder: Path) -> str:
    path = folder / bundle.RECIPE
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    return "expected an artefact of the recipe.json beside it, found one of another recipe"


@pytest.mark.parametrize("spoil", [no_float_model, recipe_of_another_run])
def test_what_is_no_whole_bundle_is_refused(folder: Path, spoil: Callable[[Path], str]) -> None:
    said = spoil(folder)
    with pytest.raises(InputError, match=said):
        open_bundle(folder)


def test_a_report_of_another_recipe_is_refused(folder: Path) -> None:
    opened = open_bundle(folder)
    known = read_report(folder / bundle.REPORT_JSON)
    write(known.model_copy(update={"recipe_sha256": "0" * 64}), folder)
    for opening in (opened.read_report, lambda: open_bundle(folder)):
        with pytest.raises(InputError, match="found one of another recipe"):
            opening()
    (folder / bundle.REPORT_JSON).unlink()
    assert opened.read_report() is None


def test_the_report_is_read_without_the_archive_of_another_model(folder: Path) -> None:
    opened = open_bundle(folder)
    known = read_report(folder / bundle.REPORT_JSON)
    for digest, kept in ((file_sha256(opened.require_onnx()), True), ("0" * 64, False)):
        archive = EdgeSection(model_sha256=digest, bundle_bytes=9)
        write(known.model_copy(update={"edge": archive}), folder)
        assert opened.read_report().edge == (archive if kept else None)


def test_a_report_that_is_damaged_or_no_file_is_refused(folder: Path) -> None:
    opened = open_bundle(folder)
    (folder / bundle.REPORT_JSON).write_text("{}")
    with pytest.raises(InputError, match=r"report\.json: .*expected this key, found none"):
        opened.read_report()
    (folder / bundle.REPORT_JSON).unlink()
    os.mkfifo(folder / bundle.REPORT_JSON)
    with pytest.raises(InputError, match="expected a report, found something that is no file"):
        opened.read_report()
