"""Scales by which no result lies near a tie."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eightbit.calibration.qparams import weight_params
from eightbit.calibration.ties import (
    tie_distances,
    tie_free_add,
    tie_free_mean,
    tie_free_multipliers,
    tie_free_product,
    tie_free_products,
    tie_free_scale,
    tie_free_weights,
)

RAISE = 1 / 128

scales = st.floats(1e-4, 10.0)


def fraction(ratio: float) -> Fraction:
    """The fraction that a float64 stands for, where it is one of small numbers."""
    found = Fraction(ratio).limit_denominator(100_000)
    assert float(found) == pytest.approx(ratio, rel=1e-12)
    return found


def is_tie_free(ratio: float) -> bool:
    return fraction(ratio).denominator % 2 == 1


def test_a_multiplier_by_hand() -> None:
    # 1 / 0.0049 is 204.08: 203 is the next odd number below, and 1/203 is 0.53 % more.
    # 1 / 0.3 is 3.33, and 1/3 is 11 % more; so are 2/5, 3/9. 4/13 is 2.6 % more, 7/23 is 1.4 %,
    # 10/33 is 1 %; 13/43 is 0.78 % more, which is near enough.
    found = tie_free_multipliers(np.array([0.0049, 0.3, 2.0, 1.0]))
    assert found.tolist() == [1 / 203, 13 / 43, 2.0, 1.0]


@given(st.lists(st.floats(1e-5, 4.0), min_size=1, max_size=20))
def test_a_multiplier_is_a_fraction_with_an_odd_denominator(wanted: list[float]) -> None:
    for before, after in zip(wanted, tie_free_multipliers(np.array(wanted)), strict=True):
        assert before <= after <= before * (1 + RAISE)
        # That of before, where it was one already.
        assert Fraction(after).limit_denominator(10**7).denominator % 2 == 1


def test_large_multipliers_become_whole_numbers_at_once() -> None:
    found = tie_free_multipliers(np.array([128.0, 1000.5, 5e8 + 0.5]))
    assert found.tolist() == [128.0, 1001.0, 5e8 + 1]


def test_scales_that_are_too_far_apart_stay_as_they_are() -> None:
    assert tie_free_add((0.5, 1e-6), 1.0, fixed=True) == ((0.5, 1e-6), 1.0)
    assert tie_free_add((1e-6, 0.5), 1.0, fixed=False) == ((1e-6, 0.5), 1.0)


@given(st.floats(1e-4, 0.5), st.integers(-(2**20), 2**20))
def test_no_sum_comes_near_a_tie(wanted: float, total: int) -> None:
    (multiplier,) = tie_free_multipliers(np.array([wanted]))
    q = Fraction(float(multiplier)).limit_denominator(10**6).denominator
    distance = abs(total * float(multiplier) % 1.0 - 0.5)
    assert distance > 0.49 / q


@given(scales, scales, scales)
def test_an_add_of_free_tensors(first: float, second: float, total: float) -> None:
    largest = max(first, second, total)
    first, second, total = (max(scale, largest / 50) for scale in (first, second, total))
    (a, b), y = tie_free_add((first, second), total, fixed=False)
    assert y == total
    assert a >= first * (1 - 1e-12)
    assert b >= second * (1 - 1e-12)
    assert is_tie_free(a / y)
    assert is_tie_free(b / y)


@given(scales, scales, scales)
def test_an_add_whose_second_tensor_is_settled(first: float, second: float, total: float) -> None:
    first, second, total = (max(scale, 0.02 * (first + second)) for scale in (first, second, total))
    total = min(total, 8 * second)  # much further apart there is no such fraction
    (a, b), y = tie_free_add((first, second), total, fixed=True)
    assert b == second
    assert y >= total * (1 - 1e-12)
    assert a >= first * (1 - 1e-12)
    assert is_tie_free(a / y)
    assert is_tie_free(b / y)


def test_ordinary_adds_cost_next_to_nothing() -> None:
    rng = np.random.default_rng(0)
    for first, second in rng.uniform(0.2, 1.0, (200, 2)):
        total = float(np.hypot(first, second))
        (a, b), y = tie_free_add((first, second), total, fixed=True)
        noise = (a**2 + b**2 + y**2) / (first**2 + second**2 + total**2)
        assert noise <= 1 + 2 * RAISE
        assert fraction(b / y).denominator <= 255


@given(st.floats(1e-3, 1.0), st.integers(1, 200), st.floats(0.05, 1.0))
def test_a_mean(input_scale: float, positions: int, share: float) -> None:
    wanted = input_scale * share
    found = tie_free_mean(input_scale, positions, wanted)
    assert wanted * (1 - 1e-12) <= found <= wanted * (1 + 2 * RAISE)
    multiplier = input_scale / positions / found
    assert Fraction(multiplier).limit_denominator(10**6).denominator % 2 == 1


def test_given_numbers_are_kept_away_from_ties() -> None:
    pixels = np.arange(256, dtype=np.float32)[:, np.newaxis] / 255
    mean, std = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
    levels = (pixels - mean) / std
    wanted = float(levels.max() - levels.min()) / 255
    found = tie_free_scale(levels, wanted)
    assert wanted <= found <= wanted * (1 + RAISE)

    def nearest(scale: float) -> float:
        return float(np.abs(np.remainder(levels / scale, 1.0) - 0.5).min())

    assert nearest(found) > 1e-3 > nearest(wanted)


def test_weights_keep_their_range_and_dead_channels_a_good_bias() -> None:
    weight = np.random.default_rng(1).standard_normal((5, 8)).astype(np.float32)
    weight[3] = 0
    bias = np.ones(5, np.float32)
    before = weight_params(weight, bias, 0.02)
    after = tie_free_weights(weight, before, 0.02, 0.05)
    ratios = np.array(after.scale) / np.array(before.scale)
    alive = np.arange(5) != 3
    assert np.all(ratios[alive] >= 1)
    assert np.all(ratios[alive] <= 1 + RAISE + 1e-6)
    # The bias of a dead channel is rounded to a thousandth of the output's scale.
    assert after.scale[3] * 0.02 / 0.05 == pytest.approx(1 / 1023, rel=0.01)
    for scale in after.scale:
        # The scales are float32 numbers, so that the fraction is hit to seven digits.
        ratio = scale * 0.02 / 0.05
        found = Fraction(ratio).limit_denominator(3000)
        assert float(found) == pytest.approx(ratio, rel=2e-7)
        assert found.denominator % 2 == 1


def test_distances_by_hand() -> None:
    steps = np.array([[1.0, 2.25], [0.5, 7.0], [3.0, np.nan], [-0.5, 300.5], [99.0, np.inf]])
    assert tie_distances(steps, np.array(0)).tolist() == [0.25, 0.0, 0.0, 0.5, 0.5]
    # On a grid from -100 to 155 the ends are elsewhere.
    assert tie_distances(steps, np.array(100)).tolist() == [0.25, 0.0, 0.0, 0.0, 0.5]


@given(st.floats(1e-7, 10.0))
def test_multipliers_of_products_are_fractions_with_odd_denominators(wanted: float) -> None:
    found = tie_free_products(wanted)
    assert len(set(found.tolist())) == len(found)
    for multiplier in found:
        assert wanted <= multiplier <= wanted * (1 + RAISE)
        assert Fraction(multiplier).limit_denominator(10**9).denominator % 2 == 1


@given(scales, scales, scales)
def test_a_product_by_its_own_scale(first: float, second: float, wanted: float) -> None:
    found = tie_free_product((first, second), wanted)
    assert wanted * (1 - 1e-12) <= found <= wanted * (1 + RAISE) * (1 + 1e-12)
    multiplier = Fraction(first * second / found).limit_denominator(10**9)
    assert multiplier.denominator % 2 == 1
