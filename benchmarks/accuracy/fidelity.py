"""How close logits are: to the float model in decibels, to each other in last bits."""

import math
from array import array
from statistics import median_low
from typing import Annotated

import numpy as np
from pydantic import Field

from eightbit.benchmarks.accuracy.heads import LEAST_R2, SINGLE_LABEL, DoubleArray, Head, Spread
from eightbit.benchmarks.runtimes.runner import FloatArray, check_finite, check_logits
from eightbit.models.errors import InputError
from eightbit.models.spec import (
    MAX_COUNT,
    Count,
    Finite,
    Fraction,
    FrozenModel,
    PositiveCount,
    Task,
)

# Without the bounds of `Finite`: they grow with the outputs, and no limit is set to those.
_Distance = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Determination = Annotated[float, Field(ge=LEAST_R2, le=1, allow_inf_nan=False)]


class FidelityResult(FrozenModel):
    """Logits of a candidate against those of the float model.

    A few images with large logits can rule `sqnr_db`, which sums over all of them; every image
    counts alike in the median, the divergence and the agreement.

    Attributes:
        sqnr_db: Signal-to-quantization-noise ratio over all logits, in decibels; None stands for
            infinity, when every logit is identical (JSON has no infinity).
        median_image_sqnr_db: Median over the images of the same ratio over one image's logits; of
            two middle images the lower one, so that no infinity is averaged. None stands for
            infinity, when more than half of the images have identical logits. Images whose float
            logits are all zero have no ratio and are left out.
        mean_kl: Mean over the images of the Kullback-Leibler divergence
            D(softmax(float) || softmax(candidate)), in nats; of a binary or multi-label classifier
            the sum over its classes of that of the sigmoids; None for a regression.
        top1_agreement: Fraction of images to which both give the same class; of a binary or
            multi-label classifier, fraction of its decisions that are the same; None for a
            regression.
        decisions: Decisions per image: the classes of a multi-label classifier, none of a
            regression.
        r2: Coefficient of determination of the candidate's outputs as a prediction of the float
            model's, all outputs together, each about its own mean; None for a single-label
            classifier, and where the float model's outputs are the same for all images.
        mean_abs_error: Mean absolute difference of the outputs of a regression, else None.
        max_abs_error: The largest one, likewise.
        n: Number of images.
    """

    sqnr_db: Finite | None
    median_image_sqnr_db: Finite | None
    mean_kl: _Distance | None
    top1_agreement: Fraction | None
    decisions: Count = 1
    r2: _Determination | None = None
    mean_abs_error: _Distance | None = None
    max_abs_error: _Distance | None = None
    n: PositiveCount


class ParityResult(FrozenModel):
    """Logits of one INT8 artefact against those of another.

    Attributes:
        max_lsb: Largest difference of two logits, in last bits (steps of the output's scale).
        identical_fraction: Fraction of logits that are less than half a last bit apart.
        within_one_lsb_fraction: Fraction of logits that are at most one last bit apart.
        top1_agreement: Fraction of images to which both give the same class, or of decisions that
            are the same; None for a regression.
        decisions: Decisions per image, as in `FidelityResult`.
        r2: Of the second artefact's outputs as the first one's prediction, as in `FidelityResult`.
        close_calls: Of the predictions that differ, those which one last bit more or less in every
            output of the second artefact would turn into those of the first.
        n: Number of images.
    """

    max_lsb: Count
    identical_fraction: Fraction
    within_one_lsb_fraction: Fraction
    top1_agreement: Fraction | None
    decisions: Count = 1
    r2: _Determination | None = None
    close_calls: Count = 0
    n: PositiveCount


class _Likeness:
    """Decisions that two models share, and how well one's outputs follow the other's."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._agreeing = 0
        self._decisions = 0
        self._outputs = 0
        self._spread = Spread()
        self._noise = 0.0

    def update(self, reference: FloatArray, candidate: FloatArray) -> None:
        """Adds one batch, both float32 (N, outputs)."""
        expected, found = self._head.decisions(reference), self._head.decisions(candidate)
        self._agreeing += int(np.count_nonzero(expected == found))
        self._decisions += expected.size
        self._outputs = reference.shape[1]
        if self._head.task is not Task.SINGLE_LABEL:
            exact = reference.astype(np.float64)
            self._spread.update(exact)
            self._noise += float(np.square(exact - candidate).sum())

    @property
    def agreement(self) -> float | None:
        """Fraction of decisions that are the same; None where none are made."""
        return self._agreeing / self._decisions if self._decisions else None

    @property
    def decisions(self) -> int:
        """Decisions per image."""
        return self._head.decisions_per_image(self._outputs)

    @property
    def r2(self) -> float | None:
        """See `Spread.r2`; None of a single-label head."""
        single = self._head.task is Task.SINGLE_LABEL
        return None if single else self._spread.r2(self._noise)


class FidelityMeter:
    """Accumulates the distance of a candidate from the float model over batches.

    A median cannot be had from sums: one number per image is kept, 8 bytes, and no logits.
    """

    def __init__(self, head: Head = SINGLE_LABEL) -> None:
        self._head = head
        self._likeness = _Likeness(head)
        self._signal = 0.0
        self._noise = 0.0
        self._image_ratios = array("d")
        self._kl = 0.0
        self._error = 0.0
        self._largest = 0.0
        self._outputs = 0
        self._images = 0

    def update(self, reference: FloatArray, candidate: FloatArray) -> None:
        """Adds one batch of logits, both float32 of shape (N, classes).

        Raises:
            InputError: The shapes differ, or a value is NaN or infinite.
        """
        _check_pair(reference, candidate)
        expected, found = reference.astype(np.float64), candidate.astype(np.float64)
        signal = np.sum(np.square(expected), axis=1)
        noise = np.sum(np.square(expected - found), axis=1)
        self._signal += float(signal.sum())
        self._noise += float(noise.sum())
        self._image_ratios.extend(_ratios(signal, noise))
        divergence = self._head.divergence(expected, found)
        self._kl += 0.0 if divergence is None else float(divergence.sum())
        errors = np.abs(expected - found)
        self._error += float(errors.sum())
        self._largest = max(self._largest, float(errors.max()))
        self._outputs += errors.size
        self._likeness.update(reference, candidate)
        self._images += len(reference)

    def result(self) -> FidelityResult:
        """The distance over all logits so far; a ratio is sum ref^2 / sum (ref - x)^2.

        Raises:
            InputError: All logits of the float model are zero, so that there is no signal.
            ValueError: No batch has been added.
        """
        n = _counted(self._images)
        if not self._signal:
            raise InputError("float model: expected logits, found only zeros; check its weights")
        regression = self._head.task is Task.REGRESSION
        return FidelityResult(
            sqnr_db=_decibels(self._signal / self._noise) if self._noise else None,
            median_image_sqnr_db=_decibels(median_low(self._image_ratios)),
            mean_kl=None if regression else self._kl / n,
            mean_abs_error=self._error / self._outputs if regression else None,
            max_abs_error=self._largest if regression else None,
            n=n,
            top1_agreement=self._likeness.agreement,
            decisions=self._likeness.decisions,
            r2=self._likeness.r2,
        )


class ParityMeter:
    """Accumulates the distance of two INT8 artefacts of one recipe over batches.

    Args:
        output_scale: One last bit of the logits: a 255th of their calibrated range, since the
            artefacts do not round them. Differences are rounded to whole last bits: "identical"
            are logits that are closer than half of one.
        head: How they are read.
    """

    def __init__(self, output_scale: float, head: Head = SINGLE_LABEL) -> None:
        if not (math.isfinite(output_scale) and output_scale > 0):
            raise ValueError(f"output_scale: expected a positive number, found {output_scale}")
        self._scale = output_scale
        self._max_lsb = 0
        self._identical = 0
        self._within_one = 0
        self._logits = 0
        self._close_calls = 0
        self._head = head
        self._likeness = _Likeness(head)
        self._images = 0

    def update(self, first: FloatArray, second: FloatArray) -> None:
        """Adds one batch of logits, both float32 of shape (N, classes).

        Raises:
            InputError: The shapes differ, or a value is NaN or infinite.
        """
        _check_pair(first, second)
        lsb = np.rint(np.abs(first.astype(np.float64) - second) / self._scale)
        self._max_lsb = max(self._max_lsb, int(lsb.max()))
        self._identical += int(np.count_nonzero(lsb == 0))
        self._within_one += int(np.count_nonzero(lsb <= 1))
        self._logits += lsb.size
        self._likeness.update(first, second)
        self._close_calls += self._closely_different(first, second)
        self._images += len(first)

    def _closely_different(self, first: FloatArray, second: FloatArray) -> int:
        others = self._head.decisions(first)
        different = others != self._head.decisions(second)
        last_bits = np.rint(self._head.distance(second, others) / self._scale)
        return int(np.count_nonzero(different & (last_bits <= 1)))

    def result(self) -> ParityResult:
        """The distance over all logits so far.

        Raises:
            ValueError: No batch has been added.
        """
        n = _counted(self._images)
        return ParityResult(
            max_lsb=min(self._max_lsb, MAX_COUNT),
            identical_fraction=self._identical / self._logits,
            within_one_lsb_fraction=self._within_one / self._logits,
            n=n,
            top1_agreement=self._likeness.agreement,
            decisions=self._likeness.decisions,
            r2=self._likeness.r2,
            close_calls=self._close_calls,
        )


def _ratios(signal: DoubleArray, noise: DoubleArray) -> DoubleArray:
    """Signal over noise of each image that has a signal; infinite where there is no noise."""
    has_signal = signal > 0
    with np.errstate(divide="ignore"):
        return signal[has_signal] / noise[has_signal]


def _decibels(ratio: float) -> float | None:
    return None if math.isinf(ratio) else 10 * math.log10(ratio)


def _check_pair(first: FloatArray, second: FloatArray) -> None:
    for logits, where in ((first, "first model"), (second, "second model")):
        check_logits(logits, images=len(first), where=where)
        check_finite(logits, where=where)
    if first.shape != second.shape:
        raise InputError(f"logits: expected equal shapes, found {first.shape} and {second.shape}")


def _counted(images: int) -> int:
    if not images:
        raise ValueError("no batch has been added: call update first")
    return images
