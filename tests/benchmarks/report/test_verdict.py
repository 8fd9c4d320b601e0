"""The verdict on the drop: what the counts support, and no more."""

import pytest

from eightbit.benchmarks.accuracy.paired import drop_interval_pp, mcnemar_p
from eightbit.benchmarks.accuracy.tally import CandidateAccuracy
from eightbit.benchmarks.report.verdict import VerdictKind, verdict


def result(broke, fixed, images, *, others=0):
    flips = broke + fixed + others
    return CandidateAccuracy(
        top1=0.5,
        top5=None,
        n=images,
        drop_pp=100 * (broke - fixed) / images,
        drop_ci95_pp=drop_interval_pp(broke, fixed, images),
        flips=(),
        flip_count=flips,
        broke=broke,
        fixed=fixed,
        top1_agreement=1 - flips / images,
        mcnemar_p=mcnemar_p(broke, fixed),
        confidence=None,
        classes=(),
    )


def unlabelled(flips, images):
    unknown = dict.fromkeys(("top1", "drop_pp", "drop_ci95_pp", "broke", "fixed", "mcnemar_p"))
    agreement = {"flip_count": flips, "top1_agreement": 1 - flips / images}
    return result(0, 0, images).model_copy(update={**unknown, **agreement})


@pytest.mark.parametrize(
    ("counts", "kind", "sentence"),
    [
        (
            (30, 26, 4000),
            VerdictKind.INDISTINGUISHABLE,
            "Drop 0.10 pp [-0.28, 0.48]: indistinguishable from zero on 4,000 images.",
        ),
        (
            (90, 40, 4000),
            VerdictKind.DROP,
            (
                "Drop 1.25 pp [0.70, 1.83]: a real drop on 4,000 images, its 95 % interval lies "
                "above zero."
            ),
        ),
        (
            (40, 90, 4000),
            VerdictKind.GAIN,
            (
                "Drop -1.25 pp [-1.83, -0.70]: a real gain on 4,000 images, its 95 % interval "
                "lies below zero."
            ),
        ),
        (
            (5, 0, 4000),
            VerdictKind.BORDERLINE,
            (
                "Drop 0.12 pp [0.03, 0.29]: too close to call on 4,000 images; the interval "
                "leaves out zero, McNemar's exact test does not (p = 0.062)."
            ),
        ),
        (
            (0, 0, 100),
            VerdictKind.INDISTINGUISHABLE,
            (
                "Drop 0.00 pp [-3.70, 3.70]: indistinguishable from zero on 100 images, to which "
                "both give the same classes."
            ),
        ),
    ],
)
def test_the_counts_decide(counts, kind, sentence):
    found = verdict(result(*counts))
    assert (found.kind, found.sentence) == (kind, sentence)


def test_flips_between_wrong_classes_are_no_equality():
    assert "same classes" not in verdict(result(0, 0, 100, others=3)).sentence


@pytest.mark.parametrize(
    ("flips", "images", "said"),
    [
        (66, 4000, "3,934 of 4,000 images (98.35 %)"),
        (0, 1, "1 of 1 image (100.00 %)"),
    ],
)
def test_without_labels_only_agreement_is_claimed(flips, images, said):
    found = verdict(unlabelled(flips, images))
    assert found.kind is VerdictKind.UNKNOWN
    assert found.sentence == (
        f"INT8 gives the float model's class to {said}: without labels a drop cannot be told."
    )
    assert found.power == ""


@pytest.mark.parametrize(
    ("counts", "power"),
    [
        ((16, 14, 4000), "To see a drop of 0.1 points takes about 59,000 images."),
        ((30, 26, 4000), "To see a drop of 0.1 points takes about 110,000 images."),
        ((400, 400, 10**6), "So many images show a drop of 0.1 points four times in five."),
        ((60, 52, 10_000), "To see a drop of 0.1 points takes about 88,000 images."),
        ((1, 1, 4000), "To see a drop of 0.1 points takes at least 7,800 images."),
        ((0, 0, 4000), "To see a drop of 0.1 points takes at least 7,800 images."),
        ((0, 0, 8000), "So many images show a drop of 0.1 points four times in five."),
        (
            (0, 0, 100),
            (
                "To see a drop of 0.1 points takes 7,800 to 230,000 images; as none changed from "
                "right to wrong or back, it cannot be told more closely."
            ),
        ),
        ((90, 40, 4000), ""),
        ((40, 90, 4000), ""),
    ],
)
def test_it_says_how_many_images_would_tell_more(counts, power):
    assert verdict(result(*counts)).power == power


@pytest.mark.parametrize("counts", [(0, 0, 1), (1, 0, 1), (0, 1, 1)])
def test_a_single_image_proves_nothing(counts):
    found = verdict(result(*counts))
    assert found.kind in (VerdictKind.INDISTINGUISHABLE, VerdictKind.BORDERLINE)
    assert found.phrase.endswith(" on 1 image")


def test_a_report_without_the_exact_test_goes_by_its_interval():
    old = result(5, 0, 4000).model_copy(update={"mcnemar_p": None})
    assert verdict(old).kind is VerdictKind.DROP


@pytest.mark.parametrize("kind", list(VerdictKind))
def test_every_verdict_can_be_reached(kind):
    results = [result(*counts) for counts in ((9, 9, 99), (9, 0, 99), (0, 9, 99), (5, 0, 99))]
    kinds = {verdict(found).kind for found in [*results, unlabelled(1, 9)]}
    assert kind in kinds | {verdict(results[0], plausible=False).kind}


@pytest.mark.parametrize("counts", [(9, 9, 99), (9, 0, 99), (0, 9, 99), (5, 0, 99)])
def test_against_a_float_model_that_is_not_plausible_no_drop_says_anything(counts):
    found = verdict(result(*counts), 1.0, plausible=False)
    assert found.kind is VerdictKind.IMPLAUSIBLE
    assert found.sentence.startswith("Drop ")
    assert "says nothing, since the float model is not plausible" in found.sentence
    assert found.power == ""
