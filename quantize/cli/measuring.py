"""The commands that measure a bundle on disk."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eightbit.models.errors import InputError
from eightbit.models.spec import MAX_COUNT
from eightbit.quantize.cli.ending import command_line, end, pass_gates, say_written, show
from eightbit.quantize.cli.options import (
    MAX_BATCH,
    MAX_THREADS,
    ClassOrderOption,
    ClusterOption,
    Folder,
    ImageLabels,
    MaxDrop,
    Threads,
    Trust,
    Workers,
)

if TYPE_CHECKING:
    from eightbit.quantize.commands.verify import Verified

measuring = typer.Typer()


@measuring.command()
def verify(
    folder: Folder,
    images: Annotated[
        Path | None,
        typer.Option(metavar="SRC", help="Images: folder, .tar or .zip; synthetic by default."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, max=MAX_COUNT, help="Images to draw; 64 by default.")
    ] = None,
    self_test: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Execute nothing else; take in what `python model.zip --self-test --json` printed "
            "on another machine. May be given several times.",
        ),
    ] = None,
    runtimes: Annotated[
        bool,
        typer.Option(
            "--runtimes",
            help="Try other runtimes, too, as far as they are installed: OpenCV, tract, TVM and "
            "more. They fail no check.",
        ),
    ] = False,
    threads: Threads = None,
    trust: Trust = False,
) -> None:
    """Execute a bundle's artefacts in every way possible here, against the reference integers.

    The result goes into the bundle's report as well.
    """
    from eightbit.quantize.cli.console import progress
    from eightbit.quantize.commands.verify import verify_bundle
    from eightbit.quantize.deploy.boards import compare_self_tests
    from eightbit.quantize.measure.report import failed_checks
    from eightbit.quantize.verify.verification import VERIFICATION_IMAGES

    _alone(self_test, (images, samples, runtimes))
    with progress() as stages:
        if self_test:
            found = compare_self_tests(
                folder, self_test, stages, threads=threads, command=command_line()
            )
        else:
            found = verify_bundle(
                folder,
                images,
                stages,
                samples=samples or VERIFICATION_IMAGES,
                threads=threads,
                trust=trust,
                others=runtimes,
                command=command_line(),
            )
    _show_verified(found)
    say_written(folder)
    end(failed_checks(found.gate))


def _alone(self_test: list[Path] | None, beside: tuple[object, ...]) -> None:
    """Refuse answers of another machine beside what is executed on this one."""
    if self_test and any(beside):
        raise InputError(
            "--self-test: expected without --images, --samples and --runtimes, since it has its "
            "own pictures; run verify twice"
        )


def _show_verified(found: "Verified") -> None:
    from eightbit.benchmarks.report.pages.terminal import render_table
    from eightbit.benchmarks.report.tables.network import others_table, parity_table
    from eightbit.benchmarks.report.tables.results import verification_table
    from eightbit.quantize.cli.console import results

    report = found.report
    results().print(render_table(parity_table(report.parity, report.executions, report.edge)), "")
    if (beside := others_table(report.executions)) is not None:
        results().print(render_table(beside), "")
    results().print(render_table(verification_table(found.gate)))


@measuring.command()
def evaluate(
    folder: Folder,
    data: Annotated[Path, typer.Option(metavar="SRC", help="Labelled images, as for quantize.")],
    labels: ImageLabels = None,
    class_order: ClassOrderOption = None,
    max_drop: MaxDrop = None,
    threads: Threads = None,
    cluster: ClusterOption = None,
    workers: Workers = None,
    trust: Trust = False,
) -> None:
    """Measure the accuracy of a bundle's artefacts against float.

    The result goes into the bundle's report as well. Killed, it continues where it was when it is
    started again.
    """
    from eightbit.quantize.artifacts.open_bundle import open_bundle
    from eightbit.quantize.cli.console import progress
    from eightbit.quantize.cli.inputs import joined, read_labels
    from eightbit.quantize.commands.evaluate import evaluate_bundle

    task = open_bundle(folder).recipe.spec.task
    class_names, image_labels = read_labels([labels] if labels else [], task)
    if class_names is not None:
        raise InputError(f"{labels}: expected a .csv with the labels of the images, found names")
    with progress() as stages, joined(cluster, workers, threads, stages) as executor:
        report = evaluate_bundle(
            folder,
            data,
            stages,
            image_labels=image_labels,
            class_order=class_order,
            max_drop_pp=max_drop,
            threads=threads,
            trust=trust,
            command=command_line(),
            executor=executor,
        )
    show(report)
    say_written(folder)
    pass_gates(report, report.max_drop_pp)


@measuring.command()
def benchmark(
    folder: Folder,
    threads: Annotated[
        list[int] | None,
        typer.Option(min=1, max=MAX_THREADS, help="Thread count; may be given several times."),
    ] = None,
    batch: Annotated[
        list[int] | None,
        typer.Option(min=1, max=MAX_BATCH, help="Images per call; may be given several times."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="SRC",
            help="Photos to classify from the bytes of their files on: folder, .tar or .zip; "
            "synthetic by default.",
        ),
    ] = None,
    trust: Trust = False,
) -> None:
    """Measure the latency of a bundle's models, float and INT8, in every runtime there is.

    The result goes into the bundle's report as well.
    """
    from eightbit.quantize.cli.console import progress
    from eightbit.quantize.commands.benchmark import benchmark_bundle

    with progress() as stages:
        report = benchmark_bundle(
            folder,
            stages,
            threads=threads or (),
            batches=batch or (),
            images=images,
            trust=trust,
            command=command_line(),
        )
    show(report)
    say_written(folder)
