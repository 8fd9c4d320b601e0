"""How much worse one report is than another: the numbers, and whether their intervals hold."""

import math

import numpy as np
import pytest
from tests.synthetic_reports.answers import IMAGES, RIGHT, answers

from eightbit.benchmarks.accuracy.paired import drop_interval_pp
from eightbit.benchmarks.comparison.differences import (
    Loss,
    accuracy_loss,
    difference,
    score_loss,
    speed_loss,
)


def test_two_artefacts_on_the_same_images_are_compared_image_by_image():
    old = answers(broke=(0, 1, 2), fixed=(RIGHT,))
    new = answers(broke=(2, 3, 4, 5), fixed=(RIGHT, RIGHT + 1))

    loss = accuracy_loss(new, old, same_answers=True)

    # 3, 4 and 5 are lost, 0, 1 and RIGHT + 1 are won; 2 and RIGHT are answered alike.
    assert loss == Loss(value=0.0, interval=drop_interval_pp(3, 3, IMAGES), paired=True)


def test_without_labels_an_answer_is_right_if_it_is_the_float_models():
    old = answers(broke=(0, 1), labelled=False)
    new = answers(broke=(1, 2, 3), fixed=(RIGHT,), labelled=False)

    loss = accuracy_loss(new, old, same_answers=True)

    assert loss == Loss(
        value=100 * 2 / IMAGES, interval=drop_interval_pp(3, 1, IMAGES), paired=True
    )


def test_the_same_answers_lose_nothing_however_many_differ_from_float():
    same = answers(broke=range(40), fixed=range(RIGHT, RIGHT + 20))

    loss = accuracy_loss(same, same, same_answers=True)

    assert loss.value == 0
    assert max(map(abs, loss.interval)) < 0.1


@pytest.mark.parametrize("which", ["new", "old"])
def test_where_flips_are_only_counted_the_two_are_taken_for_independent(which):
    new = answers(broke=range(30), listed=which != "new")
    old = answers(broke=range(10), listed=which != "old")

    loss = accuracy_loss(new, old, same_answers=True)

    low, high = difference(
        0.75, drop_interval_pp(30, 0, IMAGES), 0.25, drop_interval_pp(10, 0, IMAGES)
    )
    assert not loss.paired
    assert loss.value == pytest.approx(0.5)
    assert loss.interval == pytest.approx((low, high))


def test_accuracy_itself_has_newcombes_interval():
    """Example (a) of the paper: 56 of 70 against 48 of 80 gives 0.0524 to 0.3339."""
    new = answers().model_copy(update={"top1": 1 - 56 / 70, "n": 70})
    old = answers().model_copy(update={"top1": 1 - 48 / 80, "n": 80})
    loss = score_loss(new, old)
    assert loss.value == pytest.approx(20)
    assert loss.interval == pytest.approx((5.24, 33.39), abs=0.005)


def test_other_images_are_never_paired():
    assert not accuracy_loss(answers((1,)), answers((1,)), same_answers=False).paired


def test_reports_that_contradict_each_other_about_an_image_are_not_paired():
    new, old = answers(broke=(1,)), answers(broke=(1,))
    (flip,) = new.flips
    new = new.model_copy(update={"flips": (flip.model_copy(update={"label": 5}),)})

    assert not accuracy_loss(new, old, same_answers=True).paired


def test_a_list_with_an_image_twice_is_not_paired():
    accuracy = answers(broke=(1, 2))
    twice = accuracy.model_copy(update={"flips": (accuracy.flips[0],) * 2})

    assert not accuracy_loss(twice, accuracy, same_answers=True).paired


def test_more_listed_images_than_there_are_do_not_break_the_comparison():
    few = answers(broke=range(60)).model_copy(update={"n": 100})
    other = answers(broke=range(100, 160)).model_copy(update={"n": 100})

    assert not accuracy_loss(few, other, same_answers=True).paired


def test_only_a_loss_beyond_chance_and_beyond_what_is_allowed_counts():
    assert Loss(value=0.6, interval=(0.1, 1.1)).beyond(0.5)
    assert not Loss(value=0.6, interval=(-0.1, 1.3)).beyond(0.5)  # may be chance
    assert not Loss(value=0.4, interval=(0.1, 0.7)).beyond(0.5)  # allowed
    assert Loss(value=0.6).beyond(0.5)  # nothing is known of chance


def test_what_is_exactly_allowed_passes_whatever_floats_make_of_it():
    value = 1.1 - 0.6
    assert value > 0.5
    assert not Loss(value=value, interval=(0.1, 0.9)).beyond(0.5)


def test_a_speedup_is_lost_in_proportion_and_in_logarithms():
    loss = speed_loss(2.0, (1.9, 2.1), 2.5, (2.4, 2.6))

    assert loss.value == pytest.approx(0.2)
    low, high = difference(
        math.log(2.0),
        (math.log(1.9), math.log(2.1)),
        math.log(2.5),
        (math.log(2.4), math.log(2.6)),
    )
    assert loss.interval == pytest.approx((1 - math.exp(high), 1 - math.exp(low)))
    assert loss.interval[0] < loss.value < loss.interval[1]


def test_a_speedup_without_an_interval_gives_a_loss_without_one():
    assert speed_loss(2.0, None, 2.5, (2.4, 2.6)).interval is None
    assert speed_loss(2.0, (1.9, 2.1), 2.5, None).interval is None


def test_an_interval_of_a_difference_lies_around_it_even_where_an_end_is_on_the_wrong_side():
    low, high = difference(1.0, (1.1, 1.2), 0.5, (0.1, 0.4))
    assert low <= 0.5 <= high


@pytest.fixture(scope="module")
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


RUNS = 1000


def coverage_of(intervals: list[tuple[float, float]], truth: float) -> float:
    return sum(low <= truth <= high for low, high in intervals) / len(intervals)


def test_paired_intervals_hold_the_true_difference_in_95_of_100_evaluations(rng):
    """Two INT8 models that share most of their mistakes; the second loses 0.5 points more."""
    lost_by_both, lost_by_new, lost_by_old = 0.010, 0.010, 0.005
    shares = [lost_by_both, lost_by_new, lost_by_old]
    counts = rng.multinomial(IMAGES, [*shares, 1 - sum(shares)], size=RUNS)
    intervals = []
    for both, new_only, old_only, _ in counts:
        new = answers(broke=range(both + new_only))
        old = answers(broke=[*range(both), *range(1000, 1000 + old_only)])
        loss = accuracy_loss(new, old, same_answers=True)
        assert loss.paired
        intervals.append(loss.interval)

    assert 0.935 <= coverage_of(intervals, 0.5) <= 0.965


def test_unpaired_intervals_hold_the_true_difference_in_95_of_100_evaluations(rng):
    """Each model on images of its own: broke and fixed are drawn anew."""
    intervals = []
    for _ in range(RUNS):
        drops = []
        for broke, fixed in ((0.020, 0.010), (0.012, 0.007)):
            lost, won, _ = rng.multinomial(IMAGES, [broke, fixed, 1 - broke - fixed])
            drops.append((100 * (lost - won) / IMAGES, drop_interval_pp(lost, won, IMAGES)))
        intervals.append(difference(*drops[0], *drops[1]))

    assert 0.935 <= coverage_of(intervals, 0.5) <= 0.965


def test_taking_paired_evaluations_for_independent_ones_only_widens_the_interval(rng):
    for _ in range(50):
        both, new_only, old_only = rng.integers(5, 60, size=3)
        old_images = [*range(both), *range(1000, 1000 + old_only)]
        pairs = [
            accuracy_loss(
                answers(broke=range(both + new_only), listed=listed),
                answers(broke=old_images, listed=listed),
                same_answers=True,
            )
            for listed in (True, False)
        ]
        widths = [high - low for low, high in (loss.interval for loss in pairs)]
        assert pairs[0].value == pytest.approx(pairs[1].value)
        assert widths[0] < widths[1]


def test_intervals_of_relative_speed_hold_the_truth_in_95_of_100_measurements(rng):
    """Five launches each, as `eightbit benchmark` makes them, with Student's t."""
    quantile = 2.776  # 97.5 % of Student's t with 4 degrees of freedom
    intervals = []
    for _ in range(RUNS):
        ratios = []
        for truth in (2.0, 2.5):
            logs = rng.normal(math.log(truth), 0.03, size=5)
            half = quantile * logs.std(ddof=1) / math.sqrt(5)
            ratios += [math.exp(logs.mean())]
            ratios += [(math.exp(logs.mean() - half), math.exp(logs.mean() + half))]
        intervals.append(speed_loss(*ratios).interval)

    assert 0.935 <= coverage_of(intervals, 0.2) <= 0.985
