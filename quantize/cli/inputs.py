"""Loads the network, labels and preprocessing given on the command line."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from eightbit.benchmarks.processes.crew import Executor
from eightbit.benchmarks.report.stage import Stage
from eightbit.models.doors.foreign.sources import load_source, stands_alone
from eightbit.models.doors.foreign.wanted import Wanted
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.errors import InputError
from eightbit.models.label_files import (
    ImageLabels,
    read_class_names,
    read_image_labels,
    read_multi_labels,
)
from eightbit.models.plain_text import counted
from eightbit.models.spec import Architecture, Task
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages


def read_labels(
    paths: Sequence[Path], task: Task | None = None
) -> tuple[tuple[str, ...] | None, ImageLabels | None]:
    """Class names, and labels of images (from the .csv), several each for a multi-label `task`.

    Raises:
        InputError: A file cannot be read, or there are two of a kind.
    """
    tables = [path for path in paths if path.suffix.lower() == ".csv"]
    names = [path for path in paths if path.suffix.lower() != ".csv"]
    for same in (tables, names):
        if len(same) > 1:
            raise InputError(
                f"--labels: expected one .csv of images and one file of class names at most, "
                f"found {same[0]} and {same[1]}"
            )
    read = read_multi_labels if task is Task.MULTI_LABEL else read_image_labels
    return (
        read_class_names(names[0]) if names else None,
        read(tables[0]) if tables else None,
    )


@contextmanager
def joined(
    address: str | None, workers: int | None, threads: int | None, stages: Stages
) -> Iterator[Executor | None]:
    """The workers of a cluster within the block; None without an address.

    Raises:
        InputError: It cannot be joined, or workers are given and no cluster.
    """
    if address is None:
        if workers is not None:
            raise InputError("--workers: expected --cluster beside it, found none; add it")
        yield None
        return
    # Here, since it loads Ray's half of the program.
    from eightbit.benchmarks.cluster.cluster import Cluster

    with stages.stage(Stage.JOIN_CLUSTER):
        cluster = Cluster(address, workers=workers, threads=threads or 1, tell=stages.watcher.tell)
    with cluster:
        stages.watcher.tell(
            f"{counted(cluster.workers, 'worker')}, each of {counted(cluster.threads, 'thread')}"
        )
        yield cluster


def load_new(source: str | None, wanted: Wanted, stages: Stages) -> Pretrained:
    """Load the network to quantize.

    Raises:
        InputError: See `load_source`.
    """
    with stages.timed(Stage.LOAD_WEIGHTS):
        return load_source(source, replace(wanted, progress=sys.stderr.isatty()))


def load_recorded(
    path: Path, recipe: Recipe, source: str | None, wanted: Wanted, stages: Stages
) -> Pretrained:
    """Load the network of the recipe that was read from ``path``.

    It is where in the file of weights the recipe says, if nothing else does.

    Raises:
        InputError: The recipe is for another network, or the weights cannot be loaded.
    """
    spec = recipe.spec
    alone = source is None and stands_alone(wanted.weights)
    if not alone and source is None and not isinstance(spec.architecture, Architecture):
        raise InputError(
            f"{path}: expected SOURCE beside this recipe, the code or the name that it was made "
            f"for ({spec.architecture}), found none"
        )
    recorded = replace(
        wanted,
        weights_key=wanted.weights_key or recipe.provenance.weights_key,
        channels=recipe.provenance.channels,
        labels=spec.labels,
        task=spec.task,
        threshold=spec.threshold,
        preprocessing=spec.preprocessing,
        progress=sys.stderr.isatty(),
    )
    if source in tuple(Architecture) and source != spec.architecture:
        raise InputError(
            f"{path}: expected a recipe for {source}, found one for {spec.architecture}"
        )
    with stages.timed(Stage.LOAD_WEIGHTS):
        pretrained = load_source(None if alone else source or spec.architecture, recorded)
    if alone and not isinstance(spec.architecture, Architecture):
        # It is called after its file, which may have another name by now.
        named = pretrained.spec.model_copy(update={"architecture": spec.architecture})
        pretrained = replace(pretrained, spec=named)
    if pretrained.spec.architecture != spec.architecture:
        raise InputError(
            f"{path}: expected a recipe for {pretrained.spec.architecture}, found one for "
            f"{spec.architecture}"
        )
    return pretrained
