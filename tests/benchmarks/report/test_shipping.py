"""The one answer on top of the page, from reports of known truth."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.synthetic_reports.reports import (
    almost_empty,
    binary,
    float_layers,
    full,
    multi_label,
    regression,
)

from eightbit.benchmarks.accuracy.paired import drop_interval_pp
from eightbit.benchmarks.accuracy.parity import FINITE, NO_CRASH
from eightbit.benchmarks.accuracy.tally import FINITE_CHECK
from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.headline import headline
from eightbit.benchmarks.report.pages.html import render_html
from eightbit.benchmarks.report.pages.markdown import render_markdown
from eightbit.benchmarks.report.shipping import Advice, shipping


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
    said = texts(report, advice)
    # 0.484 and 0.535, rounded up, in the interval as in the gate.
    assert "ONNX: Drop 0.10 pp [-0.28, 0.49]" in said
    assert f"the drop's 95 % interval ends at 0.49 pp, {allowed:g} allowed" in said


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


@pytest.mark.parametrize("verification", [full().verification, None], ids=["verified", "not"])
def test_an_operator_that_left_its_integers_stops_it(
    verification: VerificationSection | None,
) -> None:
    coverage = full().coverage
    assert coverage is not None
    conv = coverage.conv.model_copy(update={"quantized": 19})
    update = {"verification": verification, "coverage": coverage.model_copy(update={"conv": conv})}
    answer = shipping(full().model_copy(update=update))
    assert answer.advice is Advice.STOP
    assert "compute in float" in answer.reasons[0].text


@pytest.mark.parametrize(
    ("names", "synthetic", "advice"),
    [
        pytest.param((FINITE, NO_CRASH), True, Advice.CARE, id="synthetic images"),
        pytest.param((FINITE, NO_CRASH), False, Advice.SHIP, id="photos"),
        pytest.param((FINITE, "same predictions"), True, Advice.SHIP, id="photos, then synthetic"),
    ],
)
def test_synthetic_images_verify_no_answers(
    names: tuple[str, ...], synthetic: bool, advice: Advice
) -> None:
    executions = full().executions
    assert executions is not None
    checks = tuple(Check(name=name, passed=True, detail="fine") for name in names)
    update = {
        "verification": VerificationSection(images=16, passed=True, checks=checks),
        "executions": executions.model_copy(update={"synthetic": synthetic}),
    }
    report = full().model_copy(update=update)
    assert shipping(report).advice is advice
    assert ("synthetic images only" in texts(report, advice)) == (advice is Advice.CARE)


def missed(report: Report, *, images_needed: int | None) -> Report:
    """The same, whose search for layers in float missed its target."""
    fallback = report.fallback
    assert fallback is not None
    steps = tuple(step.model_copy(update={"met": False}) for step in fallback.steps)
    update = {"met": False, "images_needed": images_needed, "steps": steps, "target_pp": 0.2}
    return report.model_copy(
        update={"fallback": fallback.model_copy(update=update), "max_drop_pp": 0.2}
    )


@pytest.mark.parametrize(
    ("images_needed", "words"),
    [(None, "No choice of layers in float"), (9000, "about 9,000 are needed")],
)
def test_a_search_that_missed_its_target_says_why(images_needed: int | None, words: str) -> None:
    report = missed(float_layers(), images_needed=images_needed)
    assert words in texts(report, Advice.STOP)


def test_a_search_that_is_not_of_this_evaluation_decides_nothing() -> None:
    report = missed(float_layers(), images_needed=None)
    again = dropping(report, broke=5, fixed=25, n=40000, p=0.001)
    assert shipping(again).advice is Advice.SHIP


def test_an_artefact_that_was_not_evaluated_is_named() -> None:
    accuracy = full().accuracy
    assert accuracy is not None
    alone = accuracy.model_copy(update={"torchscript": None})
    report = full().model_copy(update={"accuracy": alone})
    assert texts(report, Advice.CARE) == "Accuracy of TorchScript was not measured."


def test_an_artefact_whose_speed_was_not_measured_is_named() -> None:
    latency = tuple(e for e in full().latency if e.runtime is ONNX.runtime)
    report = full().model_copy(update={"latency": latency})
    assert texts(report, Advice.CARE) == "Speed of TorchScript against float was not measured."


def test_a_regression_is_for_its_user_to_judge() -> None:
    told = texts(regression(), Advice.CARE)
    assert "from the float model's on average" in told
    assert "Accuracy" not in told


@pytest.mark.parametrize("make", [binary, multi_label, regression])
def test_no_word_of_ranks_where_no_class_is_ranked_first(make: Callable[[], Report]) -> None:
    report = make()
    pages = (render_html(report), render_markdown(report), headline(report))
    for page in pages:
        assert not re.search(r"top-[15]", page, re.IGNORECASE)
    assert report.model.spec.task.metric in pages[2]


@pytest.mark.parametrize(("seen", "words"), [(3, "4 of 7 classes have no image."), (4, "")])
def test_classes_without_images_ask_for_care(seen: int, words: str) -> None:
    accuracy = full().accuracy
    assert accuracy is not None
    assert accuracy.onnx is not None
    report = with_candidates(full(), classes=accuracy.onnx.classes[:seen])
    assert texts(report, Advice.CARE) == words


def test_an_evaluation_that_stopped_is_not_called_one_without_images() -> None:
    check = Check(name=FINITE_CHECK, passed=False, detail="onnx 3")
    failed = VerificationSection(images=64, passed=False, checks=(check,))
    report = full().model_copy(update={"accuracy": None, "verification": failed})
    assert texts(report, Advice.CARE) == (
        "Accuracy was not measured: logits on the evaluation images are not finite."
    )


def test_what_was_measured_elsewhere_is_said() -> None:
    environment, evaluation, benchmark = full().environment, full().evaluation, full().benchmark
    assert environment is not None
    assert evaluation is not None
    assert benchmark is not None
    other = {"environment": environment.model_copy(update={"cpu": "Other CPU"})}
    update = {
        "evaluation": evaluation.model_copy(update=other),
        "benchmark": benchmark.model_copy(update=other),
    }
    said = texts(full().model_copy(update=update), Advice.SHIP)
    assert "Accuracy was measured on Other CPU." in said
    assert "and with 1 other setting (measured on Other CPU)." in said


def test_a_setting_in_which_it_is_slower_is_said_wherever_it_stands() -> None:
    latency = tuple(
        entry.model_copy(update={"speedup": 0.8, "speedup_ci95": (0.7, 0.9)})
        if entry.speedup and entry.batch == 8
        else entry
        for entry in full().latency
    )
    report = full().model_copy(update={"latency": latency})
    assert texts(report, Advice.CARE) == (
        "Slower than the best float of the same runtime with 2 threads, batch 8: "
        "onnxruntime 0.80x [0.70, 0.90], torchscript 0.80x [0.70, 0.90]."
    )
    assert "with 2 threads, batch 1: onnxruntime 3.05x" in texts(report, Advice.SHIP)


def test_artefacts_of_which_the_same_is_found_share_a_sentence() -> None:
    said = [r.text for r in shipping(full()).reasons if "Drop" in r.text]
    assert said == [
        (
            "ONNX: Drop 0.10 pp [-0.28, 0.48]; TorchScript: Drop 0.15 pp [-0.23, 0.54]: "
            "indistinguishable from zero on 4,000 images. To see a drop of 0.1 points takes about "
            "110,000 images."
        )
    ]


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
        (0.8, (0.7, 0.9), Advice.CARE, "Slower than"),
        (1.2, None, Advice.CARE, "Without an interval"),
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
