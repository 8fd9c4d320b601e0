"""Whether the float model is any good on its images: else a drop against it says nothing."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from eightbit.benchmarks.accuracy.tally import AccuracyResult
from eightbit.benchmarks.report.checks import Check
from eightbit.benchmarks.report.figures import percent, percents
from eightbit.models.plain_text import counted
from eightbit.models.spec import Count, Fraction, FrozenModel, PositiveCount, Task

PLAUSIBLE_CHECK: Final = "float model plausible"

# Networks that fit their images are too sure of themselves by up to 0.2, and on images that are
# noisier or of another origin by up to 0.3: C. Guo et al., "On Calibration of Modern Neural
# Networks", ICML 2017; Y. Ovadia et al., "Can You Trust Your Model's Uncertainty?", NeurIPS 2019.
MAX_OVERCONFIDENCE: Final = 0.3

# Of images without labels: fewer may well be of one class.
_MANY: Final = 64


class Doubt(StrEnum):
    """Why a float model is not plausible."""

    AT_CHANCE = "at chance"
    """Its 95 % interval reaches down to the rate of chance."""
    OVERCONFIDENT = "overconfident"
    """The upper end of its interval is more than 0.3 below its mean confidence."""
    ONE_CLASS = "one class"
    """Its answer is the same for all images, of several classes."""
    OTHER_ORDER = "other order"
    """Its answers fit the labels far better under another order of the classes."""


class Alternative(FrozenModel):
    """Another reading of the same images or labels, tried with the float model.

    Attributes:
        name: What it is, such as "BGR".
        option: What takes it, such as an option of `eightbit quantize`.
        top1: Fraction of right answers on the images that all alternatives were tried on.
        top1_ci95: Its exact 95 % confidence interval.
        better: Whether that interval lies above that of the reading that was taken.
    """

    name: Annotated[str, Field(max_length=200)]
    option: Annotated[str, Field(max_length=400)]
    top1: Fraction
    top1_ci95: tuple[Fraction, Fraction]
    better: bool


class PlausibilitySection(FrozenModel):
    """Whether the float model fits the images on which everything is compared with it.

    Attributes:
        classes_present: Classes that have an image; None without labels.
        classes_predicted: Classes that the float model gave.
        top1_ci95: Exact 95 % confidence interval of its top-1; None without labels.
        chance: Top-1 of a model that does not look: one in as many classes as are present, or what
            the frequencies of labels and answers give, if that is more; None without labels.
        enough_images: Whether a model halfway between chance and perfect would be told from chance;
            None without labels.
        doubts: Why it is not plausible.
        tried_images: On how many images alternatives were tried, class-balanced.
        as_taken: Top-1 on those with the reading that was taken; None where nothing was tried.
        alternatives: Other readings, the one that is right most often first.
    """

    classes_present: PositiveCount | None = None
    classes_predicted: PositiveCount
    top1_ci95: tuple[Fraction, Fraction] | None = None
    chance: Fraction | None = None
    enough_images: bool | None = None
    doubts: tuple[Doubt, ...] = ()
    tried_images: Count = 0
    as_taken: Fraction | None = None
    alternatives: tuple[Alternative, ...] = ()

    @property
    def best(self) -> Alternative | None:
        """The best alternative that is better than what was taken, if there is one."""
        return next((one for one in self.alternatives if one.better), None)


def plausible_check(
    section: PlausibilitySection,
    result: AccuracyResult,
    metric: str = Task.SINGLE_LABEL.metric,
) -> Check | None:
    """The check of a float model's accuracy; None without labels."""
    if result.top1 is None or section.top1_ci95 is None:
        return None
    facts = f"{metric} {_share(section, result)}, {percents(section.chance or 0.0)} by chance"
    if result.confidence is not None:
        facts += f", mean confidence {percent(result.confidence.mean_confidence, 1)}"
    if section.doubts:
        detail = f"{said(section)}; {facts}; likely {causes(section)}"
    elif not section.enough_images:
        detail = f"too few images to tell it from chance; {facts}"
    else:
        detail = facts
    return Check(name=PLAUSIBLE_CHECK, passed=not section.doubts, detail=detail)


def _share(section: PlausibilitySection, result: AccuracyResult) -> str:
    return f"{percents(result.top1 or 0.0, section.top1_ci95)} of {counted(result.n, 'image')}"


def said(section: PlausibilitySection) -> str:
    """What the doubts are, in words."""
    return " and ".join(_WORDS[doubt] for doubt in section.doubts)


_WORDS: Final = {
    Doubt.AT_CHANCE: "not above the rate of chance",
    Doubt.OVERCONFIDENT: "far below its mean confidence",
    Doubt.ONE_CLASS: "one class for all images",
    Doubt.OTHER_ORDER: "right far more often under another order of the classes",
}


def causes(section: PlausibilitySection) -> str:
    """The likely causes in order, and the alternative that explains it, if one does."""
    listed = "the order of the classes, the preprocessing, or the architecture or its weights"
    best = section.best
    if best is not None:
        gives = f"{percents(best.top1, best.top1_ci95)} of {section.tried_images:,}"
        return f"causes in order: {listed}; {best.name} gives {gives}: {best.option}"
    tried = f"; none of {len(section.alternatives)} alternatives tried is better"
    return f"causes in order: {listed}{tried if section.alternatives else ''}"


def one_class_warning(section: PlausibilitySection, images: int) -> str:
    """A sentence where a model gives many images without labels one class; else nothing."""
    if section.classes_present is not None or section.classes_predicted > 1 or images < _MANY:
        return ""
    return (
        f"The float model gives all {images:,} images the same class: unless they are of one, "
        "look for a wrong preprocessing, architecture or weights."
    )
