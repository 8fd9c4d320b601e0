"""Which checks keep a bundle from being shipped, and how its report gets onto the disk."""

from pathlib import Path

import pytest

from eightbit.benchmarks import Report, read_report
from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.pages.html import render_html
from eightbit.benchmarks.report.pages.markdown import render_markdown
from eightbit.quantize import bundle, failed_gates
from eightbit.quantize.measure.report import write_report
from eightbit.quantize.verify.verification import COVERED


@pytest.fixture
def report(bundle_folder: Path) -> Report:
    return read_report(bundle_folder / bundle.REPORT_JSON)


def test_only_the_checks_that_failed_are_named(report: Report) -> None:
    checks = (
        Check(name="onnx: finite logits", passed=False, detail="1 of 640"),
        Check(name="the other", passed=True, detail="fine"),
    )
    verification = VerificationSection(images=64, passed=False, checks=checks)
    failed = report.model_copy(update={"verification": verification})
    assert failed_gates(failed) == ("verification: onnx: finite logits: 1 of 640",)


def test_every_form_of_the_report_is_written(report: Report, tmp_path: Path) -> None:
    written = write_report(report, tmp_path)
    assert set(written) == set(tmp_path.iterdir())
    assert {path.name for path in written} == {
        bundle.REPORT_JSON,
        bundle.REPORT_MARKDOWN,
        bundle.REPORT_HTML,
    }
    assert read_report(tmp_path / bundle.REPORT_JSON) == report
    assert report.command in (tmp_path / bundle.REPORT_MARKDOWN).read_text(encoding="utf-8")


@pytest.mark.parametrize("verified", [True, False])
def test_a_graph_that_fell_back_to_float_is_named_even_where_executions_agree(
    report: Report, verified: bool
) -> None:
    assert report.coverage is not None
    check = Check(name="every execution: finite logits", passed=True, detail="fine", synthetic=True)
    executed = VerificationSection(images=64, passed=True, checks=(check,))
    conv = report.coverage.conv.model_copy(update={"quantized": 18, "total": 19})
    coverage = report.coverage.model_copy(update={"conv": conv})
    update = {"verification": executed if verified else None, "coverage": coverage}
    fell_back = report.model_copy(update=update)
    assert failed_gates(fell_back) == ("coverage: conv: 18 of 19 in integers, 19 expected",)
    meant = conv.model_copy(update={"meant_as_float": 1})
    coverage = report.coverage.model_copy(update={"conv": meant})
    assert failed_gates(fell_back.model_copy(update={"coverage": coverage})) == ()


def test_a_graph_that_fell_back_to_float_is_named_once(report: Report) -> None:
    assert report.coverage is not None
    conv = report.coverage.conv.model_copy(update={"quantized": 18, "total": 19})
    coverage = report.coverage.model_copy(update={"conv": conv})
    check = Check(name=COVERED, passed=False, detail="conv 18/19")
    verification = VerificationSection(images=64, passed=False, checks=(check,))
    failed = report.model_copy(update={"verification": verification, "coverage": coverage})
    assert failed_gates(failed) == (f"verification: {COVERED}: conv 18/19",)


def test_the_report_remembers_its_calibration_images(report: Report) -> None:
    assert report.calibration is not None
    assert report.calibration.images == len(report.calibration.digests) == 40
    assert report.calibration.also_in_evaluation == 40


def test_everything_that_was_typed_is_told_in_order(report: Report) -> None:
    assert report.evaluation is not None
    assert report.executions is not None
    typed = {
        "command": "eightbit quantize",
        "evaluation": report.evaluation.model_copy(update={"command": "eightbit evaluate"}),
        "executions": report.executions.model_copy(update={"command": "eightbit verify \n"}),
    }
    told = report.model_copy(update=typed)
    assert told.commands == ("eightbit quantize", "eightbit verify \n", "eightbit evaluate")
    shown = "    eightbit quantize\n    eightbit verify \\n\n    eightbit evaluate\n"
    assert render_markdown(told).endswith(shown)
    page = "<code>eightbit quantize\neightbit verify \\n\neightbit evaluate\n</code>"
    assert page in render_html(told)


def test_what_was_typed_once_is_told_once(report: Report) -> None:
    assert report.evaluation is not None
    evaluation = report.evaluation.model_copy(update={"command": report.command})
    assert report.model_copy(update={"evaluation": evaluation}).commands == (report.command,)
