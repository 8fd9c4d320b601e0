"""Confidence: a worked example, the borders of the bins, logits far apart."""

import numpy as np
import pytest

from eightbit.benchmarks.accuracy.confidence import CONFIDENCE_BINS, ConfidenceMeter
from eightbit.benchmarks.accuracy.heads import SINGLE_LABEL


def metered(confidence, right, batches=1):
    meter = ConfidenceMeter()
    for part in np.array_split(np.arange(len(confidence)), batches):
        meter.update(np.array(confidence, dtype=np.float64)[part], np.array(right, bool)[part])
    return meter.result()


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_the_error_is_the_one_worked_out_by_hand(batches):
    # Bins are a fifteenth wide: 0.95, 0.97 and 0.99 lie in the last, 0.61 and 0.65 in the tenth.
    #   last:  3 images, confidence 2.91, 2 right -> distance 0.91
    #   tenth: 2 images, confidence 1.26, 1 right -> distance 0.26
    found = metered([0.95, 0.61, 0.97, 0.65, 0.99], [1, 1, 0, 0, 1], batches)
    assert found.ece == pytest.approx((0.91 + 0.26) / 5)
    assert found.mean_confidence == pytest.approx((2.91 + 1.26) / 5)
    assert [entry.images for entry in found.bins] == [0] * 9 + [2] + [0] * 4 + [3]
    assert found.bins[-1].mean_confidence == pytest.approx(0.97)
    assert found.bins[-1].accuracy == pytest.approx(2 / 3)
    assert found.bins[9].accuracy == 0.5
    assert (found.bins[0].mean_confidence, found.bins[0].accuracy) == (None, None)


def test_too_sure_in_one_bin_is_not_made_good_by_too_modest_in_another():
    # 0.9 and wrong, 0.1 and right: on average both are 0.5.
    assert metered([0.9, 0.1], [0, 1]).ece == pytest.approx(0.9)


def test_a_bin_includes_its_upper_end_and_not_its_lower():
    third = metered([1 / 3, np.nextafter(1 / 3, 1)], [1, 1])
    assert [index for index, entry in enumerate(third.bins) if entry.images] == [4, 5]


def test_certainty_lies_in_the_last_bin_and_impossibility_in_the_first():
    ends = metered([1.0, 0.0], [1, 0])
    assert len(ends.bins) == CONFIDENCE_BINS == 15
    assert (ends.bins[0].images, ends.bins[-1].images) == (1, 1)
    assert ends.ece == 0


def test_a_calibrated_model_has_next_to_no_error():
    generator = np.random.default_rng(0)
    confidence = generator.uniform(size=200_000)
    assert metered(confidence, generator.uniform(size=200_000) < confidence).ece < 0.01


def test_without_images_there_is_no_result():
    with pytest.raises(ValueError, match="no image"):
        ConfidenceMeter().result()


def test_probabilities_of_logits_far_apart_are_finite_and_exact():
    logits = np.array([[3e38, -3e38, 0], [-1e4, -1e4, -1e4], [2.0, 2.0, -1e30]], dtype=np.float32)
    assert SINGLE_LABEL.top_probability(logits) == pytest.approx([1, 1 / 3, 1 / 2], rel=1e-15)


def test_no_probability_exceeds_one():
    rows = np.random.default_rng(0).standard_normal((1000, 1000), dtype=np.float32) * 50
    top = SINGLE_LABEL.top_probability(rows)
    assert top.max() <= 1
    assert top.min() > 1 / 1000
