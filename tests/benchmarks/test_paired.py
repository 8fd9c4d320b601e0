"""The interval of the drop: the published figures, its coverage, and how many images it takes."""

import math

import numpy as np
import pytest

from eightbit.benchmarks.accuracy import ClassificationTally
from eightbit.benchmarks.paired import drop_interval_pp, images_needed


def test_it_is_the_published_interval():
    # PropCIs::diffpropci.mp(b = 40, c = 20, n = 160), the R package's own example of Agresti and
    # Min's Wald+2; it takes the difference the other way round.
    assert drop_interval_pp(20, 40, 160) == pytest.approx((-21.601726, -3.089632), abs=1e-6)
    assert drop_interval_pp(40, 20, 160) == pytest.approx((3.089632, 21.601726), abs=1e-6)


def test_it_is_the_formula_of_the_paper():
    # (60.5 - 52.5) / 4002 +- 1.959964 * sqrt(113 - 64 / 4002) / 4002
    assert drop_interval_pp(60, 52, 4000) == pytest.approx((-0.32066, 0.72046), abs=1e-4)


def test_without_any_difference_it_is_as_wide_as_the_number_of_images_says():
    low, high = drop_interval_pp(0, 0, 4000)
    assert high == -low == pytest.approx(100 * 1.959964 / 4002, abs=1e-6)


def test_it_never_leaves_the_possible():
    assert drop_interval_pp(1, 0, 1)[1] == 100
    assert drop_interval_pp(0, 1, 1)[0] == -100


@pytest.mark.parametrize("counts", [(0, 0, 0), (3, 2, 4), (-1, 0, 9), (0, -1, 9)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match="expected counts"):
        drop_interval_pp(*counts)


@pytest.mark.parametrize(
    ("images", "broke", "fixed"),
    [
        (100, 0.20, 0.10),
        (500, 0.05, 0.05),
        (1000, 0.03, 0.01),
        (4000, 0.010, 0.008),
        (4000, 0.06, 0.01),
        (50_000, 0.002, 0.001),
    ],
)
def test_it_covers_the_true_drop_95_times_of_100(images, broke, fixed):
    draws = np.random.default_rng(0).multinomial(
        images, (broke, fixed, 1 - broke - fixed), size=4000
    )
    true_pp = 100 * (broke - fixed)
    intervals = [drop_interval_pp(int(b), int(c), images) for b, c, _ in draws]
    covered = np.mean([low <= true_pp <= high for low, high in intervals])
    assert 0.93 <= covered <= 0.97


@pytest.mark.parametrize(
    ("broke", "fixed", "images", "bound_pp"),
    [(0, 0, 100, 0.5), (10, 10, 1000, 0.5), (30, 20, 4000, 0.4), (20, 30, 4000, 0.0)],
)
def test_so_many_images_are_just_enough(broke, fixed, images, bound_pp):
    enough = images_needed(broke, fixed, images, bound_pp)
    assert enough is not None

    def upper_pp(count):
        b, c = broke * count / images, fixed * count / images
        half = 1.959964 * math.sqrt(b + c + 1 - (b - c) ** 2 / (count + 2))
        return 100 * (b - c + half) / (count + 2)

    assert upper_pp(enough) <= bound_pp < upper_pp(enough - 1)


def test_a_network_that_loses_nothing_needs_two_hundred_over_the_bound():
    assert images_needed(0, 0, 40, 0.5) == pytest.approx(196 / 0.5, abs=2)


@pytest.mark.parametrize(("broke", "bound_pp"), [(5, 5.0), (5, 4.0), (0, 0.0), (0, -1.0)])
def test_no_number_of_images_shows_what_is_not_so(broke, bound_pp):
    assert images_needed(broke, 0, 100, bound_pp) is None


def test_every_evaluation_has_it_if_there_are_labels():
    logits = np.eye(3, dtype=np.float32)
    tally = ClassificationTally(["onnx"])
    tally.update(logits, {"onnx": logits[[0, 1, 1]]}, [0, 1, 2], ["a", "b", "c"])
    assert tally.candidate_result("onnx").drop_ci95_pp == drop_interval_pp(1, 0, 3)
    tally = ClassificationTally(["onnx"])
    tally.update(logits, {"onnx": logits}, None, ["a", "b", "c"])
    assert tally.candidate_result("onnx").drop_ci95_pp is None
