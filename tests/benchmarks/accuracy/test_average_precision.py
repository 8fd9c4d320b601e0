"""Average precision: worked out by hand, ties, its definition, and the interval of a drop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eightbit.benchmarks.accuracy.average_precision import (
    Ranking,
    average_precision,
    map_drop_interval_pp,
    mean_precision,
)
from eightbit.benchmarks.accuracy.paired import unchanged_end_pp


def _ap(scores, truth):
    return average_precision(np.array(scores, np.float32), np.array(truth, np.bool_))


@pytest.mark.parametrize(
    ("scores", "truth", "expected"),
    [
        # The example of scikit-learn's `average_precision_score`.
        ([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1], 1 / 2 * 1 + 1 / 2 * 2 / 3),
        ([3, 2, 1], [1, 1, 0], 1),
        ([3, 2, 1], [0, 0, 1], 1 / 3),
        # What scores alike counts at once: in no order of the two would it be 1 or 1/2.
        ([1, 1, 0], [1, 0, 0], 1 / 2),
        ([5, 5, 5, 5], [0, 1, 0, 0], 1 / 4),
        ([1, 2], [0, 0], None),
    ],
)
def test_average_precision_is_the_one_worked_out_by_hand(scores, truth, expected):
    assert _ap(scores, truth) == pytest.approx(expected)


def _by_definition(scores, truth):
    """sum (R_k - R_(k-1)) P_k over all thresholds."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        above = scores >= threshold
        now = truth[above].sum() / truth.sum()
        total += (now - recall) * truth[above].mean()
        recall = now
    return total


ranked = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), min_size=1)


@given(ranked)
def test_it_is_its_definition_and_a_weight_is_a_repetition(images):
    scores, truth, weights = (np.array(column) for column in zip(*images, strict=True))
    scores = scores.astype(np.float32)
    if truth.any():
        assert average_precision(scores, truth) == pytest.approx(_by_definition(scores, truth))
    repeated = np.repeat(np.arange(len(scores)), weights)
    if truth[repeated].any():
        (found,) = Ranking.of(scores, truth).precision(weights[None])
        assert found == pytest.approx(_by_definition(scores[repeated], truth[repeated]))


def test_the_mean_is_over_classes_that_have_positives():
    assert mean_precision([0.5, None, 1.0]) == 0.75
    assert mean_precision([None, None]) is None


def _scores(images=300, classes=4, noise=0.0, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random((images, classes)) < 0.3
    reference = (rng.standard_normal((images, classes)) + 2 * truth).astype(np.float32)
    candidate = reference + noise * rng.standard_normal(reference.shape)
    return reference, candidate.astype(np.float32), truth


def test_where_no_ranking_changed_the_interval_is_that_of_images_that_did_not_change():
    reference, _, truth = _scores()
    end = unchanged_end_pp(300)
    assert map_drop_interval_pp(reference, reference * 2, truth, samples=50) == (-end, end)


def test_the_interval_is_the_same_every_time_and_around_the_drop():
    reference, candidate, truth = _scores(noise=1.0)
    low, high = map_drop_interval_pp(reference, candidate, truth)
    assert (low, high) == map_drop_interval_pp(reference, candidate, truth)
    drop = 100 * np.mean(
        [
            _ap(reference[:, index], truth[:, index]) - _ap(candidate[:, index], truth[:, index])
            for index in range(4)
        ]
    )
    assert 0 < low < drop < high


def test_exchanged_models_have_the_opposite_interval():
    reference, candidate, truth = _scores(noise=0.5)
    low, high = map_drop_interval_pp(reference, candidate, truth, samples=200)
    other = map_drop_interval_pp(candidate, reference, truth, samples=200)
    assert other == pytest.approx((-high, -low), abs=1e-9)
