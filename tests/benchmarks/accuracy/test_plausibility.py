"""Answers against chance, and the order of the classes that they fit."""

import numpy as np
import pytest

from eightbit.benchmarks.accuracy.plausibility import (
    LabelledAnswers,
    against_chance,
    best_order,
    top1_interval,
)


def _labels(classes: int, images: int) -> np.ndarray:
    """As many of each class as can be, class after class."""
    return np.arange(images) * classes // images


def _answers(labels: np.ndarray, right: float, classes: int, seed: int = 0) -> np.ndarray:
    """So many right answers, the others drawn from the other classes."""
    rng = np.random.default_rng(seed)
    wrong = (labels + rng.integers(1, classes, len(labels))) % classes
    return np.where(rng.random(len(labels)) < right, labels, wrong)


def test_the_interval_is_that_of_clopper_and_pearson() -> None:
    assert top1_interval(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert top1_interval(0, 10) == (0, pytest.approx(0.3085, abs=1e-4))
    assert top1_interval(10, 10) == (pytest.approx(0.6915, abs=1e-4), 1)


def test_a_trained_network_is_above_chance() -> None:
    labels = _labels(10, 1000)
    found = against_chance(labels, _answers(labels, 0.6, 10))
    assert found.chance == pytest.approx(0.1, abs=0.01)
    assert found.shown
    assert found.enough
    assert not found.one_class


def test_an_untrained_network_is_not() -> None:
    labels = _labels(10, 1000)
    found = against_chance(labels, np.random.default_rng(1).integers(0, 10, 1000))
    assert not found.shown
    assert found.enough


def test_chance_is_one_in_the_classes_that_have_images() -> None:
    labels = np.repeat([3, 700], 100)
    assert against_chance(labels, labels).chance == 0.5
    # Answers that are spread over a thousand classes hit less often than that.
    assert against_chance(labels, np.arange(200)).chance == 0.5


def test_chance_knows_that_nearly_all_images_are_of_one_class() -> None:
    labels = np.repeat([0, 1], [950, 50])
    blind = np.random.default_rng(0).permutation(labels)
    found = against_chance(labels, blind)
    assert found.hits > 880
    assert found.chance == pytest.approx(0.95**2 + 0.05**2)
    assert not found.shown
    assert against_chance(labels, labels).shown


@pytest.mark.parametrize(("classes", "images"), [(2, 4), (10, 4), (1000, 2)])
def test_few_images_cannot_tell(classes: int, images: int) -> None:
    labels = np.arange(images) % classes
    assert not against_chance(labels, labels).enough


@pytest.mark.parametrize(("classes", "images"), [(2, 60), (10, 20), (1000, 1000)])
def test_a_network_halfway_to_perfect_is_told_from_chance_19_times_in_20(
    classes: int, images: int
) -> None:
    labels = _labels(classes, images)
    right = (1 + 1 / classes) / 2
    found = [against_chance(labels, _answers(labels, right, classes, seed)) for seed in range(200)]
    assert all(one.enough for one in found)
    assert sum(one.shown for one in found) >= 0.93 * len(found)


def test_images_of_a_single_class_say_nothing_of_chance() -> None:
    labels = np.full(100, 3)
    found = against_chance(labels, labels)
    assert (found.chance, found.enough, found.one_class) == (1.0, False, False)
    assert not against_chance(labels, np.full(100, 5)).one_class


def test_one_class_for_all_images_is_found() -> None:
    labels = _labels(10, 40)
    assert against_chance(labels, np.full(40, 7)).one_class
    assert not against_chance(np.array([0, 0, 0, 1]), np.zeros(4, dtype=np.int64)).one_class


def test_the_order_that_a_network_was_trained_with_is_found() -> None:
    labels = _labels(10, 600)
    order = np.random.default_rng(2).permutation(10)
    found = best_order(labels, order[_answers(labels, 0.8, 10)])
    assert found is not None
    assert found.better
    assert found.classes == dict(enumerate(order.tolist()))
    assert found.right.mean() == pytest.approx(0.8, abs=0.05)


def test_two_exchanged_classes_of_many_are_found() -> None:
    labels = _labels(10, 600)
    exchanged = np.array([0, 1, 3, 2, 4, 5, 6, 7, 8, 9])
    found = best_order(labels, exchanged[_answers(labels, 0.9, 10)])
    assert found is not None
    assert found.better
    assert [found.classes[2], found.classes[3]] == [3, 2]


@pytest.mark.parametrize("right", [0.1, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("per_class", [1, 2, 5, 50])
def test_no_order_is_better_than_the_right_one(right: float, per_class: int) -> None:
    labels = _labels(20, 20 * per_class)
    for seed in range(20):
        found = best_order(labels, _answers(labels, right, 20, seed))
        assert found is not None
        assert not found.better


def test_images_of_the_other_half_judge_so_one_a_class_proves_nothing() -> None:
    labels = np.arange(100)
    order = np.random.default_rng(3).permutation(100)
    found = best_order(labels, order)
    assert found is not None
    assert not found.better


def test_more_classes_than_can_be_matched_are_left_alone() -> None:
    labels = np.arange(3000)
    assert best_order(labels, labels) is None


def test_answers_are_kept_with_their_sample() -> None:
    kept = LabelledAnswers()
    kept.update([1, 2], np.array([1, 0]), [True, False])
    kept.update([0], np.array([2]), [True])
    assert len(kept) == 3
    assert kept.labels.tolist() == [1, 2, 0]
    assert kept.answers.tolist() == [1, 0, 2]
    assert kept.sampled.tolist() == [True, False, True]
