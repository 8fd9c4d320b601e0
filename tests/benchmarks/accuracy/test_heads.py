"""What outputs decide, by task: yes or no by the threshold, classes, or nothing."""

import math

import numpy as np
import pytest

from eightbit.benchmarks.accuracy.fidelity import FidelityMeter, ParityMeter
from eightbit.benchmarks.accuracy.heads import SINGLE_LABEL, Head, Spread
from eightbit.benchmarks.accuracy.parity import different_predictions, predictions
from eightbit.benchmarks.accuracy.tally import ClassificationTally
from eightbit.models import Architecture, ModelSpec, Task

BINARY = Head(task=Task.BINARY)
MULTI = Head(task=Task.MULTI_LABEL)
REGRESSION = Head(task=Task.REGRESSION)


def _logits(*rows):
    return np.array(rows, dtype=np.float32)


def test_one_logit_says_yes_above_its_threshold_and_no_at_it():
    assert BINARY.decisions(_logits([-1], [0], [1e-6])).tolist() == [[0], [0], [1]]
    spec = ModelSpec(
        architecture=Architecture.RESNET18, num_classes=1, task=Task.BINARY, threshold=0.9
    )
    strict = Head.of(spec)
    assert strict.threshold_logit == pytest.approx(math.log(9))
    assert strict.decisions(_logits([2], [2.5])).tolist() == [[0], [1]]


def test_probabilities_of_logits_of_their_own_are_sigmoids():
    logits = _logits([0, math.log(3), -1e30])
    assert MULTI.probabilities(logits).tolist()[0] == pytest.approx([0.5, 0.75, 0])
    assert BINARY.top_probability(_logits([-1e30], [math.log(3)])) == pytest.approx([1, 0.75])
    with pytest.raises(ValueError, match="probabilities"):
        REGRESSION.probabilities(logits)


def test_every_task_makes_as_many_decisions_as_it_says():
    logits = _logits([1, -1, 2], [0, 0, 0])
    for head in (SINGLE_LABEL, MULTI, REGRESSION):
        assert head.decisions(logits).shape == (2, head.decisions_per_image(3))


def test_one_logit_is_right_or_wrong():
    tally = ClassificationTally(("int8",), head=BINARY)
    truth, names = [0, 1, 1, 0], list("abcd")
    tally.update(
        _logits([-2], [3], [1], [-1]), {"int8": _logits([-1], [2], [-1], [1])}, truth, names
    )
    result = tally.candidate_result("int8")
    assert (tally.reference_result().top1, result.top1) == (1, 0.5)
    assert (result.broke, result.fixed, result.flip_count, result.top5) == (2, 0, 2, None)
    assert [(flip.float_class, flip.int8_class) for flip in result.flips] == [(1, 0), (0, 1)]
    assert [entry.n for entry in result.classes] == [2, 2]


def _fidelity(head, reference, candidate):
    meter = FidelityMeter(head)
    for start in range(0, len(reference), 2):
        meter.update(reference[start : start + 2], candidate[start : start + 2])
    return meter.result()


def test_a_constant_candidate_of_one_logit_is_unlike_float():
    reference = _logits([-4], [-3], [-5], [6])
    result = _fidelity(BINARY, reference, np.full_like(reference, -1))
    assert (result.top1_agreement, result.n) == (0.75, 4)
    assert result.r2 is not None
    assert result.r2 <= 0


def test_decisions_of_several_labels_are_counted_one_by_one():
    reference, candidate = _logits([1, -1], [2, -2], [3, 1]), _logits([1, 1], [2, -2], [-3, 1])
    result = _fidelity(MULTI, reference, candidate)
    assert (result.decisions, predictions(result), different_predictions(result)) == (2, 6, 2)
    meter = ParityMeter(1.0, MULTI)
    meter.update(reference, candidate)
    assert different_predictions(meter.result()) == 2


def test_numbers_have_distances_and_no_agreement():
    reference = _logits([1, 10], [2, 20], [3, 30])
    result = _fidelity(REGRESSION, reference, reference + np.float32(1))
    assert (result.top1_agreement, result.mean_kl, result.decisions) == (None, None, 0)
    assert (result.mean_abs_error, result.max_abs_error) == (1, 1)
    assert result.r2 == pytest.approx(1 - 6 / (2 + 200))
    assert different_predictions(result) == 0


def test_the_divergence_of_one_logit_is_that_of_two_classes():
    pairs = np.array([[0.5], [-3], [7]]), np.array([[0.25], [-1], [6]])
    two = [np.concatenate([np.zeros_like(one), one], axis=1) for one in pairs]
    own, other = BINARY.divergence(*pairs), SINGLE_LABEL.divergence(*two)
    assert own is not None
    assert own == pytest.approx(other)


def test_the_spread_does_not_depend_on_the_batches():
    outputs = np.random.default_rng(0).normal(1e4, 1, (37, 3))
    whole, parts = Spread(), Spread()
    whole.update(outputs)
    for part in np.array_split(outputs, 9):
        parts.update(part)
    expected = np.square(outputs - outputs.mean(axis=0)).sum()
    assert whole.r2(1.0) == pytest.approx(1 - 1 / expected, rel=1e-12)
    assert parts.r2(1.0) == pytest.approx(1 - 1 / expected, rel=1e-9)


def test_of_constant_outputs_nothing_is_said():
    spread = Spread()
    spread.update(np.ones((3, 2)))
    assert spread.r2(0.0) is None


def test_how_far_outputs_are_from_other_decisions():
    logits = np.array([[3, 1, 2.5]], np.float32)
    found = [SINGLE_LABEL.distance(logits, np.array([[other]]))[0, 0] for other in range(3)]
    assert found == [0, 1, 0.25]
    several = Head(task=Task.MULTI_LABEL, threshold_logit=1.0)
    assert several.distance(logits, np.array([[1, 1, 0]])).tolist() == [[0, 0, 1.5]]
    assert REGRESSION.distance(logits, REGRESSION.decisions(logits)).shape == (1, 0)
