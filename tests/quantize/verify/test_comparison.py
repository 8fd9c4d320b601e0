"""The gate over all executions, with logits that are known."""

import numpy as np
import pytest

from eightbit.benchmarks.accuracy.parity import FINITE, NO_CRASH
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.quantize.verify.comparison import SAME_PREDICTIONS, Comparison, compare

CLASSES = 5
SCALE = 0.25


def _logits(images: int = 64, *, wrong: int = 0, last_bits: int = 0) -> FloatArray:
    """Class ``i % CLASSES`` wins by eight last bits, but for the first ``wrong`` images."""
    winners = np.arange(images) % CLASSES
    winners[:wrong] = (winners[:wrong] + 1) % CLASSES
    logits = np.zeros((images, CLASSES), dtype=np.float32)
    logits[np.arange(images), winners] = 8 * SCALE
    return logits + np.float32(last_bits * SCALE)


def _failed(comparison: Comparison) -> set[str]:
    return {check.name for check in comparison.checks if not check.passed}


def _detail(comparison: Comparison, name: str) -> str:
    (check,) = (check for check in comparison.checks if check.name == name)
    return check.detail


def test_equal_logits_pass_and_every_pair_is_measured() -> None:
    found = {name: _logits() for name in ("onnx", "reference", "torchscript_avx2", "torchscript")}
    comparison = compare(found, output_scale=SCALE)
    assert comparison.passed
    assert _detail(comparison, SAME_PREDICTIONS) == "none differs"
    assert list(comparison.parity) == [
        *("torchscript_vs_torchscript_avx2", "torchscript_vs_onnx", "torchscript_vs_reference"),
        *("torchscript_avx2_vs_onnx", "torchscript_avx2_vs_reference", "onnx_vs_reference"),
    ]
    assert all(result.identical_fraction == 1 for result in comparison.parity.values())


def test_last_bits_fail_nothing() -> None:
    found = {"onnx": _logits(last_bits=7), "reference": _logits()}
    comparison = compare(found, output_scale=SCALE)
    assert comparison.passed
    assert comparison.parity["onnx_vs_reference"].max_lsb == 7
    assert comparison.parity["onnx_vs_reference"].identical_fraction == 0


def test_predictions_that_a_last_bit_turns_fail_nothing() -> None:
    close = np.zeros((4, 3), np.float32)
    close[:, 1] = 2 * SCALE
    found = {"onnx": close, "openvino": close[:, ::-1].copy(), "reference": close}
    found["openvino"][:, 0] = 3 * SCALE
    comparison = compare(found, output_scale=SCALE)
    assert comparison.passed
    said = _detail(comparison, SAME_PREDICTIONS)
    assert said == "openvino: 4 of 4 differ, 4 of them by one last bit, 10% allowed"


@pytest.mark.parametrize(
    ("name", "images", "wrong", "fails"),
    [
        ("onnx_haswell", 64, 3, False),
        ("onnx_haswell", 64, 4, True),
        ("onnx_haswell", 20, 1, False),
        ("onnx_haswell", 4, 1, False),
        ("onnx_haswell", 4, 2, True),
        ("openvino", 64, 6, False),
        ("openvino", 64, 7, True),
        ("openvino_unoptimised", 64, 4, True),
    ],
)
def test_too_many_other_predictions_fail_by_name(
    name: str, images: int, wrong: int, fails: bool
) -> None:
    found = {"onnx": _logits(), name: _logits(images, wrong=wrong), "reference": _logits()}
    comparison = compare(found, output_scale=SCALE)
    assert _failed(comparison) == ({SAME_PREDICTIONS} if fails else set())
    assert f"{name}: {wrong} of {images} differ" in _detail(comparison, SAME_PREDICTIONS)
    assert comparison.parity[f"{name}_vs_reference"].n == images


def test_an_excused_execution_is_measured_and_fails_nothing() -> None:
    found = {"torchscript_avx2": _logits(wrong=64), "onnx": _logits(), "reference": _logits()}
    comparison = compare(found, output_scale=SCALE, excused={"torchscript_avx2"})
    assert comparison.passed
    assert _detail(comparison, SAME_PREDICTIONS) == (
        "none differs; not promised by the target: torchscript_avx2"
    )
    assert comparison.parity["torchscript_avx2_vs_reference"].top1_agreement == 0


def test_on_synthetic_images_predictions_fail_nothing() -> None:
    found = {"onnx": _logits(wrong=64), "reference": _logits()}
    comparison = compare(found, output_scale=SCALE, synthetic=True)
    assert comparison.passed
    assert {check.name for check in comparison.checks} == {FINITE, NO_CRASH}
    assert all(check.synthetic for check in comparison.checks)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("excused", [(), ("onnx",)])
def test_a_logit_that_is_no_number_fails_whatever_is_excused(
    value: float, excused: tuple[str, ...]
) -> None:
    broken = _logits()
    broken[5, 2] = value
    found = {"onnx": broken, "torchscript": _logits(), "reference": _logits()}
    comparison = compare(found, output_scale=SCALE, excused=excused, synthetic=True)
    assert _failed(comparison) == {FINITE}
    assert "1 of onnx's 320" in _detail(comparison, FINITE)
    assert comparison.parity.keys() == {"torchscript_vs_reference"}


@pytest.mark.parametrize(
    ("crashed", "detail"), [((), "died: none"), (("onnx_b", "onnx_a"), "died: onnx_a, onnx_b")]
)
def test_whether_a_process_died_is_a_check_in_any_case(
    crashed: tuple[str, ...], detail: str
) -> None:
    found = {"onnx": _logits(), "reference": _logits()}
    comparison = compare(found, output_scale=SCALE, crashed=crashed)
    assert _failed(comparison) == ({NO_CRASH} if crashed else set())
    assert _detail(comparison, NO_CRASH) == detail
    assert not any(check.synthetic for check in comparison.checks)


def test_other_runtimes_are_compared_and_fail_nothing() -> None:
    logits = {"onnx": _logits(), "opencv_batch4": _logits(wrong=60), "reference": _logits()}
    assert _failed(compare(logits, output_scale=SCALE)) == {SAME_PREDICTIONS}
    found = compare(logits, output_scale=SCALE, others=["opencv_batch4"])
    assert found.passed
    assert found.parity["opencv_batch4_vs_reference"].top1_agreement == 4 / 64
    assert "opencv" not in _detail(found, SAME_PREDICTIONS)
