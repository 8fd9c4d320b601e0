"""The drop's interval and test: published figures, coverage and power summed over all outcomes."""

import math
from itertools import product
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from eightbit.benchmarks.accuracy.paired import (
    drop_interval_pp,
    images_needed,
    images_to_see,
    mcnemar_p,
)
from eightbit.benchmarks.accuracy.tally import ClassificationTally

SQUARED = NormalDist().inv_cdf(0.975) ** 2


@pytest.mark.parametrize(
    ("broke", "fixed", "images", "published"),
    [
        # T. Tango, Statistics in Medicine 17 (1998).
        (9, 3, 32, (-0.027, 0.390)),
        # A. Agresti, Y. Min, Statistics in Medicine 24 (2005).
        (16, 8, 86, (-0.020, 0.207)),
        # M. Fagerland et al., Statistics in Medicine 33 (2014).
        (1, 7, 21, (-0.517, -0.026)),
    ],
)
def test_it_is_the_published_interval(broke, fixed, images, published):
    found = drop_interval_pp(broke, fixed, images)
    assert tuple(round(end / 100, 3) for end in found) == published


def score(broke, fixed, images, drop):
    """Tango's statistic as he writes it, from the constrained maximum of the likelihood."""
    a, b, c = 2 * images, -broke - fixed + (2 * images - broke + fixed) * drop, -fixed
    q = (math.sqrt(b * b - 4 * a * c * drop * (1 - drop)) - b) / (2 * a)
    return (broke - fixed - images * drop) / math.sqrt(images * (2 * q + drop * (1 - drop)))


@pytest.mark.parametrize(
    ("broke", "fixed", "images"), [(30, 26, 4000), (5, 0, 4000), (0, 1, 3), (1, 1, 2), (99, 0, 100)]
)
def test_its_ends_are_the_drops_that_the_score_test_just_rejects(broke, fixed, images):
    low, high = drop_interval_pp(broke, fixed, images)
    assert score(broke, fixed, images, low / 100) == pytest.approx(math.sqrt(SQUARED), abs=1e-6)
    assert score(broke, fixed, images, high / 100) == pytest.approx(-math.sqrt(SQUARED), abs=1e-6)
    assert low < 100 * (broke - fixed) / images < high


def test_without_any_difference_it_is_as_wide_as_the_number_of_images_says():
    low, high = drop_interval_pp(0, 0, 4000)
    assert high == -low == pytest.approx(100 * SQUARED / (4000 + SQUARED), abs=1e-12)
    # Not below what could happen unseen: the rule of three.
    assert high > 100 * (1 - 0.025 ** (1 / 4000))


@pytest.mark.parametrize("images", [1, 6, 4000])
def test_where_every_image_changed_it_has_a_width_all_the_same(images):
    low, high = drop_interval_pp(images, 0, images)
    assert high == 100
    assert low == pytest.approx(100 * (1 - 2 * SQUARED / (images + SQUARED)))
    assert drop_interval_pp(0, images, images) == (-high, -low)


@pytest.mark.parametrize("images", [1, 2, 3, 7])
def test_it_never_leaves_the_possible_and_holds_what_was_counted(images):
    for broke, fixed in product(range(images + 1), repeat=2):
        if broke + fixed <= images:
            low, high = drop_interval_pp(broke, fixed, images)
            assert -100 <= low <= 100 * (broke - fixed) / images <= high <= 100
            assert low < high
            assert drop_interval_pp(fixed, broke, images) == (-high, -low)


def test_it_keeps_its_digits_where_almost_nothing_changed():
    # Few in many: the interval of a Poisson count, whatever the number of images.
    few = np.array(drop_interval_pp(3, 2, 10**6)) * 10**6
    fewer = np.array(drop_interval_pp(3, 2, 10**9)) * 10**9
    assert few == pytest.approx(fewer, rel=1e-4)


@pytest.mark.parametrize("counts", [(0, 0, 0), (3, 2, 4), (-1, 0, 9), (0, -1, 9)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="expected counts"):
        drop_interval_pp(*counts)
    with pytest.raises(ValueError, match="expected counts"):
        images_needed(*counts, 1.0)


def outcomes(images, broke, fixed):
    """Every pair of counts that is not too improbable, with its probability."""
    changed = broke + fixed
    first, last = (int(count) for count in binom.ppf([1e-6, 1 - 1e-6], images, changed))
    for total in range(first, last + 1):
        weights = binom.pmf(total, images, changed) * binom.pmf(
            range(total + 1), total, broke / changed
        )
        yield from (
            (count, total - count, weight) for count, weight in enumerate(weights) if weight > 1e-7
        )


def coverage(images, broke, fixed):
    """How probable it is that the interval holds the true drop."""
    true_pp = 100 * (broke - fixed)
    covered = 0.0
    for lost, won, weight in outcomes(images, broke, fixed):
        low, high = drop_interval_pp(lost, won, images)
        covered += weight * (low <= true_pp <= high)
    return covered


@pytest.mark.parametrize("images", [400, 4000, 50_000])
@pytest.mark.parametrize("changed", [5, 7, 12, 25, 60])
@pytest.mark.parametrize("share", [0.5, 0.7, 1.0], ids=lambda share: f"{share:.0%} broke")
def test_it_covers_the_true_drop_93_to_97_times_of_100(images, changed, share):
    broke, fixed = share * changed / images, (1 - share) * changed / images
    assert 0.93 <= coverage(images, broke, fixed) <= 0.97


@pytest.mark.parametrize(("images", "broke", "fixed"), [(100, 0.2, 0.1), (100, 0.25, 0.25)])
def test_it_covers_large_drops_too(images, broke, fixed):
    assert 0.93 <= coverage(images, broke, fixed) <= 0.97


@pytest.mark.parametrize("images", [20, 100, 4000])
@pytest.mark.parametrize("changed", [0.1, 0.5, 1, 2, 3, 4])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.0], ids=lambda share: f"{share:.0%} broke")
def test_with_few_changed_images_it_is_rather_too_wide(images, changed, share):
    assert coverage(images, share * changed / images, (1 - share) * changed / images) >= 0.93


@pytest.mark.parametrize(
    ("broke", "fixed", "images", "bound_pp"),
    [
        (0, 0, 100, 0.5),
        (10, 10, 1000, 0.5),
        (30, 20, 4000, 0.4),
        (20, 30, 4000, 0.0),
        (1, 0, 3, 40),
        (0, 0, 4000, 1.0),
    ],
)
def test_so_many_images_are_just_enough(broke, fixed, images, bound_pp):
    enough = images_needed(broke, fixed, images, bound_pp)
    assert enough is not None

    def score_of_bound(count):
        share = count / images
        return score(broke * share, fixed * share, count, bound_pp / 100)

    # With as many the bound is rejected, with one fewer it is not.
    assert -score_of_bound(enough) >= math.sqrt(SQUARED) > -score_of_bound(enough - 1)


def test_a_network_that_loses_nothing_needs_almost_four_hundred_over_the_bound():
    assert images_needed(0, 0, 40, 0.5) == math.ceil(SQUARED * (1 / 0.005 - 1)) == 765


@pytest.mark.parametrize(("broke", "bound_pp"), [(5, 5.0), (5, 4.0), (0, 0.0), (0, -1.0)])
def test_no_number_of_images_shows_what_is_not_so(broke, bound_pp):
    assert images_needed(broke, 0, 100, bound_pp) is None


@pytest.mark.parametrize(
    ("broke", "fixed", "expected"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (3, 3, 1.0),
        (5, 0, 2 / 2**5),
        (0, 6, 2 / 2**6),
        (8, 2, 2 * (1 + 10 + 45) / 2**10),
    ],
)
def test_mcnemar_counts_the_tosses_of_a_coin(broke, fixed, expected):
    assert mcnemar_p(broke, fixed) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("broke", "fixed"), [(30, 26), (60, 52), (1, 7), (200, 120), (5000, 4000)])
def test_mcnemar_is_the_exact_binomial_test(broke, fixed):
    expected = binomtest(broke, broke + fixed).pvalue
    assert mcnemar_p(broke, fixed) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_less_than_nothing_is_refused():
    with pytest.raises(ValueError, match="expected counts"):
        mcnemar_p(-1, 3)


def test_the_images_to_see_a_drop_are_those_of_the_formula():
    # (1.959964 sqrt(0.008) + 0.841621 sqrt(0.008 - 0.000001))^2 / 0.000001
    assert images_to_see(0.1, 0.008) == pytest.approx(62_790, abs=2)
    assert images_to_see(-0.1, 0.008) == images_to_see(0.1, 0.008)


@pytest.mark.parametrize(("drop", "changed"), [(0.01, 0.05), (0.02, 0.05), (0.005, 0.02)])
def test_so_many_images_show_the_drop_four_times_in_five(drop, changed):
    images = images_to_see(100 * drop, changed)
    seen = sum(
        weight
        for lost, won, weight in outcomes(images, (changed + drop) / 2, (changed - drop) / 2)
        if drop_interval_pp(lost, won, images)[0] > 0
    )
    assert seen == pytest.approx(0.8, abs=0.02)


def test_a_drop_changes_at_least_as_many_images():
    assert images_to_see(0.1, 0.0) == images_to_see(0.1, 0.001) < images_to_see(0.1, 0.002)


@pytest.mark.parametrize(("drop_pp", "share"), [(0, 0.1), (101, 0.1), (1, -0.1), (1, 1.1)])
def test_no_number_of_images_shows_no_drop(drop_pp, share):
    with pytest.raises(ValueError, match="expected a drop and a share"):
        images_to_see(drop_pp, share)


def test_every_evaluation_has_them_if_there_are_labels():
    logits = np.eye(3, dtype=np.float32)
    tally = ClassificationTally(["onnx"])
    tally.update(logits, {"onnx": logits[[0, 1, 1]]}, [0, 1, 2], ["a", "b", "c"])
    assert tally.candidate_result("onnx").drop_ci95_pp == drop_interval_pp(1, 0, 3)
    assert tally.candidate_result("onnx").mcnemar_p == 1.0
    tally = ClassificationTally(["onnx"])
    tally.update(logits, {"onnx": logits}, None, ["a", "b", "c"])
    assert tally.candidate_result("onnx").drop_ci95_pp is None
    assert tally.candidate_result("onnx").mcnemar_p is None
