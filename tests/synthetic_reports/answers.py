"""What models answer that never were: which images each gets right is chosen, and then counted."""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np

from eightbit.benchmarks.accuracy.paired import drop_interval_pp, mcnemar_p
from eightbit.benchmarks.accuracy.tally import (
    AccuracyResult,
    CandidateAccuracy,
    ClassificationTally,
    Flip,
)
from eightbit.benchmarks.report.document import AccuracySection
from eightbit.benchmarks.runtimes.runner import FloatArray

IMAGES: Final = 4000
RIGHT: Final = 3200  # of `answers`: the float model answers the first ones of the images right
_BATCH: Final = 500
_HURT: Final = 3  # of `tallied`: the class that loses most


def answers(
    broke: Collection[int] = (),
    fixed: Collection[int] = (),
    *,
    labelled: bool = True,
    listed: bool = True,
) -> CandidateAccuracy:
    """An INT8 model that differs from float on these images.

    Args:
        broke: Numbers of images below `RIGHT`.
        fixed: Numbers of images from `RIGHT` on.
        labelled: Whether the true classes are known.
        listed: Whether the report lists every flip, or only counts them.
    """
    assert all(image < RIGHT for image in broke)
    assert all(image >= RIGHT for image in fixed)
    flips = tuple(
        Flip(
            image=f"{image}.png",
            label=0 if labelled else None,
            float_class=0 if image < RIGHT else 1,
            int8_class=2 if image < RIGHT else 0,
            float_probability=0.6,
            int8_probability=0.5,
        )
        for image in sorted((*broke, *fixed))
    )
    lost, won = len(broke), len(fixed)
    known = {
        "top1": (RIGHT - lost + won) / IMAGES,
        "drop_pp": 100 * (lost - won) / IMAGES,
        "drop_ci95_pp": drop_interval_pp(lost, won, IMAGES),
        "broke": lost,
        "fixed": won,
        "mcnemar_p": mcnemar_p(lost, won),
    }
    return CandidateAccuracy(
        top5=None,
        n=IMAGES,
        flips=flips if listed else flips[:1],
        flip_count=len(flips),
        top1_agreement=1 - len(flips) / IMAGES,
        confidence=None,
        classes=(),
        **(known if labelled else dict.fromkeys(known)),
    )


def accuracy(
    onnx: CandidateAccuracy | None, torchscript: CandidateAccuracy | None = None
) -> AccuracySection:
    """Those INT8 models beside the float model that they differ from."""
    labelled = onnx is None or onnx.top1 is not None
    return AccuracySection(
        fp32=AccuracyResult(
            top1=RIGHT / IMAGES if labelled else None, top5=None, n=IMAGES, confidence=None
        ),
        torchscript=torchscript,
        onnx=onnx,
    )


def tallied(
    labels: Sequence[str],
    names: Sequence[str] = (),
    *,
    broke: int = 30,
    fixed: int = 26,
    more_broke: int = 2,
    labelled: bool = True,
) -> AccuracySection:
    """What an evaluation of logits finds, with its classes and its confidence.

    Every image is as often right as the float model is sure of it. A third of what breaks is of one
    class, of which nothing is fixed; ten more images change from one wrong class to another where
    there are three classes.

    Args:
        labels: Of the classes.
        names: Of the first images that change their class; others have plain ones.
        broke: Right answers that both artefacts lose.
        fixed: Wrong answers that both put right.
        more_broke: Right answers that TorchScript loses as well.
        labelled: Whether the true classes are known.
    """
    count = len(labels)
    truth = np.arange(IMAGES) % count
    generator = np.random.default_rng(0)
    sure = generator.uniform(0.62, 0.999, IMAGES)
    right = (generator.random(IMAGES) < sure) | (count == 1)
    answers = np.where(right, truth, (truth + 1) % count)
    onnx, torchscript = answers.copy(), answers.copy()
    hurt = np.flatnonzero(right & (truth == _HURT))[: broke // 3]
    others = np.flatnonzero(right & (truth != _HURT))[: broke + more_broke - len(hurt)]
    lost = np.concatenate((hurt, others)).astype(int)
    wrong = np.flatnonzero(~right & (truth != _HURT))
    won = wrong[:fixed]
    for candidate, changed in ((onnx, lost[:broke]), (torchscript, lost)):
        candidate[changed] = (truth[changed] + 1) % count
        candidate[won] = truth[won]
        if count > 2:
            moved = wrong[fixed : fixed + 10]
            candidate[moved] = (truth[moved] + 2) % count
    files = [f"{labels[index % count][:40]}/{index // count}.png" for index in range(IMAGES)]
    for index, name in zip(np.flatnonzero(onnx != answers), names, strict=False):
        files[index] = name
    tally = ClassificationTally(("onnx", "torchscript"))
    for first in range(0, IMAGES, _BATCH):
        part = slice(first, first + _BATCH)
        tally.update(
            _logits(answers[part], sure[part], count),
            {
                "onnx": _logits(onnx[part], sure[part] - 0.02, count),
                "torchscript": _logits(torchscript[part], sure[part] - 0.02, count),
            },
            truth[part].tolist() if labelled else None,
            files[part],
        )
    return AccuracySection(
        fp32=tally.reference_result(),
        onnx=tally.candidate_result("onnx"),
        torchscript=tally.candidate_result("torchscript"),
    )


def _logits(answers: np.ndarray, sure: np.ndarray, count: int) -> FloatArray:
    """Logits whose softmax is `sure` for the answer, and equal for every other class."""
    logits = np.zeros((len(answers), count), dtype=np.float32)
    if count > 1:
        logits[np.arange(len(answers)), answers] = np.log(sure / (1 - sure) * (count - 1))
    return logits
