"""What was tried on calibration images before the numbers of a recipe were settled."""

from pydantic import Field

from eightbit.models.spec import Finite, FrozenModel, PositiveCount


class ChoiceTrial(FrozenModel):
    """A candidate, and how well the quantized network answered with it.

    Attributes:
        candidate: Equalized or as it was; a range method; a rounding, with corrected biases or not.
        images: On how many calibration images it was judged: less promising ones on fewer.
        score_db: What decides: nine tenths the mean of the images' own SQNR, of the outputs and,
            where there is a classifier, of the features that it reads, alike; one tenth the SQNR of
            all outputs together.
        median_sqnr_db: SQNR of the outputs of the median image.
        sqnr_db: SQNR of all outputs together, which a few outlier images can rule.
        chosen: Whether it is in the recipe.
    """

    candidate: str = Field(min_length=1)
    images: PositiveCount
    score_db: Finite
    median_sqnr_db: Finite
    sqnr_db: Finite
    chosen: bool


class ChoicesSection(FrozenModel):
    """Decisions by the network's answers on calibration images; empty where there was no choice.

    Attributes:
        equalization: The network with rescaled channels and as it was, where there is something to
            rescale; with extremes for ranges and weights rounded to nearest.
        ranges: Methods for the ranges of activations, simulated with float weights.
        rounding: Roundings of weights, on images that they were not fitted to, with those ranges.
    """

    equalization: tuple[ChoiceTrial, ...] = ()
    ranges: tuple[ChoiceTrial, ...] = ()
    rounding: tuple[ChoiceTrial, ...] = ()
