"""From the bytes of a photo to its class, step by step."""

import statistics
import time
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Final, NamedTuple

import numpy as np

from eightbit.benchmarks.runtimes.feed import FileRunner
from eightbit.models.errors import InputError, UnusableImage


class Steps(NamedTuple):
    """Seconds of each step of one photo: to RGB pixels, to the crop, to the input, to the class."""

    decode: float
    resize: float
    normalise: float
    infer: float


def walk(photo: bytes, runner: FileRunner) -> Steps:
    """Classify an image file, prepared as the model's metadata say, and time every step.

    Raises:
        InputError: The photo cannot be used.
    """
    # Here, so that a process that is never handed a photo does not carry Pillow.
    from eightbit.models.images.preprocessing import cropped_pixels, decode_for

    times = [perf_counter_ns()]
    try:
        image = decode_for(photo, runner.feed.preprocessing)
        times.append(perf_counter_ns())
        pixels = cropped_pixels(image, runner.feed.preprocessing)
        times.append(perf_counter_ns())
    except UnusableImage as exc:
        raise InputError(f"photo: expected one that can be classified: {exc}") from exc
    batch = runner.feed.of_pixels(pixels[None])
    times.append(perf_counter_ns())
    int(np.argmax(runner(batch)))
    times.append(perf_counter_ns())
    return Steps(*(float(step) / 1e9 for step in np.diff(times)))


def median_steps(walks: Sequence[Steps]) -> Steps:
    """The median of each step."""
    return Steps(*(statistics.median(column) for column in zip(*walks, strict=True)))


WINDOW: Final = 5
LEAST_CALLS: Final = 3  # TorchScript profiles its first two calls
MOST_CALLS: Final = 200

# How much less the latest calls may take than those before them.
_STILL_FALLING: Final = 0.02


def settle(call: Callable[[], float], *, max_seconds: float) -> list[float]:
    """Seconds of each call, until the median of the latest `WINDOW` no longer falls by two percent.

    The first calls allocate, fill caches and, in TorchScript, are profiled and compiled for.

    Args:
        call: Makes one call and returns its duration in seconds.
        max_seconds: No call is begun after so long, nor after `MOST_CALLS`; but `LEAST_CALLS` are
            made whatever they take.
    """
    end = time.perf_counter() + max_seconds
    seconds: list[float] = []
    while len(seconds) < MOST_CALLS and not _at_rest(seconds):
        if len(seconds) >= LEAST_CALLS and time.perf_counter() >= end:
            break
        seconds.append(call())
    return seconds


def _at_rest(seconds: list[float]) -> bool:
    if len(seconds) < 2 * WINDOW:
        return False
    latest = statistics.median(seconds[-WINDOW:])
    before = statistics.median(seconds[-2 * WINDOW : -WINDOW])
    return latest >= (1 - _STILL_FALLING) * before
