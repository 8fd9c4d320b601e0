"""Measuring a bundle that lies on disk, perhaps on another machine than the one that made it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from eightbit.benchmarks.artifact import read_metadata
from eightbit.benchmarks.diagnosis import TensorDiagnosis
from eightbit.benchmarks.environment import usable_cores
from eightbit.benchmarks.report import Report
from eightbit.models.errors import InputError
from eightbit.models.sources import open_source
from eightbit.quantize import bundle
from eightbit.quantize.assessment import drawn_pixels, evaluate_artifacts, opened_runners
from eightbit.quantize.delivery import check_max_drop
from eightbit.quantize.diagnosis import diagnose
from eightbit.quantize.float_baseline import read_float_network
from eightbit.quantize.images import open_labelled
from eightbit.quantize.recipe import Recipe, read_recipe
from eightbit.quantize.reporting import make_report
from eightbit.quantize.stages import Stages
from eightbit.quantize.threads import torch_threads
from eightbit.quantize.timing import time_bundle


def evaluate_bundle(
    folder: Path,
    data: Path,
    stages: Stages,
    *,
    image_labels: Mapping[str, str] | None = None,
    max_drop_pp: float | None = None,
    threads: int | None = None,
    command: str = "",
) -> Report:
    """Accuracy, fidelity and parity of a bundle's artefacts on the given images.

    Args:
        folder: The bundle.
        data: Folder or archive of images.
        stages: Told of the progress.
        image_labels: Label by name of the image, for images without class folders.
        max_drop_pp: The gate that the report shall decide, if there is one: it needs labels.
        threads: Threads for the runtimes; None for all usable cores.
        command: The command line, for the report.

    Raises:
        InputError: The folder is no bundle, or the images cannot be used.
    """
    if max_drop_pp is not None:
        check_max_drop(max_drop_pp)
    recipe = recipe_of(folder)
    labelled = open_labelled(data, recipe.spec, image_labels, max_drop_pp=max_drop_pp)
    with labelled.source, opened_runners(folder, threads or usable_cores(), stages) as runners:
        evaluated = evaluate_artifacts(recipe, runners, labelled, stages)
    return make_report(recipe, stages, command=command, evaluated=evaluated)


def benchmark_bundle(
    folder: Path,
    stages: Stages,
    *,
    threads: Sequence[int] = (),
    batches: Sequence[int] = (),
    command: str = "",
) -> Report:
    """Latency of a bundle's models, float and INT8.

    Args:
        folder: The bundle.
        stages: Told of the progress.
        threads: Thread counts to measure at; empty for all usable cores.
        batches: Images per call to measure at; empty for one.
        command: The command line, for the report.

    Raises:
        InputError: The folder is no bundle, or a model cannot be loaded.
    """
    recipe = recipe_of(folder)
    latency = time_bundle(
        folder, recipe.spec, stages, threads=threads or (usable_cores(),), batches=batches or (1,)
    )
    return make_report(recipe, stages, command=command, folder=folder, latency=latency)


def diagnose_bundle(
    folder: Path,
    data: Path,
    stages: Stages,
    *,
    samples: int = 32,
    threads: int | None = None,
) -> tuple[TensorDiagnosis, ...]:
    """What each quantized tensor of a bundle loses on the given images, worst first.

    Args:
        folder: The bundle.
        data: Folder or archive of images; labels are not needed.
        stages: Told of the progress.
        samples: How many images to draw, class-balanced where there are classes.
        threads: Threads for torch; None for all usable cores.

    Raises:
        InputError: The folder is no bundle, or the images cannot be used.
    """
    recipe = recipe_of(folder)
    with open_source(data) as source, torch_threads(threads or usable_cores()):
        with stages.stage("load images"):
            pixels = drawn_pixels(recipe, source, samples)
        with stages.stage("diagnose"):
            fused = read_float_network(folder / bundle.FLOAT_ONNX, recipe.spec)
            return diagnose(fused, recipe, torch.from_numpy(pixels))


def recipe_of(folder: Path) -> Recipe:
    """The recipe of a bundle whose artefacts belong to it.

    Raises:
        InputError: The folder is no bundle, or an artefact is of another recipe.
    """
    if not (folder / bundle.FLOAT_ONNX).is_file():
        raise InputError(
            f"{folder}: expected a folder that `eightbit quantize` wrote, found no "
            f"{bundle.FLOAT_ONNX} in it"
        )
    recipe = read_recipe(folder / bundle.RECIPE)
    for name in (bundle.TORCHSCRIPT, bundle.ONNX):
        metadata = read_metadata(folder / name) if (folder / name).exists() else None
        if metadata is not None and metadata.recipe_sha256 != recipe.sha256:
            raise InputError(
                f"{folder / name}: expected an artefact of the {bundle.RECIPE} beside it, found "
                "one of another recipe; quantize again, or keep the files of one run together"
            )
    return recipe
