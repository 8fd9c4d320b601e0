"""Measuring a bundle that lies on disk, perhaps on another machine than the one that made it."""

from collections.abc import Sequence
from pathlib import Path

import torch

from eightbit.benchmarks.artifact.artifact import ArtifactMetadata, read_metadata
from eightbit.benchmarks.report.diagnosis import TensorDiagnosis
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.runtimes.environment import usable_cores
from eightbit.models.errors import InputError
from eightbit.models.images.sources import open_source
from eightbit.models.plain_text import printable
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.float_baseline import read_float_network
from eightbit.quantize.artifacts.write import ENGINES
from eightbit.quantize.assessment import drawn_pixels
from eightbit.quantize.commands.amend import Amending, environment_beside
from eightbit.quantize.measure.diagnosis import diagnose
from eightbit.quantize.measure.latency import THOROUGH, time_bundle
from eightbit.quantize.measure.report import make_report
from eightbit.quantize.photos import read_photos
from eightbit.quantize.recipe.recipe import Recipe, read_recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.threads import torch_threads


def benchmark_bundle(
    folder: Path,
    stages: Stages,
    *,
    threads: Sequence[int] = (),
    batches: Sequence[int] = (),
    images: Path | None = None,
    command: str = "",
) -> Report:
    """Latency of a bundle's models, float and INT8.

    Args:
        folder: The bundle. Its report is replaced by one with the new latencies; where it has none,
            one is made.
        stages: Told of the progress.
        threads: Thread counts to measure at; empty for all usable cores.
        batches: Images per call to measure at; empty for one.
        images: Folder or archive of photos to measure the whole path with; None for made-up ones.
        command: The command line, for the report.

    Returns:
        A report of this benchmark alone.

    Raises:
        InputError: The folder is no bundle or cannot be written, its report is of another recipe,
            a model cannot be loaded, or no photo can be used.
    """
    recipe = recipe_of(folder)
    amending = Amending(folder=folder, recipe=recipe, stages=stages, command=command)
    amending.begin()
    timing = time_bundle(
        folder,
        recipe.spec,
        stages,
        threads=tuple(dict.fromkeys(threads)) or (usable_cores(),),
        batches=tuple(dict.fromkeys(batches)) or (1,),
        effort=THOROUGH,
        photos=read_photos(images, recipe.spec) if images else None,
    )

    def change(before: Report) -> Report:
        found = {"environment": environment_beside(before), "command": command}
        section = timing.benchmark and timing.benchmark.model_copy(update=found)
        return before.model_copy(update={"latency": timing.latency, "benchmark": section})

    amending.finish(change)
    return make_report(
        recipe,
        stages,
        command=command,
        folder=folder,
        latency=timing.latency,
        benchmark=timing.benchmark,
    )


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
        if metadata is not None:
            _check_artefact(metadata, recipe, printable(str(folder / name)))
    return recipe


def _check_artefact(metadata: ArtifactMetadata, recipe: Recipe, where: str) -> None:
    """Refuse an artefact that says something else than its recipe.

    Raises:
        InputError: It is of another recipe, network or input, or for another engine.
    """
    if metadata.recipe_sha256 != recipe.sha256:
        raise InputError(
            f"{where}: expected an artefact of the {bundle.RECIPE} beside it, found one of another "
            "recipe; quantize again, or keep the files of one run together"
        )
    if (metadata.spec, metadata.input.name) != (recipe.spec, recipe.config.input):
        raise InputError(
            f"{where}: expected the preprocessing, the classes and the input of the "
            f"{bundle.RECIPE} beside it, found others; do not trust this file: quantize again"
        )
    engines = ENGINES[recipe.config.target]
    if metadata.engine is not None and metadata.engine not in engines:
        raise InputError(
            f"{where}: expected torch's quantized engine {' or '.join(engines)}, as its recipe is "
            f"for {recipe.config.target}, found {printable(metadata.engine)}; quantize again"
        )
