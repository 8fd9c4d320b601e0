"""The search: how many questions it asks, and what it returns whatever the answers are."""

from collections.abc import Callable

import pytest

from eightbit.quantize.fallback.search import MAX_EVALUATIONS, fewest


class Oracle:
    """Answers, and remembers what was asked."""

    def __init__(self, truth: Callable[[int], bool]) -> None:
        self.truth = truth
        self.asked: list[int] = []

    def __call__(self, number: int) -> bool:
        self.asked.append(number)
        return self.truth(number)


@pytest.mark.parametrize("most", [1, 2, 3, 11, 19, 29, 40])
def test_it_finds_the_fewest(most: int) -> None:
    for fewest_that_do in range(most + 1):
        oracle = Oracle(lambda number, limit=fewest_that_do: number >= limit)
        assert fewest(oracle, most, questions=MAX_EVALUATIONS) == fewest_that_do
        assert len(oracle.asked) <= MAX_EVALUATIONS
        assert len(set(oracle.asked)) == len(oracle.asked)
        assert oracle.asked[0] == 0


@pytest.mark.parametrize("most", [70, 131, 207])
def test_of_many_it_finds_about_the_fewest(most: int) -> None:
    for fewest_that_do in range(most + 1):
        oracle = Oracle(lambda number, limit=fewest_that_do: number >= limit)
        found = fewest(oracle, most, questions=MAX_EVALUATIONS)
        assert found is not None
        assert fewest_that_do <= found <= 1.1 * fewest_that_do
        assert len(oracle.asked) <= MAX_EVALUATIONS


def test_what_needs_none_takes_one_question() -> None:
    oracle = Oracle(lambda _: True)
    assert fewest(oracle, 70, questions=8) == 0
    assert oracle.asked == [0]


@pytest.mark.parametrize("questions", [2, 3, 5, 8])
@pytest.mark.parametrize("most", [1, 2, 19, 70])
def test_what_nothing_meets_is_found_out_by_asking_for_the_most(most: int, questions: int) -> None:
    oracle = Oracle(lambda _: False)
    assert fewest(oracle, most, questions=questions) is None
    assert most in oracle.asked
    assert len(oracle.asked) <= questions


@pytest.mark.parametrize(
    "yes",
    [{3}, {19}, {2, 9, 19}, {5, 6, 7, 12}, set(range(4, 20)) - {6, 9}, {1, 3, 5, 7, 9, 11}],
    ids=str,
)
def test_with_answers_that_are_not_monotone_what_it_returns_got_a_yes(yes: set[int]) -> None:
    oracle = Oracle(lambda number: number in yes)
    found = fewest(oracle, 19, questions=8)
    assert len(oracle.asked) <= 8
    assert found is None or found in yes
    smaller = [number for number in oracle.asked if found is None or number < found]
    assert not yes.intersection(smaller)


def test_a_few_questions_are_kept_to() -> None:
    oracle = Oracle(lambda number: number >= 17)
    found = fewest(oracle, 19, questions=3)
    assert found in {17, 18, 19}
    assert len(oracle.asked) <= 3
