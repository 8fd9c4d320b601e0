"""Options and arguments that several commands share."""

import difflib
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from eightbit.benchmarks.artifact.trust import TRUST
from eightbit.models.class_match import ClassOrder
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import MAX_SIDE, Architecture, Size, Task, of_sides

# ONNX Runtime starts as many as it is told, whatever memory that takes.
MAX_THREADS: Final = 1024

# 2.5 GB of images of 224 px.
MAX_BATCH: Final = 4096


def known_source(source: str | None) -> str | None:
    """What has the form of a network's source; what there is under it is seen when it is opened.

    Raises:
        BadParameter: It has another form.
    """
    if source is None or source in tuple(Architecture) or all(source.rpartition(":")):
        return source
    near = difflib.get_close_matches(source, tuple(Architecture), n=3)
    raise typer.BadParameter(
        "expected an architecture that `eightbit models` lists, timm:NAME, hf:FOLDER, keras:FILE, "
        f"FILE.py:CALLABLE or package.module:CALLABLE, found {one_line(repr(source), 60)}"
        + (f"; did you mean {' or '.join(near)}?" if near else "")
    )


def image_size(option: str, text: str | None) -> Size | None:
    """The size that an option's text says: one side in pixels, or height and width as HxW.

    Raises:
        InputError: It says none, or one that is out of range.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,4})(?:x([0-9]{1,4}))?", text)
    if found:
        height, width = int(found[1]), int(found[2] or found[1])
        if 1 <= min(height, width) <= max(height, width) <= MAX_SIDE:
            return of_sides(height, width)
    raise InputError(
        f"{option}: expected a side in pixels such as 224, or height and width as HxW such as "
        f"224x320, each from 1 to {MAX_SIDE}, found {one_line(repr(text), 60)}"
    )


class Pixels(StrEnum):
    """What a mean and a standard deviation are of; the value is the name on the command line."""

    UNIT = "0..1"
    BYTES = "0..255"

    def scaled(
        self, values: tuple[float, float, float] | None, unsaid: float
    ) -> tuple[float, float, float] | None:
        """The same of pixels in 0..1; of pixels in 0..255 `unsaid` where there are none."""
        if self is Pixels.UNIT:
            return values
        red, green, blue = values or (unsaid, unsaid, unsaid)
        return red / 255, green / 255, blue / 255


Threads = Annotated[
    int | None,
    typer.Option(min=1, max=MAX_THREADS, help="Threads to use; all usable cores by default."),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="local|ADDRESS",
        help="Workers of Ray: begun here, or those of the cluster at HOST:PORT; --threads are then "
        "those of each worker, 1 by default.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_THREADS,
        help="Workers of the --cluster; as many as it has processors for by default.",
    ),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        metavar="PP",
        help="Exit 1 unless top-1 (accuracy of one logit, mAP of several labels) drops by no more "
        "percentage points: the drop's 95 % interval has to end there or below.",
    ),
]
Fallback = Annotated[
    bool,
    typer.Option(
        "--fallback",
        help="Leave layers in float, as few as it takes for the drop's 95 % interval to end below "
        "--max-drop.",
    ),
]
TaskOption = Annotated[
    Task | None,
    typer.Option(
        help="What the outputs mean; single-label by default, and binary for a single output.",
    ),
]
Threshold = Annotated[
    float,
    typer.Option(
        metavar="P",
        help="Probability above which a binary or multi-label classifier says yes.",
    ),
]
ImageLabels = Annotated[
    Path | None, typer.Option("--labels", help="Labels of a flat folder's images (.csv).")
]
ClassOrderOption = Annotated[
    ClassOrder | None,
    typer.Option(
        "--class-order",
        help="What folders or labels are called by, where that is not clear: the names of the "
        "classes, their index from 0, or anything, and the sorted order is that of the classes.",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files of an earlier run.")]
Labels = Annotated[
    list[Path] | None,
    typer.Option(
        "--labels",
        help="Names of the classes (.txt, .json), or labels of a flat folder's images (.csv); "
        "may be given for both.",
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        TRUST, help="Run the models whatever their code asks for: you trust whoever made them."
    ),
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="What `eightbit quantize` wrote.")]
