"""Evaluation and calibration on workers of Ray beside one machine's own processes, in Markdown.

Usage: python -m eightbit.quantize.studies.cluster BUNDLE --data SRC --weights FILE --out FILE.md

Both take turns on the same cores: two threads of one process, or two processes of one thread, and
as many workers of Ray with one thread each. Rates are those after the first answers; what comes
before is told apart. The driver's own time is that of the process that reads the files, sends them
and takes the answers in. From that follows, on paper, what larger clusters would take.
"""

import os
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from eightbit.benchmarks.cluster.cluster import LOCAL, Cluster
from eightbit.benchmarks.evaluation.crew_pool import open_pool
from eightbit.benchmarks.evaluation.prediction import in_chunks
from eightbit.benchmarks.processes.crew import Executor
from eightbit.benchmarks.processes.process import with_short_spins
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.calibration.range_methods import Method
from eightbit.models.doors.pretrained import load_pretrained
from eightbit.models.images.sources import ImageItem, ImageSource, open_source
from eightbit.models.plain_text import counted
from eightbit.models.spec import Architecture
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.calibrate import calibrate
from eightbit.quantize.config import QuantConfig
from eightbit.quantize.network.network import fuse
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Silence, Stages
from eightbit.quantize.torch_settings import torch_threads
from eightbit.quantize.verify.verification import models_of

_SIZES: Final = (50_000, 1_281_167)
_COMMAND: Final = (
    "python -m eightbit.quantize.studies.cluster BUNDLE --data SRC --weights FILE --out FILE.md"
)
_WORKERS: Final = (1, 8, 64, 1000)


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One pass over the images.

    Attributes:
        first_s: Seconds to the first answers, loading included.
        rate: Images per second after those.
        driver_s: Processor seconds of this process for each image, after the first answers.
    """

    first_s: float
    rate: float
    driver_s: float


class _Clock:
    """Notes when answers come, and the processor time of this process."""

    def __init__(self) -> None:
        self._begun = time.perf_counter()
        self._marks: list[tuple[int, float, float]] = []

    def note(self, images: int) -> None:
        self._marks.append((images, time.perf_counter(), time.process_time()))

    def result(self, skipped: int) -> Pass:
        """The pass without its first `skipped` answers."""
        _, first, cpu = self._marks[skipped - 1]
        images = sum(mark[0] for mark in self._marks[skipped:])
        _, last, last_cpu = self._marks[-1]
        return Pass(
            first_s=first - self._begun,
            rate=images / (last - first),
            driver_s=(last_cpu - cpu) / images,
        )


class _Watching(Silence):
    """A watcher that notes how images advance."""

    def __init__(self, clock: _Clock) -> None:
        self._clock = clock

    def advance(self, steps: int) -> None:
        """See `Watcher`."""
        self._clock.note(steps)


def evaluated(
    bundle: Path,
    recipe: Recipe,
    source: ImageSource,
    items: Sequence[ImageItem],
    threads: int,
    executor: Executor | None,
) -> Pass:
    """Images through all models of a bundle."""
    chunks, models, clock = in_chunks(items), models_of(bundle), _Clock()
    pool = open_pool(
        *(models, recipe.spec.preprocessing),
        threads=threads,
        chunks=len(chunks),
        executor=executor,
    )
    with pool:
        for items, _ in zip(chunks, pool.predict(source, chunks), strict=True):
            clock.note(len(items))
    return clock.result(skipped=threads)


def calibrated(
    architecture: Architecture,
    weights: Path,
    recipe: Recipe,
    source: ImageSource,
    images: int,
    executor: Executor | None,
) -> Pass:
    """Images through the observed network, without a look at its ranges on the way."""
    pretrained = load_pretrained(architecture, str(weights), progress=False)
    pretrained = replace(pretrained, spec=recipe.spec)
    network, clock = fuse(pretrained), _Clock()
    config = QuantConfig(samples=images, method=Method.MINMAX)
    with torch_threads(executor.threads if executor else usable_cores()):
        calibrate(
            *(network, pretrained, source, config, Stages(_Watching(clock))), executor=executor
        )
    # Tasks are of 32 images, batches of 8.
    return clock.result(skipped=executor.workers if executor else 4 * usable_cores())


def main(
    bundle: Annotated[Path, typer.Argument(help="What `eightbit quantize` wrote.")],
    data: Annotated[Path, typer.Option(help="Photos; labels are not needed.")],
    weights: Annotated[Path, typer.Option(help="Those of the bundle.")],
    out: Annotated[Path, typer.Option(help="The page to write.")],
    rounds: Annotated[int, typer.Option(min=1, help="Turns of both.")] = 3,
    images: Annotated[int, typer.Option(min=128, help="At most so many photos.")] = 320,
) -> None:
    """Measure both in turns, and write the page."""
    cores = usable_cores()
    recipe = open_bundle(bundle).recipe
    architecture = Architecture(recipe.spec.architecture)
    passes: dict[str, list[tuple[Pass, Pass]]] = {"evaluate": [], "calibrate": []}
    begun = time.perf_counter()
    with open_source(data) as source, Cluster(LOCAL, workers=cores) as cluster:
        items = source.items[:images]
        start_s = time.perf_counter() - begun
        size = statistics.mean(len(source.read(item)) for item in items)
        for _ in range(rounds):
            own, shared = (
                evaluated(bundle, recipe, source, items, cores, executor)
                for executor in (None, cluster)
            )
            passes["evaluate"].append((own, shared))
            own, shared = (
                calibrated(architecture, weights, recipe, source, len(items), executor)
                for executor in (None, cluster)
            )
            passes["calibrate"].append((own, shared))
    out.write_text(
        page(passes, recipe=recipe, images=len(items), size=size, start_s=start_s, cores=cores),
        encoding="utf-8",
    )


def page(
    passes: dict[str, list[tuple[Pass, Pass]]],
    *,
    recipe: Recipe,
    images: int,
    size: float,
    start_s: float,
    cores: int,
) -> str:
    """The page, in Markdown."""
    height, width = recipe.spec.preprocessing.crop_size
    what = (
        f"`{recipe.spec.architecture}` at {height} x {width}, {images:,} photos of "
        f"{size / 1000:,.0f} kB, {len(passes['evaluate'])} turns, medians. own: {cores} threads of "
        f"this machine's own processes; Ray: {cores} workers of one thread; ratio: of each turn's "
        "two rates; driver: processor time of the process that shares the work out, of the whole "
        "that all cores give."
    )
    lines = [
        *("# On a cluster", "", f"`{_COMMAND}`", "", f"{read_environment().summary()}.", ""),
        *(what, ""),
        "| pass | own, images/s | Ray, images/s | ratio | turns | driver, ms an image | driver |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, turns in passes.items():
        ratios = [shared.rate / own.rate for own, shared in turns]
        shared_rate = statistics.median(shared.rate for _, shared in turns)
        driver_s = statistics.median(shared.driver_s for _, shared in turns)
        lines.append(
            f"| {name} | {statistics.median(own.rate for own, _ in turns):.1f} | {shared_rate:.1f} "
            f"| {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} "
            f"| {driver_s * 1000:.2f} | {driver_s * shared_rate / cores:.1%} |"
        )
    firsts = [statistics.median(s.first_s for _, s in turns) for turns in passes.values()]
    begins = (
        f"Ray itself begins in {start_s:.1f} s; its workers give their first answers after "
        f"{firsts[0]:.1f} s (evaluate) and {firsts[1]:.1f} s (calibrate)."
    )
    lines += ["", begins, ""]
    turns = passes["evaluate"]
    rate = statistics.median(shared.rate for _, shared in turns) / cores
    driver_s = statistics.median(shared.driver_s for _, shared in turns)
    lines += on_paper(rate, driver_s, size, start_s + firsts[0])
    return "\n".join(lines) + "\n"


def on_paper(rate: float, driver_s: float, size: float, start_s: float) -> Sequence[str]:
    """What evaluations of other sizes would take: the slower of the workers and the driver."""
    what = (
        "What an evaluation would take if nothing else were in the way: the start, and for each "
        f"image the longer of {1000 / rate:.0f} ms shared out over the workers and "
        f"{driver_s * 1000:.2f} ms of the driver, through which {size / 1000:.0f} kB an image go. "
        "No cluster of this size was measured."
    )
    lines = [
        *("## On paper", "", what, ""),
        "| images | " + " | ".join(counted(count, "worker") for count in _WORKERS) + " |",
        "|---|" + "---|" * len(_WORKERS),
    ]
    for images in _SIZES:
        spans = [start_s + images * max(1 / rate / count, driver_s) for count in _WORKERS]
        lines.append(f"| {images:,} | " + " | ".join(map(_in_words, spans)) + " |")
    stops = (
        f"Beyond {1 / rate / driver_s:,.0f} workers the driver is what takes longest, at "
        f"{1 / driver_s:,.0f} images and {size / driver_s / 1e6:,.0f} MB a second."
    )
    return [*lines, "", stops]


def _in_words(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"


if __name__ == "__main__":
    variables = with_short_spins(os.environ)
    if variables != os.environ:  # read when torch is imported: as the program has them
        os.execve(sys.executable, sys.orig_argv, variables)
    typer.run(main)
