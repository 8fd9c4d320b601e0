"""The tally of a multi-label classifier, worked out by hand."""

import numpy as np
import pytest

from eightbit.benchmarks.accuracy.heads import Head
from eightbit.benchmarks.accuracy.multi_label import MultiLabelTally
from eightbit.benchmarks.accuracy.paired import share_interval
from eightbit.models import InputError, Task

HEAD = Head(task=Task.MULTI_LABEL)
FLOAT = np.array([[2, -1, -9], [1, 3, -9], [-1, 1, -9], [-3, -2, -9]], np.float32)
INT8 = np.array([[2, -1, -9], [-1, 3, -9], [1, 1, -9], [-3, -2, -9]], np.float32)
TRUTH = [(0,), (0, 1), (1,), ()]
NAMES = ["a", "b", "c", "d"]


def _tallied(labels):
    tally = MultiLabelTally(("int8",), head=HEAD)
    for part in (slice(0, 3), slice(3, 4)):
        own = None if labels is None else labels[part]
        tally.update(FLOAT[part], {"int8": INT8[part]}, own, NAMES[part])
    return tally


def test_precision_and_changed_decisions():
    tally = _tallied(TRUTH)
    result = tally.candidate_result("int8")
    assert (tally.reference_result().map, tally.reference_result().judged_classes) == (1, 2)
    # Class 0 ranks a, c, b: precision 1 at a, 2/3 at b.
    assert result.map == pytest.approx((5 / 6 + 1) / 2)
    assert result.drop_pp == pytest.approx(100 / 12)
    low, high = result.drop_ci95_pp
    assert low < result.drop_pp < high
    assert (result.decisions, result.changed, result.broke, result.fixed) == (12, 2, 2, 0)
    assert result.changed_ci95 == share_interval(2, 12)
    assert [(flip.image, flip.index, flip.label) for flip in result.flips] == [
        ("b", 0, True),
        ("c", 0, False),
    ]
    assert [(one.index, one.positives, one.changed) for one in result.classes] == [
        (0, 2, 2),
        (1, 2, 0),
    ]


def test_without_labels_only_changes_are_known():
    result = _tallied(None).candidate_result("int8")
    assert (result.map, result.drop_pp, result.drop_ci95_pp, result.broke) == (None,) * 4
    assert (result.changed, result.classes) == (2, ())


def test_a_label_out_of_range_names_its_image():
    with pytest.raises(InputError, match="a: expected a label from 0 to 2, found 3"):
        MultiLabelTally((), head=HEAD).update(FLOAT[:1], {}, [(3,)], ["a"])
