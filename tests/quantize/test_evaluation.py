"""Accuracy, fidelity and parity in one pass, with answers that are known."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from eightbit.benchmarks.contract import FloatArray, Runner
from eightbit.models.errors import InputError
from eightbit.quantize.evaluation import evaluate_runners
from eightbit.quantize.images import Batch
from eightbit.quantize.verification import FLOAT

CLASSES = 6
NAMES = tuple(f"{index}.png" for index in range(10))
LABELS = {name: index % CLASSES for index, name in enumerate(NAMES)}


def _batches(size: int) -> Iterator[Batch]:
    for start in range(0, len(NAMES), size):
        names = NAMES[start : start + size]
        pixels = np.zeros((len(names), 3, 1, 1), dtype=np.float32)
        pixels[:, 0, 0, 0] = range(start, start + len(names))
        yield Batch(names=names, pixels=pixels)


def _predicts(classes: Sequence[int]) -> Runner:
    """Answers picture ``i`` with ``classes[i]``."""

    def run(batch: FloatArray) -> FloatArray:
        chosen = [classes[int(index)] for index in batch[:, 0, 0, 0]]
        return np.eye(CLASSES, dtype=np.float32)[chosen]

    return run


TRUTH = [LABELS[name] for name in NAMES]
# Each is wrong on other pictures: float on the last two, the candidate on the first.
FLOAT_CLASSES = [*TRUTH[:8], 0, 0]
CANDIDATE_CLASSES = [5, *TRUTH[1:9], 0]


@pytest.mark.parametrize("size", [1, 4, 32])
def test_drop_and_flips_are_counted_image_by_image(size: int) -> None:
    runners = {"onnx": _predicts(CANDIDATE_CLASSES), FLOAT: _predicts(FLOAT_CLASSES)}
    told: list[int] = []
    found = evaluate_runners(runners, _batches(size), LABELS, output_scale=1.0, advance=told.append)
    assert found.accuracy.fp32.top1 == 0.8
    onnx = found.accuracy.onnx
    assert onnx is not None
    assert (onnx.top1, onnx.drop_pp, onnx.broke, onnx.fixed) == (0.8, 0.0, 1, 1)
    assert [flip.image for flip in onnx.flips] == ["0.png", "8.png"]
    assert onnx.top1_agreement == found.fidelity["onnx"].top1_agreement == 0.8
    assert sum(told) == len(NAMES)


def test_a_single_artefact_has_no_parity() -> None:
    runners = {"torchscript": _predicts(TRUTH), FLOAT: _predicts(TRUTH)}
    found = evaluate_runners(runners, _batches(4), LABELS, output_scale=1.0)
    assert found.parity == {}
    assert found.accuracy.onnx is None


def test_two_artefacts_are_compared_with_each_other() -> None:
    runners = {
        "torchscript": _predicts(TRUTH),
        "onnx": _predicts(CANDIDATE_CLASSES),
        FLOAT: _predicts(TRUTH),
    }
    found = evaluate_runners(runners, _batches(4), LABELS, output_scale=0.5)
    parity = found.parity["torchscript_vs_onnx"]
    assert parity.n == len(NAMES)
    assert parity.max_lsb == 2
    assert parity.top1_agreement == 0.8


def test_without_labels_there_is_agreement_and_no_accuracy() -> None:
    runners = {"onnx": _predicts(CANDIDATE_CLASSES), FLOAT: _predicts(FLOAT_CLASSES)}
    found = evaluate_runners(runners, _batches(4), None, output_scale=1.0)
    onnx = found.accuracy.onnx
    assert onnx is not None
    assert found.accuracy.fp32.top1 is onnx.top1 is onnx.drop_pp is None
    assert onnx.top1_agreement == 0.8


@pytest.mark.parametrize("name", ["onnx", FLOAT])
def test_a_logit_that_is_no_number_is_refused(name: str) -> None:
    def broken(batch: FloatArray) -> FloatArray:
        return np.full((len(batch), CLASSES), np.nan, dtype=np.float32)

    runners = {"onnx": _predicts(TRUTH), FLOAT: _predicts(TRUTH), name: broken}
    with pytest.raises(InputError, match="expected finite logits"):
        evaluate_runners(runners, _batches(4), LABELS, output_scale=1.0)
