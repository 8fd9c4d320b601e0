"""Padding that keeps ceil(side / stride): what is odd stands below and right."""

import pytest

from eightbit.models.doors.keras.making import same_pads


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "dilation", "pads"),
    [
        (224, 3, 2, 1, (0, 1)),
        (225, 3, 2, 1, (1, 1)),
        (224, 7, 2, 1, (2, 3)),
        (224, 1, 2, 1, (0, 0)),
        (7, 2, 1, 1, (0, 1)),
        (9, 3, 1, 2, (2, 2)),
        (10, 2, 3, 1, (0, 1)),
        (2, 2, 5, 1, (0, 0)),
    ],
)
def test_same_padding_is_that_of_tensorflow(
    side: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int]
) -> None:
    # Left and right of the second side, then top and bottom of the first.
    found = same_pads((1, side), (1, kernel), (1, stride), (1, dilation))
    assert found == (*pads, 0, 0)
