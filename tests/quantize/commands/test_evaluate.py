"""`eightbit evaluate` on a bundle: what it leaves in the report."""

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eightbit.benchmarks.accuracy.tally import FINITE_CHECK
from eightbit.benchmarks.report.checks import Check
from eightbit.benchmarks.report.document import Report, read_report
from eightbit.benchmarks.report.plausibility import PLAUSIBLE_CHECK
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.quantize import bundle, pipeline
from eightbit.quantize.measure import evaluation

Eightbit = Callable[..., Any]


@pytest.fixture
def folder(onnx_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(onnx_bundle, tmp_path / "bundle")


@pytest.fixture
def both(bundle_folder: Path, tmp_path: Path) -> Path:
    """With artefacts of both formats."""
    return shutil.copytree(bundle_folder, tmp_path / "both")


def _report(folder: Path) -> Report:
    return read_report(folder / bundle.REPORT_JSON)


def _plausible(report: Report) -> list[Check]:
    assert report.verification is not None
    return [check for check in report.verification.checks if check.name == PLAUSIBLE_CHECK]


def _hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_the_result_goes_into_the_bundles_report(
    eightbit: Eightbit, both: Path, flat_photos: Path
) -> None:
    before = _report(both)
    outcome = eightbit("evaluate", both, "--data", flat_photos, "--threads", 1)
    assert outcome.code == 0, outcome
    assert outcome.out.endswith(f"written to {both}\n")
    assert "Size" not in outcome.out  # it prints what it measured
    after = _report(both)
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
    assert not _plausible(after)  # without labels
    assert [check.passed for check in _plausible(before)] == [True]
    changed = {"evaluation", "accuracy", "fidelity", "parity", "calibration", "verification"}
    assert after.model_dump(exclude=changed) == before.model_dump(exclude=changed)
    others = before.parity.keys() - {"torchscript_vs_onnx"}
    assert others
    assert {pair: after.parity[pair] for pair in others} == {
        pair: before.parity[pair] for pair in others
    }
    assert f"{12} images" in (both / bundle.REPORT_MARKDOWN).read_text()
    assert _hidden(both) == []


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


def test_it_says_where_it_ran_if_that_was_another_machine(
    eightbit: Eightbit, folder: Path, flat_photos: Path
) -> None:
    other = read_environment().model_copy(update={"cpu": "Another CPU"})
    report = _report(folder).model_copy(update={"environment": other})
    (folder / bundle.REPORT_JSON).write_text(report.to_json())
    assert eightbit("evaluate", folder, "--data", flat_photos, "--threads", 1).code == 0
    after = _report(folder)
    assert after.environment == other
    assert after.evaluation is not None
    assert after.evaluation.environment == read_environment()


def test_what_would_fail_in_the_end_is_refused_before_the_work(
    eightbit: Eightbit, folder: Path, flat_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(evaluation, "open_pool")
    (folder / bundle.REPORT_JSON).write_text("{}")
    command = ("evaluate", folder, "--data", flat_photos, "--threads", 1)
    assert bundle.REPORT_JSON in eightbit(*command).error


def test_labels_in_another_order_fail_a_check_and_the_gate(
    eightbit: Eightbit, folder: Path, photos: Path, tmp_path: Path
) -> None:
    exchanged = tmp_path / "exchanged"
    for index in range(10):
        shutil.copytree(photos / str(index), exchanged / str((3 * index + 1) % 10))
    command = ("evaluate", folder, "--threads", 1, "--max-drop", 50, "--data")
    outcome = eightbit(*command, exchanged)
    assert outcome.code == 1
    check, gate = outcome.err.splitlines()
    assert check.startswith(f"eightbit: failed: verification: {PLAUSIBLE_CHECK}: ")
    assert "classes in another order gives 100.0 %" in check
    assert "--labels FILE" in check
    assert "max drop: not judged" in gate
    assert "FLOAT MODEL NOT PLAUSIBLE" in outcome.out
    report = _report(folder)
    assert [check.passed for check in _plausible(report)] == [False]
    assert report.implausible is not None
    assert report.implausible.tried_images == 40
    for name in (bundle.REPORT_MARKDOWN, bundle.REPORT_HTML):
        assert "indistinguishable from zero" not in (folder / name).read_text()

    outcome = eightbit(*command, photos)
    assert outcome.code == 0, outcome
    assert [check.passed for check in _plausible(_report(folder))] == [True]


def test_logits_that_are_no_numbers_fail_a_check(
    eightbit: Eightbit, folder: Path, broken_onnx: Path, flat_photos: Path
) -> None:
    good = (folder / bundle.FLOAT_ONNX).read_bytes()
    command = ("evaluate", folder, "--data", flat_photos, "--threads", 1)
    shutil.copy(broken_onnx, folder / bundle.FLOAT_ONNX)
    assert "expected the file that the report beside it is of" in eightbit(*command).error
    unsure = _report(folder).model_copy(update={"sha256": {}})
    (folder / bundle.REPORT_JSON).write_text(unsure.to_json())
    outcome = eightbit(*command)
    assert outcome.code == 1
    _, line = outcome.err.splitlines()  # the first: these images have no labels
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


def test_quantize_reports_the_failed_check_too(
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


def test_a_report_names_the_first_of_many_unusable_images_and_counts_them(
    eightbit: Eightbit, folder: Path, photos: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(103):
        (images / f"{number:03}.png").write_text("no picture")
    for number in range(3):
        shutil.copy(photos / "0" / "0.png", images / f"9{number:02}.png")  # calibrated the bundle
    assert eightbit("evaluate", folder, "--data", images, "--threads", 1).code == 0
    report = _report(folder)
    section, calibration = report.evaluation, report.calibration
    assert section is not None
    assert [one.name for one in section.skipped] == [f"{number:03}.png" for number in range(100)]
    assert section.skipped_count == 103
    digest = hashlib.sha256((photos / "0" / "0.png").read_bytes()).digest()
    assert section.images_sha256 == hashlib.sha256(3 * digest).hexdigest()
    assert calibration is not None
    assert calibration.also_in_evaluation == 1  # one image, thrice
    text = (folder / bundle.REPORT_MARKDOWN).read_text()
    assert re.search(r"evaluation.*\| images \| 3 \| 103 \|", text)
    assert "And 83 more." in text
