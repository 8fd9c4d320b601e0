"""The one answer on top of the page, from reports of known truth."""

from typing import Any

import pytest
from tests.browser.made_up_reports import almost_empty, full

from eightbit.benchmarks.paired import drop_interval_pp
from eightbit.benchmarks.report import Report
from eightbit.benchmarks.shipping import Advice, shipping


def with_candidates(report: Report, **update: Any) -> Report:
    accuracy = report.accuracy
    assert accuracy is not None
    candidates = {
        name: getattr(accuracy, name).model_copy(update=update) for name in ("onnx", "torchscript")
    }
    return report.model_copy(update={"accuracy": accuracy.model_copy(update=candidates)})


def dropping(report: Report, *, broke: int, fixed: int, n: int, p: float) -> Report:
    return with_candidates(
        report,
        drop_pp=100 * (broke - fixed) / n,
        drop_ci95_pp=drop_interval_pp(broke, fixed, n),
        mcnemar_p=p,
        broke=broke,
        fixed=fixed,
        n=n,
    )


def texts(report: Report, advice: Advice) -> str:
    return "\n".join(r.text for r in shipping(report).reasons if r.advice is advice)


def test_everything_well_is_ready() -> None:
    answer = shipping(full())
    assert answer.title == "Ready to ship"
    assert {reason.advice for reason in answer.reasons} == {Advice.SHIP}


@pytest.mark.parametrize(
    ("broke", "fixed", "n", "p", "advice"),
    [
        pytest.param(300, 50, 4000, 0.0001, Advice.STOP, id="surely more than a point"),
        pytest.param(60, 30, 4000, 0.002, Advice.CARE, id="a real drop of less"),
        pytest.param(30, 30, 4000, 1.0, Advice.SHIP, id="no drop on many images"),
        pytest.param(2, 2, 100, 1.0, Advice.CARE, id="no drop on few images"),
        pytest.param(30, 60, 4000, 0.002, Advice.SHIP, id="a gain"),
    ],
)
def test_a_drop_decides(broke: int, fixed: int, n: int, p: float, advice: Advice) -> None:
    report = dropping(full(), broke=broke, fixed=fixed, n=n, p=p)
    assert shipping(report).advice is advice


@pytest.mark.parametrize(("allowed", "advice"), [(0.45, Advice.STOP), (0.6, Advice.SHIP)])
def test_a_gate_decides_by_the_upper_end_of_the_interval(allowed: float, advice: Advice) -> None:
    report = full().model_copy(update={"max_drop_pp": allowed})
    assert shipping(report).advice is advice
    assert f"{allowed:g} allowed" in texts(report, advice)


def test_artefacts_with_the_same_result_share_a_reason() -> None:
    report = dropping(full(), broke=30, fixed=30, n=4000, p=1.0)
    assert texts(report, Advice.SHIP).count("Drop 0.00 pp") == 1
    assert "ONNX and TorchScript: Drop 0.00 pp" in texts(report, Advice.SHIP)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("verification", "Not verified"),
        ("accuracy", "Accuracy was not measured"),
        ("latency", "Speed against float was not measured"),
    ],
)
def test_what_was_not_measured_asks_for_care(section: str, words: str) -> None:
    report = full().model_copy(update={section: () if section == "latency" else None})
    answer = shipping(report)
    assert answer.title == "Ship with care"
    assert words in answer.reasons[0].text


def test_nothing_measured_cannot_be_told() -> None:
    assert shipping(almost_empty()).title == "Cannot tell yet"


def test_a_failed_check_stops_it() -> None:
    verification = full().verification
    assert verification is not None
    checks = (verification.checks[0].model_copy(update={"passed": False}), verification.checks[1])
    failed = verification.model_copy(update={"passed": False, "checks": checks})
    report = full().model_copy(update={"verification": failed})
    assert shipping(report).title == "Do not ship"
    assert "onnx: finite logits: 0 of 640" in texts(report, Advice.STOP)


def test_an_operator_that_left_its_integers_stops_it_without_verification() -> None:
    coverage = full().coverage
    assert coverage is not None
    conv = coverage.conv.model_copy(update={"quantized": 19})
    update = {"verification": None, "coverage": coverage.model_copy(update={"conv": conv})}
    assert shipping(full().model_copy(update=update)).advice is Advice.STOP


def test_calibration_images_that_were_evaluated_ask_for_care() -> None:
    calibration = full().calibration
    assert calibration is not None
    shared = calibration.model_copy(update={"also_in_evaluation": 1})
    report = full().model_copy(update={"calibration": shared})
    assert "1 calibration image also evaluated" in texts(report, Advice.CARE)


@pytest.mark.parametrize(
    ("factor", "ends", "advice", "words"),
    [
        (1.2, (1.1, 1.3), Advice.SHIP, "Faster than"),
        (1.2, (0.9, 1.6), Advice.CARE, "Not shown to be faster"),
        (0.8, (0.7, 0.9), Advice.CARE, "0.80x [0.70, 0.90] (slower)"),
        (1.2, None, Advice.SHIP, "onnxruntime 1.20x"),
    ],
)
def test_speed_decides_by_its_interval(
    factor: float, ends: tuple[float, float] | None, advice: Advice, words: str
) -> None:
    latency = tuple(
        entry.model_copy(update={"speedup": factor, "speedup_ci95": ends})
        if entry.speedup
        else entry
        for entry in full().latency
    )
    report = full().model_copy(update={"latency": latency})
    assert shipping(report).advice is advice
    assert words in texts(report, advice)
