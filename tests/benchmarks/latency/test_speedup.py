"""The interval covers the truth as often as it says, whatever all candidates share."""

import math

import numpy as np
import pytest

from eightbit.benchmarks.latency.speedup import LEAST_UNCERTAINTY, paired_speedup

TRUE_RATIO = 2.5


def drawn(rng, *, launches=5, rounds=6, calls=3, launch_sd=0.04, call_sd=0.05, drift=None):
    """Synthetic times of a baseline and of a candidate that is `TRUE_RATIO` times faster.

    Launches differ as processes do, calls do as well; `drift` is what happens to the machine, in
    the logarithm of the time by launch and round, and happens to both.
    """
    shape = (launches, rounds, calls)
    shared = np.zeros((launches, rounds, 1)) if drift is None else drift[..., None]
    both = []
    for seconds in (0.05, 0.05 / TRUE_RATIO):
        of_launch = launch_sd * rng.standard_normal((launches, 1, 1))
        of_call = call_sd * rng.standard_normal(shape)
        both.append((seconds * np.exp(shared + of_launch + of_call)).tolist())
    return both


def coverage(trials, seed=0, **how):
    rng = np.random.default_rng(seed)
    found = [paired_speedup(*drawn(rng, **how)).ci95 for _ in range(trials)]
    return sum(low <= TRUE_RATIO <= high for low, high in found) / trials


@pytest.mark.parametrize("launches", [3, 5])
def test_the_interval_covers_the_truth_in_95_of_100_runs(launches):
    assert 0.93 <= coverage(2000, launches=launches) <= 0.97


def test_drift_of_the_machine_cancels():
    rng = np.random.default_rng(1)
    drift = np.linspace(0, 1, 30).reshape(5, 6) + 0.5 * rng.standard_normal((5, 6))
    still = paired_speedup(*drawn(np.random.default_rng(2)))
    moving = paired_speedup(*drawn(np.random.default_rng(2), drift=drift))
    assert moving.value == pytest.approx(still.value)
    assert moving.ci95 == pytest.approx(still.ci95)


def test_calls_of_one_launch_are_not_counted_as_independent():
    """A hundred times as many calls do not make the interval of three launches narrower."""
    few, many = (
        np.mean(
            [
                np.diff(paired_speedup(*drawn(rng, launches=3, rounds=rounds, calls=3)).ci95)
                for rng in map(np.random.default_rng, range(200))
            ]
        )
        for rounds in (5, 50)
    )
    assert many > 0.8 * few


def test_two_runs_have_overlapping_intervals():
    rng = np.random.default_rng(3)
    pairs = [[paired_speedup(*drawn(rng)) for _ in range(2)] for _ in range(500)]
    overlapping = [a.ci95[0] <= b.ci95[1] and b.ci95[0] <= a.ci95[1] for a, b in pairs]
    assert np.mean(overlapping) > 0.98


def test_the_value_is_the_geometric_mean_over_launches_of_medians():
    baseline = [[[2.0, 2.0, 9.0], [2.0, 2.0, 2.0]], [[3.0], [3.0]]]
    candidate = [[[1.0, 1.0, 1.0], [1.0, 5.0, 1.0]], [[1.0], [1.0]]]
    found = paired_speedup(baseline, candidate)
    assert found.value == pytest.approx(math.sqrt(6))  # of 2 and 3
    # Logarithms 0.693 and 1.099, s = 0.2867, t(1) = 12.706: half = 12.706 * 0.2867 / sqrt(2).
    assert found.ci95 == pytest.approx((math.sqrt(6) / 13.146, math.sqrt(6) * 13.146), rel=1e-3)


def test_one_disturbed_turn_does_not_move_the_ratio():
    baseline = [[[2.0]] * 5] * 3
    candidate = [[[1.0]] * 4 + [[50.0]]] * 3
    assert paired_speedup(baseline, candidate).value == pytest.approx(2)


def test_no_interval_is_narrower_than_what_two_runs_differ_by():
    alike = [[[2.0]] * 4] * 5, [[[1.0]] * 4] * 5
    low, high = paired_speedup(*alike).ci95
    assert (low, high) == pytest.approx((2 / (1 + LEAST_UNCERTAINTY), 2 * (1 + LEAST_UNCERTAINTY)))
    low, high = paired_speedup(*alike, busy=0.2).ci95
    assert (low, high) == pytest.approx((2 / 1.2, 2.4))


def test_an_interval_of_all_numbers_stays_within_what_a_report_can_say():
    low, high = paired_speedup([[[1e-3]], [[1e3]]], [[[1.0]], [[1.0]]]).ci95
    assert (low, high) == pytest.approx((1e-3, 1e3))


def test_a_single_launch_has_no_interval():
    assert paired_speedup([[[2.0]]], [[[1.0]]]).ci95 is None


def test_launches_and_turns_have_to_match():
    with pytest.raises(ValueError, match="launch"):
        paired_speedup([], [])
    with pytest.raises(ValueError, match="argument 2"):
        paired_speedup([[[2.0]]], [[[1.0]], [[1.0]]])
    with pytest.raises(ValueError, match="argument 2"):
        paired_speedup([[[2.0]]], [[[1.0], [1.0]]])
