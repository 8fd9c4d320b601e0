"""Class by class: counts and tests by hand, and the correction for looking at many classes."""

import numpy as np
import pytest

from eightbit.benchmarks.accuracy.paired import mcnemar_p
from eightbit.benchmarks.accuracy.per_class import ClassCounter, adjusted


def counted(classes, *images):
    """Of images as (true class, float right, candidate right)."""
    counter = ClassCounter(classes)
    for truth, reference, candidate in images:
        counter.update(np.array([truth]), np.array([reference]), np.array([candidate]))
    return counter.result()


def test_what_happens_to_a_class_is_counted():
    first, last = counted(
        4, (0, True, False), (0, True, True), (0, False, False), (0, False, True), (3, True, False)
    )
    assert (first.index, first.n, first.broke, first.fixed) == (0, 4, 1, 1)
    assert (first.top1_fp32, first.drop_pp, first.p_value) == (0.5, 0.0, 1.0)
    assert (last.index, last.n, last.broke, last.fixed) == (3, 1, 1, 0)
    assert (last.top1_fp32, last.drop_pp) == (1.0, 100.0)


def test_a_batch_is_counted_like_its_images_one_by_one():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 5, size=300)
    reference, candidate = generator.uniform(size=(2, 300)) < 0.7
    counter = ClassCounter(5)
    counter.update(truth, reference, candidate)
    assert counter.result() == counted(5, *zip(truth, reference, candidate, strict=True))


def test_each_class_has_its_own_test_and_it_is_corrected_for_all():
    # Of 6 broken p is 1/32, of 8 it is 1/128, of none 1: the correction multiplies by
    # classes / rank, here 3/2 and 3/1.
    images = [(0, True, False)] * 6 + [(1, True, False)] * 8 + [(2, True, True)]
    six, eight, none = counted(3, *images)
    assert (six.p_value, eight.p_value, none.p_value) == (1 / 32, 1 / 128, 1)
    assert six.p_adjusted == pytest.approx(1 / 32 * 3 / 2)
    assert eight.p_adjusted == pytest.approx(1 / 128 * 3)
    assert none.p_adjusted == 1


def test_the_correction_is_that_of_the_paper():
    # Benjamini and Hochberg 1995, section 3.2: of fifteen tests the first four are significant at
    # 5 %, where Bonferroni's correction leaves three.
    p_values = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262,
        0.5719, 0.6528, 0.7590, 1.0000,
    ]  # fmt: skip
    found = adjusted(p_values[::-1])[::-1]
    assert [p_value <= 0.05 for p_value in found] == [True] * 4 + [False] * 11
    assert found[3] == pytest.approx(0.0095 * 15 / 4)
    assert found == sorted(found)


def test_of_many_classes_that_lose_nothing_hardly_ever_one_is_named():
    generator = np.random.default_rng(0)
    named = 0
    for _ in range(200):
        changed = generator.poisson(20, size=100)
        p_values = [
            mcnemar_p(int(broke), int(total - broke))
            for total, broke in zip(changed, generator.binomial(changed, 0.5), strict=True)
        ]
        named += min(adjusted(p_values)) < 0.05
    # Without the correction it would be all 200.
    assert named <= 15


def test_classes_without_images_are_left_out():
    assert [entry.index for entry in counted(1000, (999, True, True), (7, True, True))] == [7, 999]


def test_without_images_there_is_no_result():
    with pytest.raises(ValueError, match="no image"):
        ClassCounter(3).result()
