import itertools
import time

import pytest

from eightbit.benchmarks.processes.calls import LEAST_CALLS, MOST_CALLS, WINDOW, settle


def calling(seconds):
    return iter(seconds).__next__


def test_it_goes_on_as_long_as_calls_get_faster():
    falling = [1.0 * 0.9**step for step in range(30)]
    found = settle(calling([*falling, *[falling[-1]] * 50]), max_seconds=60)
    assert len(found) > 30 + WINDOW - 2
    assert found[-WINDOW:] == [falling[-1]] * WINDOW


def test_steady_calls_are_at_rest_after_two_windows():
    assert len(settle(calling([0.1] * 100), max_seconds=60)) == 2 * WINDOW


def test_less_than_two_percent_is_rest():
    slowly = [1.0 * 0.998**step for step in range(100)]
    assert len(settle(calling(slowly), max_seconds=60)) == 2 * WINDOW


def test_a_few_slow_calls_in_between_do_not_matter():
    calls = [5.0, 1.0, 1.0, 9.0, 1.0, 1.0, 1.0, 9.0, 1.0, 1.0]
    assert len(settle(calling(calls), max_seconds=60)) == 2 * WINDOW


def test_there_is_an_end_to_calls_that_never_rest():
    for_ever = (1.0 * 0.9**step for step in itertools.count())
    assert len(settle(for_ever.__next__, max_seconds=60)) == MOST_CALLS


@pytest.mark.parametrize("budget", [0.0, -1.0])
def test_without_time_the_least_is_done_all_the_same(budget):
    assert len(settle(calling([1.0] * 10), max_seconds=budget)) == LEAST_CALLS


def test_time_ends_it():
    start = time.perf_counter()

    def call():
        time.sleep(0.01)
        return 100.0 * 0.5 ** (time.perf_counter() - start)

    assert LEAST_CALLS <= len(settle(call, max_seconds=0.05)) < MOST_CALLS
