"""The comparison of candidates, on networks that are written down."""

import pytest
import torch

from eightbit.quantize.algorithms.trials import Answers, FloatAnswers, compare

IMAGES = torch.arange(1.0, 65.0).reshape(64, 1, 1, 1).expand(64, 3, 8, 8)


def exact(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    value = images[:, 0, 0, :1]
    return torch.cat([value, -value], 1), torch.cat([value] * 4, 1)


EXACT = FloatAnswers(exact, IMAGES)


def off_by(outputs: float, features: float, *, rarely: float = 0.0) -> Answers:
    """Answers off by shares of themselves; those to every eighth image by another one, too."""

    def answer(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        first, second = exact(images)
        rare = (images[:, 0, 0, :1] % 8 == 1) * rarely
        return first * (1 + outputs + rare), second * (1 + features)

    return answer


def test_the_nearest_answers_win_and_figures_are_those_of_the_images() -> None:
    chosen, trials = compare(
        {"far": off_by(0.1, 0.1), "near": off_by(0.01, 0.001), "same": off_by(0.1, 0.1)},
        EXACT,
        64,
    )
    assert chosen == "near"
    assert [trial.candidate for trial in trials if trial.chosen] == ["near"]
    by_name = {trial.candidate: trial for trial in trials}
    assert by_name["near"].median_sqnr_db == pytest.approx(40.0, abs=1e-3)
    assert by_name["near"].sqnr_db == pytest.approx(40.0, abs=1e-3)
    # Of 40 and 60 dB by image, and a tenth of the 40 of all outputs together.
    assert by_name["near"].score_db == pytest.approx(49.0, abs=1e-2)
    assert by_name["far"].score_db == pytest.approx(20.0, abs=1e-3)
    assert {trial.images for trial in trials} == {64}


def test_of_equal_candidates_the_first_wins() -> None:
    equal = {"one": off_by(0.1, 0.1), "other": off_by(0.1, 0.1)}
    assert compare(equal, EXACT, 64)[0] == "one"


def test_a_few_images_do_not_rule_but_are_not_given_up() -> None:
    typical, careful = off_by(0.01, 0.01, rarely=0.015), off_by(0.02, 0.02)
    candidates = {"careful": careful, "typical": typical}
    assert compare(candidates, EXACT, 64)[0] == "typical"
    reckless = off_by(0.01, 0.01, rarely=0.5)
    candidates = {"careful": careful, "reckless": reckless}
    assert compare(candidates, EXACT, 64)[0] == "careful"


def test_what_falls_behind_sees_fewer_images_and_no_image_is_seen_twice() -> None:
    seen: dict[str, list[int]] = {}

    def watched(name: str, error: float) -> Answers:
        def answer(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
            seen.setdefault(name, []).extend(images[:, 0, 0, 0].int().tolist())
            return off_by(error, error)(images)

        return answer

    candidates = {str(error): watched(str(error), error) for error in (0.4, 0.1, 0.3, 0.2, 0.5)}
    large = IMAGES.repeat_interleave(28, 2).repeat_interleave(28, 3)  # 224 pixels a side
    chosen, trials = compare(candidates, FloatAnswers(exact, large), 64, halving=True)
    assert chosen == "0.1"
    counts = {trial.candidate: trial.images for trial in trials}
    assert counts == {"0.4": 4, "0.5": 4, "0.3": 8, "0.2": 12, "0.1": 12}
    for name, count in counts.items():
        assert seen[name] == list(range(1, count + 1))


def test_an_answer_of_zeros_and_one_without_error_are_numbers() -> None:
    def zeros(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (torch.zeros(len(images), 2),)

    _, trials = compare({"same": zeros}, FloatAnswers(zeros, IMAGES[:3]), 3)
    (only,) = trials
    assert (only.score_db, only.median_sqnr_db, only.sqnr_db) == pytest.approx((120.0,) * 3)
    assert only.candidate == "same"


def test_a_doubted_candidate_wins_by_more_than_chance_alone() -> None:
    def wavering(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        first, second = exact(images)
        factor = torch.where(images[:, 0, 0, :1] % 2 == 0, 1.003, 1.013)
        return first * factor, second * factor

    steady = off_by(0.01, 0.01)
    candidates = {"steady": steady, "wavering": wavering}
    assert compare(candidates, EXACT, 4)[0] == "wavering"
    assert compare(candidates, EXACT, 4, doubted=["wavering"])[0] == "steady"
    assert compare(candidates, EXACT, 64, doubted=["wavering"])[0] == "wavering"
    assert compare({"wavering": wavering}, EXACT, 4, doubted=["wavering"])[0] == "wavering"
    better = {"steady": steady, "better": off_by(0.009, 0.009)}
    assert compare(better, EXACT, 1, doubted=["better"])[0] == "steady"
    assert compare(better, EXACT, 2, doubted=["better"])[0] == "better"
