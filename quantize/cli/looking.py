"""The commands that only show: they measure nothing and write nothing."""

from pathlib import Path
from typing import Annotated

import typer

from eightbit.benchmarks.artifact.formats import suffixes
from eightbit.models.spec import MAX_CLASSES, MAX_COUNT, Task
from eightbit.quantize.cli.options import ClusterOption, Folder, Threads, Trust, Workers

looking = typer.Typer()


@looking.command()
def diagnose(
    folder: Folder,
    data: Annotated[Path, typer.Option(metavar="SRC", help="Images: folder, .tar or .zip.")],
    samples: Annotated[int, typer.Option(min=1, max=MAX_COUNT, help="Images to draw.")] = 32,
    threads: Threads = None,
    cluster: ClusterOption = None,
    workers: Workers = None,
) -> None:
    """Show what each quantized tensor loses, alone and accumulated, worst first."""
    from eightbit.benchmarks.report.pages.terminal import render_table
    from eightbit.benchmarks.report.tables.network import diagnosis_table
    from eightbit.quantize.cli.console import progress, results
    from eightbit.quantize.cli.inputs import joined
    from eightbit.quantize.commands.diagnose import diagnose_bundle

    with progress() as stages, joined(cluster, workers, threads, stages) as executor:
        tensors = diagnose_bundle(
            folder, data, stages, samples=samples, threads=threads, executor=executor
        )
    results().print(render_table(diagnosis_table(tensors, rows=len(tensors))))


@looking.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="An artefact, or a recipe.json.")],
    trust: Trust = False,
) -> None:
    """Show what an artefact says about itself, what computes in integers, and its recipe."""
    from eightbit.quantize.cli.console import results
    from eightbit.quantize.cli.inspection import describe

    results().print(describe(file, trust=trust))


@looking.command()
def doctor(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help=f"A model, of any tool: {suffixes()}.")
    ] = None,
    trust: Trust = False,
) -> None:
    """Say what to run on this machine, or why a model file may be slow or wrong on it."""
    from eightbit.quantize.cli.console import results
    from eightbit.quantize.doctor.examine import examine_file, examine_host
    from eightbit.quantize.doctor.rendering import render_examination

    examination = examine_host() if file is None else examine_file(file, trust=trust)
    results().print(render_examination(examination))


@looking.command()
def classify(
    file: Annotated[Path, typer.Argument(help=f"An artefact: {suffixes()}.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Photos.")],
    top: Annotated[
        int, typer.Option(min=1, max=MAX_CLASSES, help="Classes to show per photo.")
    ] = 5,
    threads: Threads = None,
    trust: Trust = False,
) -> None:
    """Show the most probable classes of photos, or the numbers of a regression."""
    from eightbit.benchmarks.artifact.metadata import open_artifact
    from eightbit.benchmarks.runtimes.environment import usable_cores
    from eightbit.quantize.cli.classification import classify as classify_images
    from eightbit.quantize.cli.console import guesses_table, results

    count = threads or usable_cores()
    metadata = open_artifact(file).metadata
    several = metadata is not None and metadata.spec.task is Task.MULTI_LABEL
    for path, guesses in classify_images(file, images, top=top, threads=count, trust=trust):
        results().print(guesses_table(path, guesses, several=several))


@looking.command()
def models() -> None:
    """List the architectures and torchvision's weights for them."""
    from eightbit.quantize.cli.console import results
    from eightbit.quantize.cli.inspection import architectures_table

    results().print(architectures_table())
