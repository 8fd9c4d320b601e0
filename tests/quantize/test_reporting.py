"""Which checks keep a bundle from being shipped, and how its report gets onto the disk."""

from pathlib import Path

import pytest

from eightbit.benchmarks import Report, read_report
from eightbit.benchmarks.report import Check, VerificationSection
from eightbit.quantize import bundle, failed_gates
from eightbit.quantize.reporting import write_report


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


def test_an_unverified_graph_that_fell_back_to_float_is_named(report: Report) -> None:
    assert report.coverage is not None
    conv = report.coverage.conv.model_copy(update={"quantized": 18, "total": 19})
    coverage = report.coverage.model_copy(update={"conv": conv})
    unverified = report.model_copy(update={"verification": None, "coverage": coverage})
    assert failed_gates(unverified) == ("coverage: conv: 18 of 19 in integers, 19 expected",)
    meant = conv.model_copy(update={"meant_as_float": 1})
    coverage = report.coverage.model_copy(update={"conv": meant})
    assert failed_gates(unverified.model_copy(update={"coverage": coverage})) == ()
