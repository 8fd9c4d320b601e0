"""Every possible execution of a bundle's INT8 artefacts here, on the same images."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from eightbit.benchmarks.accuracy.parity import REFERENCE
from eightbit.benchmarks.artifact.formats import FORMATS, executed_by
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.benchmarks.runtimes.available import (
    Availability,
    joined,
    other_executions,
    possible_executions,
)
from eightbit.benchmarks.runtimes.cpu_features import read_cpu_features
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.runner import FloatArray, Runner
from eightbit.models.errors import InputError
from eightbit.quantize.config import Target
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.verify.reference import reference_logits

BATCH: Final = 8

# Loading takes longer than running: two processes load while one would.
_AT_A_TIME: Final = 2

# An emulated processor is a hundred times slower: pixels of four images of 224 px.
_EMULATED_PIXELS: Final = 4 * 224**2
_FEWEST: Final = 4


@dataclass(frozen=True, kw_only=True)
class Executed:
    """Results of the executions.

    Attributes:
        logits: float32, shape (N, classes), by execution, the reference included; where it is slow,
            of the first images only.
        failed: Error message by execution.
        seconds: That the images took, by execution; loading apart.
        crashed: Executions whose process died; crashes of the emulator do not count.
        peak_rss_bytes: Highest resident memory of the largest process.
    """

    logits: Mapping[str, FloatArray]
    failed: Mapping[str, str]
    seconds: Mapping[str, float]
    crashed: frozenset[str]
    peak_rss_bytes: int


def executions(folder: Path, *, thorough: bool) -> Availability:
    """List the executions of a bundle's INT8 artefacts that are possible here.

    ``thorough`` includes the slow ones: torch's other engines, an emulated processor.

    Raises:
        InputError: An artefact is not of its file name's format.
    """
    paths = {format: folder / format.file() for format in FORMATS.values()}
    return joined(
        [
            possible_executions(format, path, thorough=thorough)
            for format, path in paths.items()
            if path.exists()
        ]
    )


def other_runtimes(folder: Path) -> Availability:
    """List the runtimes beside them that take one of a bundle's INT8 artefacts."""
    return joined(
        [
            other_executions(format)
            for format in FORMATS.values()
            if (folder / format.file()).exists()
        ]
    )


def execute(
    folder: Path,
    quantized: Quantized,
    wanted: Sequence[Execution],
    pixels: FloatArray,
    *,
    threads: int,
    reference_pixels: int,
    advance: Callable[[int], None] = lambda _: None,
) -> Executed:
    """Compute the reference while executions run in fresh processes, two at a time.

    `pixels` is float32, shape (N, 3, H, W). The executions share `threads`. The reference
    sees the first images with no more than `reference_pixels` in total. `advance` is called with 1
    after the reference and each execution.
    """
    at_a_time = min(_AT_A_TIME, threads)
    logits: dict[str, FloatArray] = {}
    failed: dict[str, str] = {}
    seconds: dict[str, float] = {}
    run = partial(_run, folder, pixels, threads // at_a_time)
    crashed: set[str] = set()
    peaks = [0]

    with ThreadPoolExecutor(max_workers=at_a_time) as pool:
        # Each thread in a copy of this context: what is trusted here is trusted there.
        running = {
            execution: pool.submit(copy_context().run, run, execution) for execution in wanted
        }
        try:
            seen = affordable(pixels, reference_pixels)
            logits[REFERENCE] = reference_logits(quantized, seen)
            advance(1)
            for execution, future in running.items():
                try:
                    logits[execution.name], seconds[execution.name], peak = future.result()
                    peaks.append(peak)
                except (InputError, WorkerCrashError) as exc:
                    # A runtime that cannot do it says nothing against the artefact, but is told.
                    failed[execution.name] = " ".join(str(exc).split())
                    if isinstance(exc, WorkerCrashError) and execution.emulated_cpu is None:
                        crashed.add(execution.name)
                advance(1)
        except BaseException:
            # Interrupted: what has not begun need not begin.
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Executed(
        logits=logits,
        failed=failed,
        seconds=seconds,
        crashed=frozenset(crashed),
        peak_rss_bytes=max(peaks),
    )


def _run(
    folder: Path, pixels: FloatArray, threads: int, execution: Execution
) -> tuple[FloatArray, float, int]:
    """Logits of one execution, the seconds that they took, and its highest resident memory."""
    path = folder / executed_by(execution.runtime).file()
    images = pixels if execution.emulated_cpu is None else affordable(pixels, _EMULATED_PIXELS)
    with IsolatedRunner(path, threads=threads, execution=execution) as runner:
        start = time.perf_counter()
        found = in_batches(runner, images, execution.images or BATCH)
        return found, time.perf_counter() - start, runner.peak_rss_bytes()


def in_batches(runner: Runner, pixels: FloatArray, images: int = BATCH) -> FloatArray:
    """Logits of all images, so many at once: float32, shape (N, classes)."""
    parts = range(0, len(pixels), images)
    return np.concatenate([runner(pixels[start : start + images]) for start in parts])


def excused(recipe: Recipe, wanted: Sequence[Execution]) -> frozenset[str]:
    """Names of the executions for which a recipe's target promises nothing.

    Only a portable artefact computes the same without VNNI: see `config.Target`.
    """
    if recipe.config.target is Target.PORTABLE:
        return frozenset()
    by_itself = read_cpu_features().pairs_saturate
    return frozenset(one.name for one in wanted if one.lacks_vnni or by_itself)


def affordable(pixels: FloatArray, budget: int) -> FloatArray:
    """The first images of (N, 3, H, W) within a budget of pixels in total, but at least four."""
    return pixels[: max(_FEWEST, budget // (pixels.shape[2] * pixels.shape[3]))]
