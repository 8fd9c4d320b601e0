"""Names in a chart lie inside it, over no mark and over no other name."""

import random
from itertools import combinations

import pytest

from eightbit.benchmarks.report.charts.labels import Box, Label, add_labels
from eightbit.benchmarks.report.charts.svg import figure

SIZE = 600, 300


def placed(points, texts, avoid=()):
    labels = [Label(x=x, y=y, text=text) for (x, y), text in zip(points, texts, strict=False)]
    with figure(*SIZE) as drawn:
        axes = drawn.subplots()
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        boxes = add_labels(drawn, axes, labels, marks=points, avoid=avoid)
        marks = [axes.transData.transform(point) for point in points]
        written = [text.get_text() for text in axes.texts]
    return boxes, marks, written


def test_names_of_scattered_points_are_all_written_and_apart():
    rng = random.Random(3)
    points = [(rng.random(), rng.random()) for _ in range(12)]

    boxes, marks, written = placed(points, [f"bundle {n}" for n in range(12)])

    assert written == [f"bundle {n}" for n in range(12)]
    assert not any(one.meets(other) for one, other in combinations(boxes, 2))
    frame = Box(left=0, low=0, right=SIZE[0], high=SIZE[1])
    assert all(box.within(frame) for box in boxes)
    assert not any(
        box.left <= x <= box.right and box.low <= y <= box.high for box in boxes for x, y in marks
    )


@pytest.mark.parametrize("corner", [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0)])
def test_a_name_in_a_corner_stays_in_the_picture(corner):
    ((box,), _, _) = placed([corner], ["a rather long name of a bundle"])
    assert 0 <= box.left < box.right <= SIZE[0]
    assert 0 <= box.low < box.high <= SIZE[1]


def test_what_has_no_room_is_left_out_rather_than_written_over_another():
    boxes, _, written = placed([(0.5, 0.5)] * 200, [f"bundle {n}" for n in range(200)])
    assert 8 < len(written) < 200
    assert len(boxes) == len(written)
    assert not any(one.meets(other) for one, other in combinations(boxes, 2))


def test_names_keep_off_bars_where_they_can():
    point = (0.5, 0.5)
    ((usual,), _, _) = placed([point], ["name"])
    at_right = Box(left=0.5, right=0.7, low=0.5, high=0.5)
    ((moved,), _, _) = placed([point], ["name"], avoid=[at_right])
    assert moved != usual


def test_a_point_without_a_name_is_not_written_over():
    near = (0.53, 0.5)
    ((alone,), _, _) = placed([(0.5, 0.5)], ["name"])
    ((beside,), _, _) = placed([(0.5, 0.5), near], ["name"])
    assert alone != beside
