"""Accuracy, fidelity and parity in one pass, with answers that are known."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.errors import InputError
from eightbit.quantize.measure.evaluation import Evaluation, Evaluator, failed_finite_check
from eightbit.quantize.verify.verification import FLOAT

CLASSES = 6
NAMES = tuple(f"{index}.png" for index in range(10))
LABELS = {name: index % CLASSES for index, name in enumerate(NAMES)}


TRUTH = [LABELS[name] for name in NAMES]
# Each is wrong on other pictures: float on the last two, the candidate on the first.
FLOAT_CLASSES = [*TRUTH[:8], 0, 0]
CANDIDATE_CLASSES = [5, *TRUTH[1:9], 0]


def _logits(classes: Sequence[int]) -> FloatArray:
    return np.eye(CLASSES, dtype=np.float32)[list(classes)]


def _parts(size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, len(NAMES), size))


def _evaluated(
    answers: dict[str, Sequence[int]],
    *,
    size: int = 4,
    labels: dict[str, int] | None = LABELS,
    output_scale: float = 1.0,
) -> Evaluation:
    evaluator = Evaluator(list(answers), labels, output_scale=output_scale)
    for part in _parts(size):
        logits = {name: _logits(classes[part]) for name, classes in answers.items()}
        evaluator.update(NAMES[part], logits)
    return evaluator.result()


@pytest.mark.parametrize("size", [1, 4, 32])
def test_drop_and_flips_are_counted_image_by_image(size: int) -> None:
    found = _evaluated({"onnx": CANDIDATE_CLASSES, FLOAT: FLOAT_CLASSES}, size=size)
    assert found.accuracy.fp32.top1 == 0.8
    onnx = found.accuracy.onnx
    assert onnx is not None
    assert (onnx.top1, onnx.drop_pp, onnx.broke, onnx.fixed) == (0.8, 0.0, 1, 1)
    assert [flip.image for flip in onnx.flips] == ["0.png", "8.png"]
    assert onnx.top1_agreement == found.fidelity["onnx"].top1_agreement == 0.8


def test_a_single_artefact_has_no_parity() -> None:
    found = _evaluated({"torchscript": TRUTH, FLOAT: TRUTH})
    assert found.parity == {}
    assert found.accuracy.onnx is None


def test_two_artefacts_are_compared_with_each_other() -> None:
    answers = {"torchscript": TRUTH, "onnx": CANDIDATE_CLASSES, FLOAT: TRUTH}
    parity = _evaluated(answers, output_scale=0.5).parity["torchscript_vs_onnx"]
    assert parity.n == len(NAMES)
    assert parity.max_lsb == 2
    assert parity.top1_agreement == 0.8


def test_without_labels_there_is_agreement_and_no_accuracy() -> None:
    found = _evaluated({"onnx": CANDIDATE_CLASSES, FLOAT: FLOAT_CLASSES}, labels=None)
    onnx = found.accuracy.onnx
    assert onnx is not None
    assert found.accuracy.fp32.top1 is onnx.top1 is onnx.drop_pp is None
    assert onnx.top1_agreement == 0.8


@pytest.mark.parametrize("name", ["onnx", FLOAT])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_is_a_failed_check_and_never_counted(
    name: str, value: float
) -> None:
    logits = {"onnx": _logits(TRUTH), FLOAT: _logits(TRUTH)}
    assert failed_finite_check(logits, NAMES[0]) is None
    logits[name][2, 3] = logits[name][4, 0] = value
    check = failed_finite_check(logits, NAMES[0])
    assert check is not None
    assert not check.passed
    assert check.name == "evaluation: finite logits"
    assert f"of {len(NAMES) * CLASSES} logits from 0.png on: {name} 2;" in check.detail
    with pytest.raises(InputError, match="expected finite logits"):
        Evaluator(list(logits), LABELS, output_scale=1.0).update(NAMES, logits)
