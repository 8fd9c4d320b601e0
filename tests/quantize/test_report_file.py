"""A report is shown beside the files that it is of, and beside no others."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.quantize.conftest import DELIVERED

from eightbit.benchmarks import read_report
from eightbit.models.errors import InputError
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.report_file import check_beside, read_checked_report

Eightbit = Callable[..., Any]


@pytest.fixture
def folder(bundle_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_folder, tmp_path / "bundle"))


def _longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def _of_the_same_size(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("change", [_longer, _of_the_same_size])
@pytest.mark.parametrize("name", [*DELIVERED, bundle.RECIPE, bundle.TABLES])
def test_a_report_of_another_file_is_refused(
    folder: Path, name: str, change: Callable[[Path], None]
) -> None:
    assert name in read_checked_report(folder).sha256
    change(folder / name)
    with pytest.raises(InputError, match=rf"{name}: expected the file that the report beside it"):
        read_checked_report(folder)
    with pytest.raises(InputError, match=rf"{name}: expected the file that the report beside it"):
        check_beside(folder / bundle.ONNX)


def test_every_command_refuses_a_mixture(
    eightbit: Eightbit, folder: Path, photos: Path, photo: Path, bundle_folder: Path
) -> None:
    _of_the_same_size(folder / bundle.FLOAT_ONNX)
    model = folder / bundle.ONNX
    for command in (
        ("report", folder),
        ("report", folder / bundle.REPORT_JSON),
        ("report", folder, bundle_folder, "--out", folder.parent / "page.html"),
        ("report", bundle_folder, "--baseline", folder / bundle.REPORT_JSON),
        ("inspect", model),
        ("classify", model, photo),
        ("diagnose", folder, "--data", photos),
        ("verify", folder),
        ("evaluate", folder, "--data", photos),
        ("benchmark", folder),
        ("bundle", folder, "--out", folder.parent / "model.zip"),
        ("bundle", folder, "--web", "--out", folder.parent / "page"),
    ):
        line = eightbit(*command).error
        assert "expected the file that the report beside it is of" in line, command
        assert "quantize again, or delete report.json" in line
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_files_that_are_gone_and_files_that_are_the_users_are_not_missed(folder: Path) -> None:
    (folder / DELIVERED[0]).unlink()
    (folder / "notes.txt").write_text("mine")
    assert read_checked_report(folder) == read_report(folder / bundle.REPORT_JSON)
    open_bundle(folder)


def test_a_report_that_was_copied_under_another_name_is_compared_with_nothing(
    folder: Path,
) -> None:
    baseline = folder / "baseline.json"
    shutil.copy(folder / bundle.REPORT_JSON, baseline)
    _longer(folder / bundle.RECIPE)
    assert read_checked_report(baseline) == read_report(baseline)


def test_a_models_neighbour_of_that_name_may_be_another_programs(folder: Path) -> None:
    (folder / bundle.REPORT_JSON).write_text('{"tests": 3}')
    check_beside(folder / bundle.ONNX)
    other = folder / "other.onnx"
    shutil.copy(folder / bundle.ONNX, other)
    check_beside(other)


def test_names_in_a_report_lead_nowhere_else(folder: Path) -> None:
    path = folder / bundle.REPORT_JSON
    report = read_report(path)
    elsewhere = {"../../secret": "0" * 64, "/dev/zero": "0" * 64}
    path.write_text(report.model_copy(update={"sha256": elsewhere}).to_json())
    read_checked_report(folder)
