"""What every candidate of the comparison is given: the same weights and the same images.

A job is written as JSON for a process of its own (`worker`), which leaves an outcome.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt

from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.images.loading import LoadedImage, load_images
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import open_source
from eightbit.models.spec import FrozenModel, ModelSpec, Preprocessing

# The default of `eightbit quantize --seed`: everybody calibrates on the same draw.
_SEED: Final = 0


class Candidate(StrEnum):
    """Who gives logits; the value is the name in the table."""

    FLOAT = "float32 torch"
    ARTIFACT = "a file that is quantized already"
    FX_X86 = "torch FX, x86"
    FX_ONEDNN = "torch FX, onednn"
    FX_FBGEMM = "torch FX, fbgemm"
    ORT_MINMAX = "ONNX Runtime, MinMax"
    ORT_PERCENTILE = "ONNX Runtime, Percentile"
    ORT_ENTROPY = "ONNX Runtime, Entropy"
    NNCF = "NNCF, default"
    NNCF_MIXED_MINMAX = "NNCF, mixed preset, min-max ranges"


PEERS: Final = tuple(
    candidate for candidate in Candidate if candidate not in (Candidate.FLOAT, Candidate.ARTIFACT)
)


class Work(FrozenModel):
    """What everybody who quantizes a network is given.

    Attributes:
        spec: Spec of the network; its preprocessing is everybody's.
        structure: Arguments of `build_model` that the architecture leaves open, such as
            `width_per_group`; empty for a network that the command line knows by name.
        weights: The checkpoint.
        calibrate: Calibration images.
        samples: Calibration images to draw.
        threads: Threads for everything.
        folder: Where the outcome is written.
    """

    spec: ModelSpec
    structure: dict[str, int] = Field(default_factory=dict)
    weights: Path
    calibrate: Path
    samples: PositiveInt
    threads: PositiveInt
    folder: Path


class Job(Work):
    """One candidate's work on one network.

    Attributes:
        candidate: Who does it.
        file: The float ONNX model, for candidates that quantize one; for `Candidate.ARTIFACT`
            the quantized file itself, ONNX or TorchScript.
        evaluate: Evaluation images.
        limit: At most so many evaluation images; None for all.
        as_written: Whether ONNX Runtime executes ONNX models node by node instead of fusing them.
    """

    candidate: Candidate
    file: Path | None
    evaluate: Path
    limit: PositiveInt | None
    as_written: bool = False


class OwnJob(Work):
    """This project's work on one network: several runs that share the pass over the images.

    Attributes:
        runs: What is typed beside the defaults, by the name of the run's folder: options of
            `eightbit quantize` that choose numbers, without their dashes, and their values.
    """

    runs: dict[str, dict[str, str]]


class OwnOutcome(FrozenModel):
    """What one of our runs leaves as JSON beside its models.

    Attributes:
        seconds: From the loaded network and images on disk to the quantized model, the shared
            pass over the images included.
        peak_rss_bytes: Highest resident memory of the process until then, the runs before it
            included.
    """

    seconds: NonNegativeFloat
    peak_rss_bytes: PositiveInt


class Outcome(FrozenModel):
    """What a worker leaves as JSON beside its logits.

    Attributes:
        seconds: From the loaded float model and images on disk to the quantized model.
        peak_rss_bytes: Highest resident memory of the process until then.
        images: Names of the evaluation images, one for each row of the logits.
    """

    seconds: NonNegativeFloat
    peak_rss_bytes: PositiveInt
    images: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Images that run together.

    Attributes:
        names: Names of the images, N of them.
        pixels: float32, shape (N, 3, crop, crop), normalised.
    """

    names: tuple[str, ...]
    pixels: FloatArray


def calibration_batches(job: Job, size: int) -> Iterator[Batch]:
    """The images that ``eightbit quantize --samples N`` draws, decoded as they are asked for."""
    return _batches(job.calibrate, job.spec.preprocessing, job.samples, size)


def evaluation_batches(job: Job, size: int) -> Iterator[Batch]:
    """The evaluation images, balanced over the classes where they are limited."""
    return _batches(job.evaluate, job.spec.preprocessing, job.limit, size)


def _batches(
    path: Path, preprocessing: Preprocessing, count: int | None, size: int
) -> Iterator[Batch]:
    with open_source(path) as source:
        items = balanced_order(source.items, seed=_SEED)
        with closing(load_images(source, items, preprocessing)) as loaded:  # type: ignore[type-var]
            usable = islice((i for i in loaded if isinstance(i, LoadedImage)), count)
            while images := list(islice(usable, size)):
                yield Batch(
                    names=tuple(image.item.name for image in images),
                    pixels=np.stack([image.pixels for image in images]),
                )
