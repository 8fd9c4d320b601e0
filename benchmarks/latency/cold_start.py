"""From the start of a process to its first label, beside a bare script that does the same.

    python -m eightbit.benchmarks.latency.cold_start model.zip model.int8.onnx photo.jpg

Both are started in turns, each time afresh, now the one first and now the other; the files come
from the system's cache.
"""

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from eightbit.benchmarks.artifact.metadata import ArtifactMetadata, read_metadata
from eightbit.benchmarks.latency import bare_script, launcher
from eightbit.benchmarks.latency.busy import OtherPrograms
from eightbit.benchmarks.latency.sections import ColdStart
from eightbit.benchmarks.latency.speedup import paired_speedup
from eightbit.benchmarks.processes.leashed import run_leashed
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable

LAUNCHES: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Seconds of one launch of a program, start to end, and its highest resident memory."""

    seconds: float
    peak_rss_bytes: int


def measure_cold_start(
    program: Path,
    model: Path,
    photo: Path,
    *,
    launches: int = LAUNCHES,
    advance: Callable[[int], None] = lambda steps: None,
) -> ColdStart:
    """Start a program that classifies a photo, and the bare script, in turns.

    Each is started once before, so that the files lie in memory.

    Args:
        program: What Python can run: `classify.py` or the archive that holds it.
        model: The ONNX model that it runs, with its metadata.
        photo: The photo to classify.
        launches: How often each is started, at least 2.
        advance: Called after every two launches.

    Raises:
        InputError: One of them fails, or the model has no metadata.
        ValueError: Fewer than 2 launches.
    """
    metadata = read_metadata(model)
    if metadata is None:
        raise InputError(f"{printable(str(model))}: expected a model with metadata, found none")
    ours = [sys.executable, str(program), str(photo)]
    bare = [
        sys.executable,
        str(Path(bare_script.__file__)),
        *_bare_arguments(model, photo, metadata),
    ]
    others = OtherPrograms()
    pairs = []
    for turn in range(1 + launches):
        first, second = (bare, ours) if turn % 2 else (ours, bare)
        starts = {first[1]: launch(first), second[1]: launch(second)}
        pairs.append((starts[bare[1]], starts[ours[1]]))
        advance(1)
    return cold_start_of(pairs[1:], busy=others.share() or 0.0)


def cold_start_of(pairs: Sequence[tuple[Start, Start]], *, busy: float = 0.0) -> ColdStart:
    """The medians and the ratio of pairs of launches: the bare script's and the program's.

    `busy` is the share of the processor's time that other programs took, 0 to 1.

    Raises:
        ValueError: Fewer than 2 pairs.
    """
    bare, ours = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    # How many times faster the bare script is.
    found = paired_speedup(
        [[[start.seconds]] for start in ours], [[[start.seconds]] for start in bare], busy=busy
    )
    if found.ci95 is None:
        raise ValueError("expected at least 2 launches, found 1")
    return ColdStart(
        launches=len(pairs),
        seconds=statistics.median(start.seconds for start in ours),
        bare_seconds=statistics.median(start.seconds for start in bare),
        ratio=found.value,
        ratio_ci95=found.ci95,
        peak_rss_bytes=round(statistics.median(start.peak_rss_bytes for start in ours)),
        bare_peak_rss_bytes=round(statistics.median(start.peak_rss_bytes for start in bare)),
    )


def launch(command: Sequence[str]) -> Start:
    """Start a program, by its absolute path, and wait for its end; its output is dropped.

    Raises:
        InputError: It does not end with 0.
    """
    started = [sys.executable, "-I", "-S", str(Path(launcher.__file__)), *command]
    told = json.loads(run_leashed(started).stdout)
    if told["code"] != 0:
        shown = printable(" ".join(command))
        raise InputError(f"{shown}: expected it to end with 0, found {told['code']}; run it to see")
    return Start(seconds=told["seconds"], peak_rss_bytes=told["peak_rss_bytes"])


def _bare_arguments(model: Path, photo: Path, metadata: ArtifactMetadata) -> list[str]:
    taken = {"dtype": metadata.input.dtype, "layout": metadata.input.layout}
    known = {**metadata.spec.preprocessing.model_dump(), **taken}
    return [str(model), str(photo), json.dumps(known)]


def main(
    program: Annotated[Path, typer.Argument(help="model.zip or classify.py.")],
    model: Annotated[Path, typer.Argument(help="The ONNX model in it.")],
    photo: Annotated[Path, typer.Argument(help="A photo.")],
    launches: Annotated[int, typer.Option(min=2, help="Of each.")] = LAUNCHES,
) -> None:
    """Measure and print as JSON."""
    print(measure_cold_start(program, model, photo, launches=launches).model_dump_json(indent=2))


if __name__ == "__main__":
    typer.run(main)
