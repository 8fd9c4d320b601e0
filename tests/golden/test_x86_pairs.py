"""The emulated instructions, on numbers that can be checked with pencil and paper."""

import numpy as np
import pytest
from tests.golden.x86_pairs import (
    ORDERS,
    Order,
    channels_by_position,
    convolution,
    dot,
    flattened,
    saturates,
    vpmaddubsw,
    vpmaddwd_ones,
)


def uint8(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.uint8)


def int8(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int8)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        pytest.param((255, 255), (127, 127), 32767, id="64770 saturates"),
        pytest.param((255, 255), (-128, -128), -32768, id="-65280 saturates"),
        pytest.param((255, 255), (64, 64), 32640, id="128 in all is the most that fits"),
        pytest.param((255, 255), (65, 64), 32767, id="129 is one too many: 32895"),
        pytest.param((255, 255), (-64, -64), -32640, id="-128 in all fits"),
        pytest.param((255, 255), (-65, -64), -32768, id="-129 is one too many: -32895"),
        pytest.param((255, 255), (127, -128), -255, id="other signs take from each other"),
        pytest.param((0, 255), (127, 127), 32385, id="one product alone always fits"),
        pytest.param((255, 3), (128 - 1, 127), 32766, id="32385 + 381 just fits"),
        pytest.param((255, 4), (127, 127), 32767, id="32385 + 508 does not"),
    ],
)
def test_two_products_are_added_in_a_saturating_int16(
    a: tuple[int, int], b: tuple[int, int], expected: int
) -> None:
    found = vpmaddubsw(uint8(*a), int8(*b))
    assert found.dtype == np.int16
    assert found.tolist() == [expected]


def test_only_neighbours_are_added() -> None:
    found = vpmaddubsw(uint8(1, 2, 3, 4), int8(10, 20, -30, 40))
    assert found.tolist() == [1 * 10 + 2 * 20, 3 * -30 + 4 * 40]


def test_pairs_are_added_in_32_bits() -> None:
    found = vpmaddwd_ones(np.array([32767, 32767, -32768, -32768, 5, -7], np.int16))
    assert found.dtype == np.int32
    assert found.tolist() == [65534, -65536, -2]


def test_the_instructions_refuse_other_types() -> None:
    with pytest.raises(TypeError, match="expected uint8, found int8"):
        vpmaddubsw(int8(1, 2), int8(1, 2))
    with pytest.raises(TypeError, match="expected int16, found int32"):
        vpmaddwd_ones(np.array([1, 2], np.int32))


def test_a_dot_product_loses_what_its_pairs_lose() -> None:
    # 255 * (100 + 100) is 51000 and becomes 32767; 255 * (100 - 100) is 0; 255 * 1 is alone.
    x, w = uint8(255, 255, 255, 255, 255), int8(100, 100, 100, -100, 1)
    assert dot(x, w) == 32767 + 0 + 255
    # The same numbers in another order lose nothing: two pairs of 0 and 255 * (1 + 100).
    assert dot(x, int8(100, -100, 100, 1, 0)) == 255 * 101


def test_the_orders_pair_other_weights() -> None:
    # Three channels at two positions: a b c at the left, d e f at the right.
    kernel = np.array([[1, 4], [2, 5], [3, 6]], np.int8).reshape(1, 3, 1, 2)
    assert channels_by_position(kernel).tolist() == [[1, 2, 3, 0, 4, 5, 6, 0]]
    assert flattened(kernel).tolist() == [[1, 2, 3, 4, 5, 6]]


def test_which_weights_meet_decides_what_saturates() -> None:
    # c and d of the kernel above are 100 both: neighbours in the row, strangers by position.
    kernel = np.array([[1, 100], [2, 5], [100, 6]], np.int8).reshape(1, 3, 1, 2)
    assert saturates(kernel, channels_by_position).tolist() == [False]
    assert saturates(kernel, flattened).tolist() == [True]


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_linear_layer_pairs_its_inputs_as_they_come(order: Order) -> None:
    weight = np.array([[100, 1, 1, 100], [100, 29, 0, 0], [-100, -28, 100, 28], [-64, -65, 0, 0]])
    assert saturates(weight.astype(np.int8), order).tolist() == [False, True, False, True]


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_a_convolution_saturates_only_where_the_pixels_are_large(order: Order) -> None:
    # Two channels of 1x3 pixels; padded with the zero point 10, less it afterwards.
    x = np.array([[[[255, 20, 11]], [[255, 30, 10]]]], np.uint8)
    weight = np.full((1, 2, 1, 1), 100, np.int8)
    # 100 * (255 + 255) is 51000 and becomes 32767. Less 10 * 200 each.
    assert convolution(x, weight, order, zero_point=10).tolist() == [[[[30767, 3000, 100]]]]
    padded = convolution(x, weight, order, zero_point=10, padding=1)
    assert padded[0, 0].tolist() == [[0] * 5, [0, 30767, 3000, 100, 0], [0] * 5]
    assert convolution(x, weight, order, zero_point=10, stride=2).tolist() == [[[[30767, 100]]]]


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_groups_see_their_own_channels(order: Order) -> None:
    x = np.array([1, 2, 3, 4], np.uint8).reshape(1, 4, 1, 1)
    weight = np.array([[10, 20], [30, 40]], np.int8).reshape(2, 2, 1, 1)
    found = convolution(x, weight, order, zero_point=0, groups=2)
    assert found.ravel().tolist() == [1 * 10 + 2 * 20, 3 * 30 + 4 * 40]
