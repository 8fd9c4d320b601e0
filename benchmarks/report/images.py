"""The images behind a report: those that set the ranges, and those that were evaluated."""

from collections.abc import Sequence
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from eightbit.benchmarks.artifact.metadata import Sha256
from eightbit.benchmarks.artifact.versioned_json import SortedMapping
from eightbit.benchmarks.report.plausibility import PlausibilitySection
from eightbit.benchmarks.runtimes.environment import Environment
from eightbit.models.images.loading import SkippedImage
from eightbit.models.images.passed_over import PassedOver
from eightbit.models.spec import Count, FrozenModel, Positive, PositiveCount

SHOWN: Final = 24  # so many flipped images have a picture in the report
DIGEST_DIGITS: Final = 16
MAX_NAMED: Final = 100  # classes without images

Thumbnail = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=32 * 2**10)]
"""A JPEG file in Base64."""


class ConvergencePoint(FrozenModel):
    """How far the ranges moved from one checkpoint of the calibration to the next.

    Attributes:
        images: How many had been seen.
        tensor: Whose range moved most.
        largest_change: By which share of its width.
    """

    images: PositiveCount
    tensor: str
    largest_change: Annotated[float, Field(ge=0, allow_inf_nan=False)]


ShortDigest = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{DIGEST_DIGITS}}}$")]
"""The beginning of a SHA-256: enough to tell the files of a set apart."""


class WithoutImages(FrozenModel):
    """Classes of which no image could be used.

    Attributes:
        count: How many.
        names: The first of them: labels, or where there are none the names of folders.
    """

    count: Count = 0
    names: Annotated[tuple[str, ...], Field(max_length=MAX_NAMED)] = ()

    @classmethod
    def of(cls, names: Sequence[str]) -> Self:
        """All names are given, the first are kept."""
        return cls(count=len(names), names=tuple(names[:MAX_NAMED]))


class DecodingSection(FrozenModel):
    """Large photos decoded whole and scaled, with `--decode exact` and `--decode scaled`.

    Attributes:
        images: How many photos were decoded in both ways: the first that scaled decoding makes
            smaller, of files at equal distances.
        megapixels: How large they are, the median.
        exact_ms: From the bytes of a file to the pixels that the model is given, whole; the median,
            of one thread.
        scaled_ms: The same, scaled.
        mean_levels: By how many levels of 255 these pixels differ, in the mean.
        max_levels: The same of the photo where that is most.
    """

    images: PositiveCount
    megapixels: Positive
    exact_ms: Positive
    scaled_ms: Positive
    mean_levels: Annotated[float, Field(ge=0, le=255)]
    max_levels: Annotated[float, Field(ge=0, le=255)]

    @property
    def speedup(self) -> float:
        """How many times faster photos are ready when they are decoded scaled."""
        return self.exact_ms / self.scaled_ms


# A range that moves by no more than this share of its width between two checkpoints counts as
# settled: what `--samples auto` takes for it.
SETTLED_CHANGE: Final = 0.02


class CalibrationSection(FrozenModel):
    """The images that set the ranges.

    Attributes:
        source: Where they came from.
        images: How many were used.
        skipped: What could not be used.
        passed_over: Files beside them that are no images.
        without_images: Class folders of which no image could be used.
        also_in_evaluation: How many of them were evaluated too; more than 0 flatters the result.
        digests: The first 16 hexadecimal digits of the SHA-256 of each file, sorted, each once.
        convergence: How far ranges still moved from checkpoint to checkpoint.
        watched: The method whose ranges those are, where it is not the one that chose them.
        settled: Whether they came to rest before the images ran out, where as many were drawn as
            that took; None where a fixed number was asked for.
        decoding: Large photos decoded in both ways; None where there were none, or other images
            were evaluated.
    """

    source: str
    images: Count
    skipped: tuple[SkippedImage, ...] = ()
    passed_over: PassedOver = PassedOver()
    without_images: WithoutImages = WithoutImages()
    also_in_evaluation: Count = 0
    digests: Annotated[tuple[ShortDigest, ...], Field(min_length=1)]
    convergence: tuple[ConvergencePoint, ...] = ()
    watched: str | None = None
    settled: bool | None = None
    decoding: DecodingSection | None = None

    @property
    def would_more_pay(self) -> str:
        """Whether more images would have changed the ranges, in a sentence."""
        if self.settled is not None:
            settled = "settled" if self.settled else "had not settled"
            return f"The ranges {settled} after {self.images:,} images."
        if not self.convergence:
            return (
                f"Too few calibration images ({self.images:,}) to see whether the ranges have "
                "settled: more may pay."
            )
        last = self.convergence[-1]
        if last.largest_change > SETTLED_CHANGE:
            return (
                f"More calibration images may pay: the range of {last.tensor} still moved by "
                f"{last.largest_change:.0%} over the last of them (--samples auto draws as many as "
                "it takes)."
            )
        return (
            "More calibration images would change little: no range moved by more than "
            f"{SETTLED_CHANGE:.0%} over the last of them."
        )


class EvaluationSection(FrozenModel):
    """The images on which accuracy was measured.

    Attributes:
        source: Where they came from.
        images: How many were used.
        labelled: Whether their true classes are known.
        matched_by: How their folders or labels were matched to the model's classes.
        skipped: The first files that could not be used.
        skipped_count: How many there were in all.
        passed_over: Files beside them that are no images.
        without_images: Classes of the model of which no image could be used, where the images'
            classes are known.
        labels_without_image: How many labels of a label file are of images that are not there.
        images_sha256: Digest of the digests of the files that were used, in their order: where it
            is equal, the images are the same.
        images_per_s: Through all models together, decoding included; None where nothing was left
            to run.
        thumbnails: Small pictures of the first flipped images, by name of the image: JPEG files
            in Base64.
        plausibility: Whether the float model fits them; None where that was not looked at.
        decoding: Large photos of them decoded in both ways; None where there were none.
        environment: Where they ran, where that was not in the run that the report is of.
        command: The command line of a later evaluation; empty if that run evaluated.
    """

    source: str
    images: Count
    labelled: bool
    matched_by: str | None = None
    skipped: tuple[SkippedImage, ...] = ()
    skipped_count: Count
    passed_over: PassedOver = PassedOver()
    without_images: WithoutImages = WithoutImages()
    labels_without_image: Count = 0
    images_sha256: Sha256
    images_per_s: Positive | None = None
    thumbnails: SortedMapping[Thumbnail] = Field(default_factory=dict)
    plausibility: PlausibilitySection | None = None
    decoding: DecodingSection | None = None
    environment: Environment | None = None
    command: str = ""

    @model_validator(mode="after")
    def _no_more_skipped_than_counted(self) -> Self:
        if self.skipped_count < len(self.skipped):
            raise ValueError(f"skipped_count: expected at least {len(self.skipped)}")
        return self
