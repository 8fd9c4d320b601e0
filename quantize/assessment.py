"""The artefacts of a bundle, each in a fresh process: verified, then measured."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from torch import nn

from eightbit.benchmarks.contract import FloatArray
from eightbit.benchmarks.isolated import IsolatedRunner
from eightbit.benchmarks.parity import ExecutionsSection
from eightbit.benchmarks.report import CoverageSection, EvaluationSection
from eightbit.models.sampling import balanced_order
from eightbit.models.sources import ImageSource
from eightbit.quantize import bundle
from eightbit.quantize.audit import audit
from eightbit.quantize.config import ArtifactFormat
from eightbit.quantize.evaluation import BATCH_SIZE, Evaluation, evaluate_runners
from eightbit.quantize.executing import affordable, excused, execute, executions
from eightbit.quantize.graph import trace
from eightbit.quantize.images import LabelledSource, UsableImages
from eightbit.quantize.placement import float_operators
from eightbit.quantize.recipe import Recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.verification import FLOAT, Verification, verify

VERIFICATION_IMAGES: Final = 64

# The reference takes long: as many images as have so many pixels, four of 224 px.
_REFERENCE_PIXELS: Final = 4 * 224**2

# The other executions see as many images as have so many pixels: 16 of 224 px.
_EXECUTED_PIXELS: Final = 16 * 224**2

_MODELS: Final = {
    ArtifactFormat.TORCHSCRIPT.value: bundle.TORCHSCRIPT,
    ArtifactFormat.ONNX.value: bundle.ONNX,
    FLOAT: bundle.FLOAT_ONNX,
}


def audit_artifact(fused: nn.Module, recipe: Recipe, path: Path) -> CoverageSection:
    """What computes in integers in the ONNX artefact of a recipe, and what is meant not to."""
    meant = float_operators(trace(fused), recipe.float_layers)
    found = audit(path)
    return found.model_copy(
        update={
            name: kind.model_copy(update={"meant_as_float": meant[name]})
            for name, kind in found
            if kind is not None
        }
    )


@contextmanager
def opened_runners(
    folder: Path, threads: int, stages: Stages
) -> Iterator[Mapping[str, IsolatedRunner]]:
    """The bundle's models by name, the float one as ``FLOAT``, each loaded in its own process.

    Raises:
        InputError: A model cannot be loaded on this machine.
    """
    with ExitStack() as stack:
        with stages.stage("load artefacts"):
            runners = {
                name: stack.enter_context(IsolatedRunner(folder / file, threads=threads))
                for name, file in _MODELS.items()
                if (folder / file).exists()
            }
        yield runners
        for runner in runners.values():
            stages.note_memory(runner.peak_rss_bytes())


def drawn_pixels(recipe: Recipe, source: ImageSource, samples: int) -> FloatArray:
    """The first usable images of a class-balanced order: float32, shape (N, 3, crop, crop).

    Raises:
        InputError: No image is usable.
    """
    images = UsableImages(
        source,
        balanced_order(source.items, recipe.config.seed),
        recipe.spec.preprocessing,
        limit=samples,
    )
    return np.stack([image.pixels for image in images])


def verify_artifacts(
    folder: Path,
    fused: nn.Module,
    recipe: Recipe,
    runners: Mapping[str, IsolatedRunner],
    source: ImageSource,
    stages: Stages,
    *,
    coverage: CoverageSection | None,
    threads: int,
) -> tuple[Verification, FloatArray]:
    """Verify the artefacts, as they run by themselves and in every other way that is quick.

    Returns:
        What was found, and on which images: float32, shape (N, 3, crop, crop).

    Raises:
        InputError: No image is usable.
    """
    pixels = drawn_pixels(recipe, source, VERIFICATION_IMAGES)
    available = executions(folder, thorough=False)
    wanted = [execution for execution in available.possible if execution.name not in runners]
    with stages.stage("verify", total=2 + len(runners) + len(wanted)) as watcher:
        executed = execute(
            folder,
            fused,
            recipe,
            wanted,
            affordable(pixels, _EXECUTED_PIXELS),
            threads=threads,
            reference_pixels=_REFERENCE_PIXELS,
            advance=watcher.advance,
        )
        verification = verify(
            fused,
            runners,
            pixels,
            output_scale=recipe.output_scale,
            coverage=coverage,
            executed=executed.logits,
            excused=excused(recipe, available.possible),
            crashed=executed.crashed,
            advance=watcher.advance,
        )
    stages.note_memory(executed.peak_rss_bytes)
    section = ExecutionsSection(
        source=source.name,
        images=len(pixels),
        not_measured={**available.missing, **executed.failed},
    )
    return replace(verification, executions=section), pixels


@dataclass(frozen=True, kw_only=True)
class EvaluatedImages:
    """An evaluation and the images that it ran on.

    Attributes:
        evaluation: The result.
        section: The images, for the report.
        digests: Of the images' files.
    """

    evaluation: Evaluation
    section: EvaluationSection
    digests: frozenset[str]


def evaluate_artifacts(
    recipe: Recipe,
    runners: Mapping[str, IsolatedRunner],
    data: LabelledSource,
    stages: Stages,
) -> EvaluatedImages:
    """Measure the artefacts against the float model on all images of a source.

    Raises:
        InputError: No image is usable, or a logit is not finite.
    """
    images = UsableImages(data.source, data.source.items, recipe.spec.preprocessing)
    with stages.stage("evaluate", total=images.limit) as watcher:
        evaluation = evaluate_runners(
            runners,
            images.batches(BATCH_SIZE),
            data.labels,
            output_scale=recipe.output_scale,
            advance=watcher.advance,
        )
    return EvaluatedImages(
        evaluation=evaluation,
        section=EvaluationSection(
            source=data.source.name,
            images=len(images.digests),
            labelled=data.labels is not None,
            matched_by=data.classes.rule.value if data.classes else None,
            skipped=tuple(images.skipped),
        ),
        digests=frozenset(images.digests),
    )
