"""The gate on the drop, with synthetic predictions of known truth."""

from collections.abc import Mapping

import numpy as np
import pytest
from tests.synthetic_reports.reports import almost_empty

from eightbit.benchmarks import Report
from eightbit.benchmarks.accuracy.tally import ClassificationTally
from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.document import AccuracySection, ModelSection
from eightbit.benchmarks.report.fallback import FallbackSection, FallbackStep
from eightbit.models.spec import Architecture, ModelSpec
from eightbit.quantize import failed_gates

IMAGES = 4000
BOUND_PP = 1.0


@pytest.fixture
def report() -> Report:
    spec = ModelSpec(architecture=Architecture.CIFAR_RESNET20, num_classes=2)
    return almost_empty(model=ModelSection(spec=spec, weights="synthetic"))


def _accuracy(
    counts: Mapping[str, tuple[int, int]], *, images: int = IMAGES, labelled: bool = True
) -> AccuracySection:
    """Of artefacts by name that break and mend so many of the images that float gets right or not.

    Float is right on the first half; the true class is 0, the other 1.
    """
    half = -(-images // 2)
    float_classes = (np.arange(images) >= half).astype(np.int64)
    logits = {}
    for name, (broke, fixed) in counts.items():
        classes = float_classes.copy()
        classes[:broke] = 1
        classes[half : half + fixed] = 0
        logits[name] = np.eye(2, dtype=np.float32)[classes]
    tally = ClassificationTally(counts)
    truth = [0] * images if labelled else None
    names = [f"{index}.png" for index in range(images)]
    tally.update(np.eye(2, dtype=np.float32)[float_classes], logits, truth, names)
    results = {name: tally.candidate_result(name) for name in counts}
    return AccuracySection(fp32=tally.reference_result(), **results)


def _failures(
    report: Report, counts: Mapping[str, tuple[int, int]], *, images: int = IMAGES
) -> tuple[str, ...]:
    found = report.model_copy(update={"accuracy": _accuracy(counts, images=images)})
    return failed_gates(found, BOUND_PP)


@pytest.mark.parametrize(
    ("broke", "fixed"),
    [(0, 0), (20, 20), (30, 10), (60, 60), (40, 90), (0, 500)],
    ids=["nothing", "flips", "half a point", "many flips", "a gain", "a large gain"],
)
def test_a_drop_clearly_below_the_bound_passes(report: Report, broke: int, fixed: int) -> None:
    assert _failures(report, {"onnx": (broke, fixed), "torchscript": (broke, fixed)}) == ()


@pytest.mark.parametrize(("broke", "fixed"), [(80, 0), (100, 60), (400, 0), (1000, 800)])
def test_a_drop_clearly_above_the_bound_fails(report: Report, broke: int, fixed: int) -> None:
    (failure,) = _failures(report, {"onnx": (broke, fixed)})
    assert failure.startswith(f"max drop: onnx: top-1 drops by {(broke - fixed) / 40:.2f} pp; ")
    assert failure.endswith(
        "1 allowed; more images will not help; `eightbit quantize --fallback` may"
    )


def test_a_drop_that_may_be_above_the_bound_fails_and_says_what_would_tell(report: Report) -> None:
    (failure,) = _failures(report, {"onnx": (38, 8)})
    assert failure == (
        "max drop: onnx: top-1 drops by 0.75 pp; the drop's 95 % interval ends at 1.12 pp, 1 "
        "allowed; to show that, about 8,151 evaluation images are needed"
    )


def test_too_few_images_fail_although_nothing_changed(report: Report) -> None:
    (failure,) = _failures(report, {"onnx": (0, 0)}, images=380)
    assert failure == (
        "max drop: onnx: top-1 drops by 0.00 pp; the drop's 95 % interval ends at 1.01 pp, 1 "
        "allowed; to show that, about 381 evaluation images are needed"
    )
    assert _failures(report, {"onnx": (0, 0)}, images=381) == ()


def test_a_gain_that_may_be_a_drop_is_called_so(report: Report) -> None:
    (failure,) = _failures(report, {"onnx": (9, 10)}, images=400)
    assert failure.startswith(
        "max drop: onnx: top-1 rises by 0.25 pp; the drop's 95 % interval ends at 2.06 pp, 1 "
        "allowed; to show that, about "
    )


def test_each_artefact_that_may_drop_too_far_is_named(report: Report) -> None:
    failures = _failures(report, {"torchscript": (30, 10), "onnx": (80, 0)})
    assert [failure.split(":")[1].strip() for failure in failures] == ["onnx"]
    failures = _failures(report, {"torchscript": (80, 0), "onnx": (90, 0)})
    assert [failure.split(":")[1].strip() for failure in failures] == ["torchscript", "onnx"]


def test_without_a_gate_any_drop_passes(report: Report) -> None:
    accuracy = _accuracy({"onnx": (2000, 0)})
    assert failed_gates(report.model_copy(update={"accuracy": accuracy})) == ()


@pytest.mark.parametrize("labelled", [True, False], ids=["not evaluated", "no labels"])
def test_a_drop_that_was_not_measured_does_not_pass(report: Report, labelled: bool) -> None:
    accuracy = None if labelled else _accuracy({"onnx": (0, 0)}, labelled=False)
    assert failed_gates(report.model_copy(update={"accuracy": accuracy}), BOUND_PP) == (
        "max drop: expected images with labels to measure it on, found none",
    )


@pytest.mark.parametrize(
    "check", ["onnx: finite logits", "evaluation: finite logits"], ids=["before", "meanwhile"]
)
def test_a_drop_of_no_numbers_is_not_blamed_on_the_images(report: Report, check: str) -> None:
    failed = Check(name=check, passed=False, detail="1 of 640")
    verification = VerificationSection(images=64, passed=False, checks=(failed,))
    found = report.model_copy(update={"verification": verification})
    assert failed_gates(found, BOUND_PP) == (
        f"verification: {check}: 1 of 640",
        "max drop: not measured, since not every logit is a number",
    )


def test_an_end_just_above_the_bound_is_not_shown_as_the_bound(report: Report) -> None:
    found = report.model_copy(update={"accuracy": _accuracy({"onnx": (1, 0)}, images=1119)})
    (failure,) = failed_gates(found, 0.5)
    assert "ends at 0.51 pp, 0.5 allowed" in failure


def test_a_network_that_drops_by_just_the_bound_seldom_passes(report: Report) -> None:
    # Two sides of 95 % leave one in forty on this one.
    true = (0.015, 0.005, 0.98)
    draws = np.random.default_rng(0).multinomial(IMAGES, true, size=400)
    passed = sum(not _failures(report, {"onnx": (int(b), int(c))}) for b, c, _ in draws)
    assert 0 < passed / 400 <= 0.045


def _searched(
    report: Report, *, met: bool, images_needed: int | None, target_pp: float = BOUND_PP
) -> Report:
    """A search for layers in float that ended in what the report has measured."""
    assert report.accuracy is not None
    onnx = report.accuracy.onnx
    assert onnx is not None
    assert onnx.drop_pp is not None
    assert onnx.drop_ci95_pp is not None
    step = FallbackStep(
        float_layers=0,
        added=(),
        artifact="onnx",
        drop_pp=onnx.drop_pp,
        drop_ci95_pp=onnx.drop_ci95_pp,
        top1_agreement=onnx.top1_agreement,
        latency_ratio=1.0,
        met=met,
        chosen=True,
    )
    section = FallbackSection(
        target_pp=target_pp,
        met=met,
        evaluations=1,
        candidates=29,
        images_needed=images_needed,
        steps=(step,),
    )
    return report.model_copy(update={"fallback": section})


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
    dropping = report.model_copy(update={"accuracy": _accuracy({"onnx": (80, 0)})})
    (failure,) = failed_gates(_searched(dropping, met=False, images_needed=images_needed), BOUND_PP)
    assert failure == (
        "max drop: onnx: top-1 drops by 2.00 pp; the drop's 95 % interval ends at 2.49 pp, 1 "
        f"allowed; {hint}"
    )


def test_a_target_that_was_met_passes_the_gate(report: Report) -> None:
    good = report.model_copy(update={"accuracy": _accuracy({"onnx": (20, 20)})})
    assert failed_gates(_searched(good, met=True, images_needed=None), BOUND_PP) == ()


def test_a_search_stands_until_another_evaluation(report: Report) -> None:
    before = report.model_copy(update={"accuracy": _accuracy({"onnx": (20, 20)})})
    searched = _searched(before, met=True, images_needed=None)
    assert searched.standing_fallback is searched.fallback
    for later in (_accuracy({"onnx": (20, 21)}), _accuracy({"torchscript": (20, 20)}), None):
        changed = searched.model_copy(update={"accuracy": later})
        assert changed.standing_fallback is None


@pytest.mark.parametrize("met", [True, False])
def test_a_later_evaluation_counts_and_not_the_search_before_it(report: Report, met: bool) -> None:
    before = report.model_copy(update={"accuracy": _accuracy({"onnx": (20, 20)})})
    searched = _searched(before, met=met, images_needed=None)
    later = searched.model_copy(update={"accuracy": _accuracy({"onnx": (80, 0)})})
    (failure,) = failed_gates(later, BOUND_PP)
    assert failure.endswith("more images will not help; `eightbit quantize --fallback` may")
    later = searched.model_copy(update={"accuracy": _accuracy({"onnx": (30, 10)})})
    assert failed_gates(later, BOUND_PP) == ()
