"""What a run is doing, for whoever watches, and how long each stage took."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

Advance = Callable[[int], None]


class Watcher(Protocol):
    """Told of every stage as it begins, advances and ends."""

    def begin(self, stage: str, total: int | None) -> None:
        """A stage begins; ``total`` steps are ahead, None if that is not known."""

    def advance(self, steps: int) -> None:
        """So many more steps are done."""

    def end(self) -> None:
        """The stage is over."""


class Stages:
    """Times the stages of a run and passes them on to a watcher.

    Attributes:
        timings_s: Seconds of every finished stage, by name, in order.
        peak_rss_bytes: Highest resident memory that any process of the run told of.
    """

    def __init__(self, watcher: Watcher | None = None) -> None:
        self.timings_s: dict[str, float] = {}
        self.peak_rss_bytes = 0
        self._watcher = watcher

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Advance]:
        """Time a block; the value is a function that the block calls with the steps it made."""
        if self._watcher is not None:
            self._watcher.begin(name, total)
        start = time.perf_counter()
        try:
            yield self._watcher.advance if self._watcher is not None else _ignore
        finally:
            self.timings_s[name] = time.perf_counter() - start
            if self._watcher is not None:
                self._watcher.end()

    def note_memory(self, peak_rss_bytes: int) -> None:
        """Take into account the highest resident memory of one process of the run."""
        self.peak_rss_bytes = max(self.peak_rss_bytes, peak_rss_bytes)


def _ignore(steps: int) -> None:
    del steps
