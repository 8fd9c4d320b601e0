"""The artefacts of a bundle, each in a fresh process, and the proof that they are right."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from torch import nn

from eightbit.benchmarks.accuracy.parity import ExecutionsSection
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.report.document import CoverageSection
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import ImageSource
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.audit import audit
from eightbit.quantize.config import ArtifactFormat
from eightbit.quantize.images import UsableImages
from eightbit.quantize.network.graph import trace
from eightbit.quantize.network.placement import float_operators
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.verify.executions import affordable, excused, execute, executions
from eightbit.quantize.verify.verification import FLOAT, Verification, verify

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


def models_of(folder: Path) -> dict[str, Path]:
    """The bundle's models by name, the float one as ``FLOAT``."""
    return {name: folder / file for name, file in _MODELS.items() if (folder / file).exists()}


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
                name: stack.enter_context(IsolatedRunner(path, threads=threads))
                for name, path in models_of(folder).items()
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
