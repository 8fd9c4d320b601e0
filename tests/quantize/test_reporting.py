"""Which gates a report fails, and how it gets onto the disk."""

from pathlib import Path

import pytest

from eightbit.benchmarks import Report, read_report
from eightbit.benchmarks.accuracy import CandidateAccuracy
from eightbit.benchmarks.fallback import FallbackSection, FallbackStep
from eightbit.benchmarks.report import AccuracySection, Check, VerificationSection
from eightbit.quantize import bundle, failed_gates
from eightbit.quantize.reporting import write_report


@pytest.fixture
def report(bundle_folder: Path) -> Report:
    return read_report(bundle_folder / bundle.REPORT_JSON)


def _dropping(report: Report, *, torchscript_pp: float, onnx_pp: float) -> Report:
    def dropping(result: CandidateAccuracy | None, drop_pp: float) -> CandidateAccuracy:
        assert result is not None
        return result.model_copy(update={"drop_pp": drop_pp})

    assert report.accuracy is not None
    accuracy = AccuracySection(
        fp32=report.accuracy.fp32,
        torchscript=dropping(report.accuracy.torchscript, torchscript_pp),
        onnx=dropping(report.accuracy.onnx, onnx_pp),
    )
    return report.model_copy(update={"accuracy": accuracy})


def test_a_good_report_fails_no_gate(report: Report) -> None:
    assert failed_gates(_dropping(report, torchscript_pp=-0.1, onnx_pp=0.4), 0.5) == ()


def test_the_allowed_drop_is_still_allowed(report: Report) -> None:
    assert failed_gates(_dropping(report, torchscript_pp=0.5, onnx_pp=0.5), 0.5) == ()


def test_without_a_gate_any_drop_passes(report: Report) -> None:
    assert failed_gates(_dropping(report, torchscript_pp=90.0, onnx_pp=90.0)) == ()


def test_each_artefact_that_drops_too_far_is_named(report: Report) -> None:
    failures = failed_gates(_dropping(report, torchscript_pp=0.4, onnx_pp=0.75), 0.5)
    assert failures == ("max drop: onnx: top-1 drops by 0.75 points, 0.5 allowed",)
    failures = failed_gates(_dropping(report, torchscript_pp=1.0, onnx_pp=0.75), 0.5)
    assert [failure.split(":")[1].strip() for failure in failures] == ["torchscript", "onnx"]


def _searched(*, met: bool, images_needed: int | None) -> FallbackSection:
    step = FallbackStep(
        float_layers=0,
        added=(),
        artifact="onnx",
        drop_pp=0.25,
        drop_ci95_pp=(-0.15, 0.65),
        top1_agreement=0.98,
        latency_ratio=1.0,
        met=met,
        chosen=True,
    )
    return FallbackSection(
        target_pp=0.5,
        met=met,
        evaluations=1,
        candidates=29,
        images_needed=images_needed,
        steps=(step,),
    )


@pytest.mark.parametrize(
    ("images_needed", "hint"),
    [
        (9000, "to show that, about 9,000 evaluation images are needed"),
        (None, "no choice of layers in float meets it"),
    ],
)
def test_a_target_that_no_fallback_met_is_one_line(
    report: Report, images_needed: int | None, hint: str
) -> None:
    section = _searched(met=False, images_needed=images_needed)
    missed = report.model_copy(update={"fallback": section})
    (failure,) = failed_gates(missed, 0.5)
    figures = (
        "top-1 drops by 0.25 points and with 95 % confidence by no more than 0.65, 0.5 allowed"
    )
    assert failure == f"max drop: onnx: {figures}; {hint}"


def test_a_target_that_was_met_passes_the_gate(report: Report) -> None:
    met = report.model_copy(update={"fallback": _searched(met=True, images_needed=None)})
    assert failed_gates(met, 0.5) == ()


def test_only_the_checks_that_failed_are_named(report: Report) -> None:
    checks = (
        Check(name="onnx: finite logits", passed=False, detail="1 of 640"),
        Check(name="the other", passed=True, detail="fine"),
    )
    verification = VerificationSection(images=64, passed=False, checks=checks)
    failed = report.model_copy(update={"verification": verification})
    assert failed_gates(failed) == ("verification: onnx: finite logits: 1 of 640",)


def test_both_forms_of_the_report_are_written(report: Report, tmp_path: Path) -> None:
    write_report(report, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        bundle.REPORT_JSON,
        bundle.REPORT_MARKDOWN,
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
