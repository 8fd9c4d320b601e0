"""The gate, with runners whose answers are known: each fault fails its own check, by name."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import nn

from eightbit.benchmarks.report.document import CoverageSection, OperatorCoverage
from eightbit.benchmarks.runtimes.runner import FloatArray, Runner
from eightbit.quantize.verify.verification import FLOAT, Verification, verify

CLASSES = 5
SCALE = 0.25
COVERED = OperatorCoverage(quantized=3, total=3)
EVERYTHING = CoverageSection(conv=COVERED, add=COVERED, linear=COVERED, pool=COVERED)

FINITE_TORCHSCRIPT = "torchscript: finite logits"
FINITE_ONNX = "onnx: finite logits"
FINITE_FLOAT = "fp32: finite logits"
FLOAT_ARTIFACT = "fp32 artefact computes the float network"
TORCHSCRIPT_LIKE_FLOAT = "torchscript predicts like the float model"
ONNX_LIKE_FLOAT = "onnx predicts like the float model"
SAME_PREDICTIONS = "torchscript vs onnx: same predictions"
COVERAGE = "onnx: everything computes in integers"
ALL = {
    *(FINITE_TORCHSCRIPT, FINITE_ONNX, FINITE_FLOAT, FLOAT_ARTIFACT),
    *(TORCHSCRIPT_LIKE_FLOAT, ONNX_LIKE_FLOAT, SAME_PREDICTIONS, COVERAGE),
}


class _Scores(nn.Module):
    """A network whose logits can be read off the picture's first row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0, 0, :].contiguous()


def _pictures(count: int) -> FloatArray:
    """Float32, shape (count, 3, 1, CLASSES): class ``i % CLASSES`` wins by two steps."""
    logits = np.arange(CLASSES) * SCALE + np.arange(count)[:, None] * 0.0
    logits[np.arange(count), np.arange(count) % CLASSES] += 2.0
    return np.repeat(logits[:, None, None, :], 3, axis=1).astype(np.float32)


def _answers(pictures: FloatArray, changes: Mapping[int, FloatArray] | None = None) -> Runner:
    """Answers as the network, but for the given pictures."""
    served = iter(range(len(pictures)))

    def run(batch: FloatArray) -> FloatArray:
        indices = [next(served) for _ in batch]
        logits = batch[:, 0, 0, :].copy()
        for row, index in enumerate(indices):
            if changes and index in changes:
                logits[row] = changes[index]
        return logits

    return run


def _wrong(count: int) -> dict[int, FloatArray]:
    """Another class for the first pictures."""
    return {
        index: np.eye(CLASSES, dtype=np.float32)[(index + 1) % CLASSES] for index in range(count)
    }


def _verify(
    *,
    images: int = 100,
    torchscript: Mapping[int, FloatArray] | None = None,
    onnx: Mapping[int, FloatArray] | None = None,
    fp32: Mapping[int, FloatArray] | None = None,
    coverage: CoverageSection | None = EVERYTHING,
) -> Verification:
    pictures = _pictures(images)
    runners = {
        "torchscript": _answers(pictures, torchscript),
        "onnx": _answers(pictures, onnx),
        FLOAT: _answers(pictures, fp32),
    }
    return verify(_Scores(), runners, pictures, output_scale=SCALE, coverage=coverage)


def _failed(verification: Verification) -> set[str]:
    return {check.name for check in verification.checks if not check.passed}


def test_good_artefacts_pass_every_check() -> None:
    verification = _verify()
    assert verification.passed
    assert verification.finite
    assert verification.images == 100
    assert {check.name for check in verification.checks} == ALL
    assert verification.fidelity["onnx"].top1_agreement == 1
    assert verification.parity["torchscript_vs_onnx"].max_lsb == 0


@pytest.mark.parametrize(
    ("faulty", "check"),
    [
        ("torchscript", FINITE_TORCHSCRIPT),
        ("onnx", FINITE_ONNX),
        ("fp32", FINITE_FLOAT),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_logit_that_is_no_number_fails(faulty: str, check: str, value: float) -> None:
    row = np.ones(CLASSES, dtype=np.float32)
    row[2] = value
    verification = _verify(**{faulty: {5: row}})
    assert _failed(verification) == {check}
    assert not verification.passed
    assert not verification.finite
    (failed,) = (found for found in verification.checks if not found.passed)
    assert failed.detail.startswith("1 of ")


def test_six_percent_between_the_artefacts_fail() -> None:
    verification = _verify(onnx=_wrong(6))
    assert _failed(verification) == {SAME_PREDICTIONS}
    (failed,) = (found for found in verification.checks if not found.passed)
    assert failed.detail == "6.0% of predictions differ, 5% allowed"


@pytest.mark.parametrize(("images", "wrong"), [(100, 5), (20, 1), (60, 3), (64, 3)])
def test_five_percent_between_the_artefacts_pass(images: int, wrong: int) -> None:
    assert _verify(images=images, torchscript=_wrong(wrong)).passed


def test_four_of_the_64_verification_images_fail() -> None:
    assert _failed(_verify(images=64, torchscript=_wrong(4))) == {SAME_PREDICTIONS}


def test_21_percent_against_the_float_model_fail_in_both() -> None:
    verification = _verify(torchscript=_wrong(21), onnx=_wrong(21))
    assert _failed(verification) == {TORCHSCRIPT_LIKE_FLOAT, ONNX_LIKE_FLOAT}


def test_21_percent_against_20_fail_only_the_one_artefact() -> None:
    verification = _verify(torchscript=_wrong(21), onnx=_wrong(20))
    assert _failed(verification) == {TORCHSCRIPT_LIKE_FLOAT}


@pytest.mark.parametrize(("images", "wrong"), [(100, 20), (35, 7), (15, 3), (5, 1)])
def test_20_percent_against_the_float_model_pass(images: int, wrong: int) -> None:
    assert _verify(images=images, torchscript=_wrong(wrong), onnx=_wrong(wrong)).passed


@pytest.mark.parametrize(("error", "failed"), [(0.5e-3, set()), (2e-3, {FLOAT_ARTIFACT})])
def test_the_float_artefact_may_differ_by_last_bits_only(error: float, failed: set[str]) -> None:
    pictures = _pictures(100)
    largest = float(np.abs(pictures).max())
    row = pictures[0, 0, 0].copy()
    row[0] += error * largest
    assert _failed(_verify(fp32={0: row})) == failed


@pytest.mark.parametrize("kind", ["conv", "add", "linear", "pool"])
def test_one_operator_in_float_fails(kind: str) -> None:
    partly = OperatorCoverage(quantized=2, total=3)
    verification = _verify(coverage=EVERYTHING.model_copy(update={kind: partly}))
    assert _failed(verification) == {COVERAGE}
    (failed,) = (found for found in verification.checks if not found.passed)
    assert f"{kind} 2/3" in failed.detail


def test_an_operator_that_is_meant_to_be_in_float_passes() -> None:
    meant = OperatorCoverage(quantized=2, total=3, meant_as_float=1)
    verification = _verify(coverage=EVERYTHING.model_copy(update={"conv": meant}))
    assert verification.passed
    (check,) = (found for found in verification.checks if found.name.startswith(COVERAGE))
    assert check.name == f"{COVERAGE}, but for what the recipe leaves in float"
    assert check.detail == "conv 2/3, add 3/3, linear 3/3, pool 3/3; in float by the recipe: conv 1"


@pytest.mark.parametrize("quantized", [1, 3])
def test_another_number_of_float_operators_than_meant_fails(quantized: int) -> None:
    other = OperatorCoverage(quantized=quantized, total=3, meant_as_float=1)
    assert not _verify(coverage=EVERYTHING.model_copy(update={"add": other})).passed


def test_without_an_onnx_artefact_nothing_is_said_about_coverage() -> None:
    assert COVERAGE not in {check.name for check in _verify(coverage=None).checks}


def test_a_deviation_in_last_bits_passes_and_is_measured() -> None:
    row = _pictures(1)[0, 0, 0].copy()
    row[3] += 2 * SCALE
    verification = _verify(onnx={0: row})
    assert verification.passed
    parity = verification.parity["torchscript_vs_onnx"]
    assert parity.max_lsb == 2
    assert parity.identical_fraction == 499 / 500
    assert verification.fidelity["onnx"].sqnr_db is not None


def test_whoever_watches_is_told_of_every_model() -> None:
    pictures = _pictures(3)
    steps: list[int] = []
    runners = {"onnx": _answers(pictures), FLOAT: _answers(pictures)}
    verify(_Scores(), runners, pictures, output_scale=SCALE, coverage=None, advance=steps.append)
    assert steps == [1, 1, 1]
