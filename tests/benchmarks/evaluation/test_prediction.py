"""What a prediction worker's message says of its images, and when it is refused."""

from dataclasses import replace

import numpy as np
import pytest

from eightbit.benchmarks.evaluation.prediction import Answer, FileOutcome, answer_of, in_chunks
from eightbit.models.images.loading import SkippedImage
from eightbit.models.images.sources import ImageItem

ITEMS = tuple(ImageItem(name=f"{index}.png", folder=None) for index in range(4))
DIGESTS = tuple(f"{index}" * 64 for index in range(4))
MODELS = ("onnx", "fp32")
FILES = (
    FileOutcome(digest=DIGESTS[0]),
    FileOutcome(digest=DIGESTS[1], unusable="damaged\nimage"),
    FileOutcome(digest=None, unusable="cannot be read"),
    FileOutcome(digest=DIGESTS[3]),
)
LOGITS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.linspace(0, 1, 6, dtype=np.float32).reshape(2, 3),
]


@pytest.fixture
def answer() -> Answer:
    return answer_of(7, FILES, LOGITS, peak_rss_bytes=1)


def test_a_prediction_names_what_ran_and_what_was_passed_over(answer):
    found = answer.prediction(ITEMS, MODELS)
    assert found.names == ("0.png", "3.png")
    assert found.digests == (DIGESTS[0], DIGESTS[3])
    assert found.skipped == (
        SkippedImage(name="1.png", reason=r"damaged\nimage"),
        SkippedImage(name="2.png", reason="cannot be read"),
    )
    assert list(found.logits) == ["onnx", "fp32"]
    for name, logits in zip(MODELS, LOGITS, strict=True):
        assert found.logits[name].dtype == np.float32
        np.testing.assert_array_equal(found.logits[name], logits)


def test_without_usable_images_there_are_no_logits():
    unusable = answer_of(0, [FILES[1]], [], peak_rss_bytes=1)
    found = unusable.prediction(ITEMS[:1], MODELS)
    assert (found.names, found.logits) == ((), {})
    assert found.skipped == (SkippedImage(name="0.png", reason=r"damaged\nimage"),)


def _told(answer: Answer, **changes: object) -> Answer:
    return replace(answer, message=answer.message.model_copy(update=changes))


def _flipped(answer: Answer) -> Answer:
    first = bytearray(answer.pieces[0])
    first[5] ^= 1
    return replace(answer, pieces=[bytes(first), answer.pieces[1]])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda a: _told(a, files=FILES[:3]), "expected 4 images, found 3"),
        (lambda a: _told(a, files=(*FILES[:3], FileOutcome(digest=None))), "a digest of every"),
        (lambda a: _told(a, files=(*FILES[:3], FILES[1])), "expected 1 times 3 logits, found 24"),
        (lambda a: _told(a, classes=(3, 4)), "fp32: expected 2 times 4 logits, found 24"),
        (lambda a: _told(a, classes=(3, 0)), "fp32: expected 2 times 0 logits"),
        (lambda a: _told(a, classes=(3,)), "logits of 2 models"),
        (_flipped, "with the digest that is told"),
    ],
)
def test_what_does_not_fit_is_refused(answer, spoil, reason):
    with pytest.raises(ValueError, match=reason):
        spoil(answer).prediction(ITEMS, MODELS)


def test_logits_of_fewer_models_are_refused(answer):
    with pytest.raises(ValueError, match="logits of 3 models, found 2"):
        answer.prediction(ITEMS, ("torchscript", *MODELS))


@pytest.mark.parametrize(("images", "sizes"), [(1, [1]), (16, [16]), (37, [16, 16, 5])])
def test_images_run_sixteen_at_a_time_in_their_order(images, sizes):
    items = [ImageItem(name=f"{index:02}", folder=None) for index in range(images)]
    chunks = in_chunks(items)
    assert [len(chunk) for chunk in chunks] == sizes
    assert [item for chunk in chunks for item in chunk] == items
