"""Calling a model until it has come to rest.

The first calls allocate, fill caches and, in TorchScript, are profiled and compiled for.
"""

import statistics
import time
from collections.abc import Callable
from typing import Final

WINDOW: Final = 5
LEAST_CALLS: Final = 3  # TorchScript profiles its first two calls
MOST_CALLS: Final = 200

# How much less the latest calls may take than those before them.
_STILL_FALLING: Final = 0.02


def settle(call: Callable[[], float], *, max_seconds: float) -> list[float]:
    """Calls until the median of the latest `WINDOW` calls no longer falls, by two percent.

    Args:
        call: Makes one call and returns its duration in seconds.
        max_seconds: No call is begun after so long, nor after `MOST_CALLS`; but `LEAST_CALLS` are
            made whatever they take.

    Returns:
        Seconds of every call.
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
