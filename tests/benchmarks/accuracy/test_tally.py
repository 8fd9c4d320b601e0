"""Golden numbers: every expectation is counted by hand from the logits written above it."""

import json

import numpy as np
import pytest

from eightbit.benchmarks.accuracy.tally import ClassificationTally, label_ranks
from eightbit.models.errors import InputError


def logits(*rows):
    return np.array(rows, dtype=np.float32)


def one_hot(classes, count=6):
    return np.eye(count, dtype=np.float32)[list(classes)]


# Softmax of a one among six logits of which the others are zero.
SURE = pytest.approx(np.e / (np.e + 5), rel=1e-12)


def test_accuracy_drop_and_flips_are_counted_over_batches():
    tally = ClassificationTally(["onnx"])
    # image:       a  b  c | d  e
    # label:       0  1  2 | 3  4
    # float:       0  1  5 | 3  0   -> 3 of 5 right
    # candidate:   0  2  2 | 1  1   -> 2 of 5 right; b and d broke, c fixed, e changed
    tally.update(one_hot([0, 1, 5]), {"onnx": one_hot([0, 2, 2])}, [0, 1, 2], ["a", "b", "c"])
    tally.update(one_hot([3, 0]), {"onnx": one_hot([1, 1])}, [3, 4], ["d", "e"])

    assert tally.reference_result().top1 == 3 / 5
    result = tally.candidate_result("onnx")
    assert result.top1 == 2 / 5
    assert result.n == 5
    assert result.drop_pp == 20.0
    assert (result.flip_count, result.broke, result.fixed) == (4, 2, 1)
    assert result.top1_agreement == 1 / 5
    assert [
        (flip.image, flip.label, flip.float_class, flip.int8_class) for flip in result.flips
    ] == [
        ("b", 1, 1, 2),
        ("c", 2, 5, 2),
        ("d", 3, 3, 1),
        ("e", 4, 0, 1),
    ]
    # Of 2 broken and 1 mended image a coin breaks 2 or more, or 1 or fewer: always.
    assert result.mcnemar_p == 1.0


def test_a_flip_says_how_sure_either_model_is_of_its_own_answer():
    tally = ClassificationTally(["onnx"])
    # Logits are logarithms of odds: 9 to 1, and 1 to 3.
    reference, candidate = np.log([[9.0, 1.0]]), np.log([[1.0, 3.0]])
    tally.update(reference.astype(np.float32), {"onnx": candidate.astype(np.float32)}, None, ["a"])
    (flip,) = tally.candidate_result("onnx").flips
    assert flip.float_probability == pytest.approx(0.9, rel=1e-6)
    assert flip.int8_probability == pytest.approx(0.75, rel=1e-6)


def test_every_model_has_its_own_confidence():
    tally = ClassificationTally(["onnx"])
    flat = np.zeros((2, 4), dtype=np.float32)
    tally.update(30 * one_hot([0, 1], 4), {"onnx": flat}, [0, 0], ["a", "b"])
    reference, result = tally.reference_result(), tally.candidate_result("onnx")
    # Float is certain and right once of twice; the candidate is right both times at a quarter.
    assert reference.confidence.mean_confidence == pytest.approx(1, abs=1e-9)
    assert reference.confidence.ece == pytest.approx(0.5, abs=1e-9)
    assert result.confidence.mean_confidence == 0.25
    assert result.confidence.ece == 0.75


def test_the_drop_is_counted_by_true_class():
    tally = ClassificationTally(["onnx"])
    tally.update(one_hot([0, 0, 5]), {"onnx": one_hot([0, 1, 2])}, [0, 0, 2], ["a", "b", "c"])
    tally.update(one_hot([0]), {"onnx": one_hot([3])}, [0], ["d"])
    first, second = tally.candidate_result("onnx").classes
    assert (first.index, first.n, first.broke, first.fixed) == (0, 3, 2, 0)
    assert first.drop_pp == pytest.approx(200 / 3)
    assert (second.index, second.n, second.broke, second.fixed) == (2, 1, 0, 1)
    assert (second.top1_fp32, second.drop_pp) == (0, -100)


@pytest.mark.parametrize("classes", [1, 2, 1000])
def test_any_number_of_classes_is_counted(classes):
    rows = np.random.default_rng(0).standard_normal((50, classes), dtype=np.float32)
    labels = np.argmax(rows, axis=1).tolist()
    tally = ClassificationTally(["onnx"])
    tally.update(rows, {"onnx": -rows}, labels, [str(image) for image in range(50)])
    result = tally.candidate_result("onnx")
    assert sum(entry.n for entry in result.classes) == 50
    assert [entry.index for entry in result.classes] == sorted(set(labels))
    assert result.drop_pp == (0.0 if classes == 1 else 100.0)
    assert tally.reference_result().confidence.ece <= 1


def test_a_candidate_that_is_better_has_a_negative_drop():
    tally = ClassificationTally(["onnx"])
    tally.update(one_hot([0, 1]), {"onnx": one_hot([0, 0])}, [0, 0], ["a", "b"])
    assert tally.candidate_result("onnx").drop_pp == -50.0


def test_candidates_are_counted_apart():
    tally = ClassificationTally(["onnx", "torchscript"])
    tally.update(
        one_hot([0, 0]),
        {"torchscript": one_hot([0, 0]), "onnx": one_hot([1, 1])},
        [0, 0],
        ["a", "b"],
    )
    assert tally.candidate_result("torchscript").flip_count == 0
    assert tally.candidate_result("onnx").flip_count == 2


def test_ties_go_to_the_lowest_index():
    rows = logits([1, 7, 7, 7, 0, 7, 7])
    ranks = [int(label_ranks(rows, np.array([label]))[0]) for label in range(7)]
    assert ranks == [5, 0, 1, 2, 6, 3, 4]
    tally = ClassificationTally(["onnx"])
    # Four logits tie with the label's at the top: as class 1 it is first, as class 6 it is fifth.
    tally.update(rows, {"onnx": rows}, [1], ["a"])
    tally.update(rows, {"onnx": rows}, [6], ["b"])
    tally.update(rows, {"onnx": rows}, [0], ["c"])
    reference = tally.reference_result()
    assert reference.top1 == 1 / 3
    assert reference.top5 == 2 / 3


@pytest.mark.parametrize(("classes", "expected"), [(5, None), (6, 1.0)])
def test_top5_is_given_from_six_classes_on(classes, expected):
    rows = one_hot([1], classes)
    tally = ClassificationTally(["onnx"])
    tally.update(rows, {"onnx": rows}, [0], ["a"])
    assert tally.reference_result().top5 == expected


def test_without_labels_there_is_agreement_only():
    tally = ClassificationTally(["onnx"])
    tally.update(one_hot([0, 1]), {"onnx": one_hot([0, 2])}, None, ["a", "b"])
    reference, result = tally.reference_result(), tally.candidate_result("onnx")
    assert (reference.top1, reference.top5, reference.n) == (None, None, 2)
    assert (result.top1, result.drop_pp, result.broke, result.fixed) == (None,) * 4
    assert result.top1_agreement == 0.5
    (flip,) = result.flips
    assert (flip.label, flip.float_class, flip.int8_class) == (None, 1, 2)
    assert flip.float_probability == flip.int8_probability == SURE
    assert (reference.confidence, result.confidence, result.mcnemar_p) == (None,) * 3
    assert result.classes == ()


def test_only_the_first_flips_are_kept_but_all_are_counted():
    tally = ClassificationTally(["onnx"], max_flips=3)
    for batch in range(3):
        names = [f"{batch}-{image}" for image in range(2)]
        tally.update(one_hot([0, 0]), {"onnx": one_hot([1, 1])}, [0, 5], names)
    result = tally.candidate_result("onnx")
    assert [flip.image for flip in result.flips] == ["0-0", "0-1", "1-0"]
    assert (result.flip_count, result.broke, result.fixed) == (6, 3, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_an_error(bad):
    broken = one_hot([0, 1])
    broken[1, 3] = bad
    tally = ClassificationTally(["onnx"])
    with pytest.raises(InputError, match=r"onnx: expected finite logits, found 1 of 12"):
        tally.update(one_hot([0, 1]), {"onnx": broken}, None, ["a", "b"])


def test_a_refused_batch_is_not_counted():
    tally = ClassificationTally(["onnx"])
    rows = one_hot([0])
    with pytest.raises(InputError):
        tally.update(rows, {"onnx": rows * np.nan}, [0], ["a"])
    with pytest.raises(InputError, match="a: expected a label from 0 to 5, found 6"):
        tally.update(rows, {"onnx": rows}, [6], ["a"])
    tally.update(rows, {"onnx": rows}, [0], ["a"])
    assert tally.reference_result().n == 1


def test_another_number_of_classes_is_an_error():
    tally = ClassificationTally(["onnx"])
    with pytest.raises(InputError, match="onnx: expected 6 classes, found 7"):
        tally.update(one_hot([0]), {"onnx": one_hot([0], 7)}, None, ["a"])


def test_labels_for_some_batches_only_are_refused():
    tally = ClassificationTally(["onnx"])
    tally.update(one_hot([0]), {"onnx": one_hot([0])}, [0], ["a"])
    with pytest.raises(ValueError, match="for all batches or for none"):
        tally.update(one_hot([0]), {"onnx": one_hot([0])}, None, ["b"])


@pytest.mark.parametrize("found", [{}, {"other": one_hot([0])}])
def test_logits_of_every_candidate_are_required(found):
    with pytest.raises(ValueError, match="expected logits of"):
        ClassificationTally(["onnx"]).update(one_hot([0]), found, None, ["a"])


def test_a_result_without_images_is_refused():
    tally = ClassificationTally(["onnx"])
    with pytest.raises(ValueError, match="no image"):
        tally.reference_result()
    with pytest.raises(ValueError, match="no image"):
        tally.candidate_result("onnx")


def test_a_file_name_that_is_no_utf8_can_be_reported():
    tally = ClassificationTally(["onnx"])
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    tally.update(one_hot([0]), {"onnx": one_hot([1])}, None, [name])
    content = json.loads(tally.candidate_result("onnx").model_dump_json())
    assert content["flips"][0]["image"] == "caf\\udce9.png"
