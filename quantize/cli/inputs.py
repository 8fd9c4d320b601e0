"""Loads the network, labels and preprocessing given on the command line."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eightbit.benchmarks.report.stage import Stage
from eightbit.models.doors.pretrained import Pretrained, load_pretrained
from eightbit.models.errors import InputError
from eightbit.models.label_files import (
    ImageLabels,
    read_class_names,
    read_image_labels,
    read_multi_labels,
)
from eightbit.models.spec import EVEN, Architecture, Task
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Which weights of a file, and what replaces their own labels, task and preprocessing.

    None keeps theirs.
    """

    weights_key: str | None = None
    labels: tuple[str, ...] | None = None
    task: Task | None = None
    threshold: float = EVEN
    resize: int | None = None
    crop: int | None = None
    mean: Triple | None = None
    std: Triple | None = None


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


def load_new(
    architecture: Architecture, weights: str, preparation: Preparation, stages: Stages
) -> Pretrained:
    """Load the network to quantize.

    Raises:
        InputError: See `load_pretrained`.
    """
    with stages.timed(Stage.LOAD_WEIGHTS):
        progress = sys.stderr.isatty()
        return load_pretrained(architecture, weights, **vars(preparation), progress=progress)


def load_recorded(
    path: Path,
    recipe: Recipe,
    architecture: Architecture | None,
    weights: str,
    weights_key: str | None,
    stages: Stages,
) -> Pretrained:
    """Load the network of the recipe that was read from ``path``.

    It is where in the file of weights the recipe says, if nothing else does.

    Raises:
        InputError: The recipe is for another architecture, or the weights cannot be loaded.
    """
    spec = recipe.spec
    if architecture not in (None, spec.architecture):
        raise InputError(f"{path}: expected a recipe for {architecture}, found {spec.architecture}")
    with stages.timed(Stage.LOAD_WEIGHTS):
        return load_pretrained(
            spec.architecture,
            weights,
            weights_key=weights_key or recipe.provenance.weights_key,
            labels=spec.labels,
            task=spec.task,
            threshold=spec.threshold,
            preprocessing=spec.preprocessing,
            progress=sys.stderr.isatty(),
        )
