"""The search for the fewest layers in float that meet a target of accuracy."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from eightbit.benchmarks.accuracy.tally import CandidateAccuracy
from eightbit.models.spec import Count, Finite, Fraction, FrozenModel, Positive, PositiveCount


class FallbackStep(FrozenModel):
    """One network that was tried.

    Attributes:
        float_layers: How many operations it computes in float.
        added: Those that the step before it, with fewer of them, computes in integers.
        artifact: The artefact that the other figures are of: the one whose interval ends highest.
            One that misses the target ends the step, before the next is written.
        drop_pp: Float top-1 minus its own, in percentage points.
        drop_ci95_pp: 95 % confidence interval of the drop.
        top1_agreement: Fraction of images to which it gives the float model's class.
        latency_ratio: Its median time per call over that of the network that has everything in
            integers; None where it was not measured.
        met: Whether the target was met, by every artefact that is written.
        chosen: Whether this is the network that was delivered.
    """

    float_layers: Count
    added: tuple[str, ...]
    artifact: str
    drop_pp: Finite
    drop_ci95_pp: tuple[Finite, Finite]
    top1_agreement: Fraction
    latency_ratio: Positive | None
    met: bool
    chosen: bool


class FallbackSection(FrozenModel):
    """The search for the fewest operations in float with which a target is met.

    Attributes:
        target_pp: What the upper end of the drop's interval may be at most.
        met: Whether the delivered network meets it.
        evaluations: How many networks were evaluated on all images.
        candidates: How many operations could be left in float.
        images_needed: Where the target is missed: with how many images the delivered network's drop
            would meet it, or if none are enough, one that loses nothing; None where it is met, or
            out of reach even then.
        steps: The networks that were tried, by the number of operations in float.
    """

    target_pp: Finite
    met: bool
    evaluations: PositiveCount
    candidates: PositiveCount
    images_needed: PositiveCount | None
    steps: Annotated[tuple[FallbackStep, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_is_delivered(self) -> Self:
        if [step.met for step in self.steps if step.chosen] != [self.met]:
            raise ValueError("steps: expected one that was chosen, and that meets what is met")
        return self


def still_counts(
    fallback: FallbackSection, results: Mapping[str, CandidateAccuracy | None]
) -> bool:
    """Whether a search's chosen network is what was evaluated last, on the same images."""
    (step,) = (step for step in fallback.steps if step.chosen)
    result = results.get(step.artifact)
    return result is not None and result.drop_ci95_pp == step.drop_ci95_pp
