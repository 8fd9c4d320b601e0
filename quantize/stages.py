"""Progress and duration of the stages of a run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Watcher(Protocol):
    """Observes the stages, one at a time; a stage that fails does not end."""

    def begin(self, stage: str) -> None:
        """A stage begins."""

    def expect(self, total: int, unit: str = "") -> None:
        """It will take so many steps in all; a unit is given where their rate says something."""

    def resume(self, steps: int) -> None:
        """So many steps were done in an earlier run: they say nothing of the rate."""

    def tell(self, line: str) -> None:
        """Something that the user should know while it runs, in one line."""

    def advance(self, steps: int) -> None:
        """So many more steps are done."""

    def end(self) -> None:
        """The stage is over."""


class Silence:
    """The watcher of those who do not watch."""

    def begin(self, stage: str) -> None:
        """See `Watcher`."""

    def expect(self, total: int, unit: str = "") -> None:
        """See `Watcher`."""

    def resume(self, steps: int) -> None:
        """See `Watcher`."""

    def tell(self, line: str) -> None:
        """See `Watcher`."""

    def advance(self, steps: int) -> None:
        """See `Watcher`."""

    def end(self) -> None:
        """See `Watcher`."""


class Stages:
    """Times the stages of a run and passes them on to a watcher.

    Attributes:
        timings_s: Seconds of every finished stage, by name, in order; all of one that comes twice.
        peak_rss_bytes: Highest resident memory that any process of the run reported.
    """

    def __init__(self, watcher: Watcher | None = None) -> None:
        self.watcher = watcher or Silence()
        self.timings_s: dict[str, float] = {}
        self.peak_rss_bytes = 0

    @contextmanager
    def stage(self, name: str, total: int | None = None, unit: str = "") -> Iterator[Watcher]:
        """Time a block, which reports its progress to the watcher; one that raises never ends."""
        self.watcher.begin(name)
        if total is not None:
            self.watcher.expect(total, unit)
        with self.timed(name):
            yield self.watcher
        self.watcher.end()

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time a block that shows its own progress."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self.timings_s[name] = self.timings_s.get(name, 0.0) + seconds

    def note_memory(self, peak_rss_bytes: int) -> None:
        """Take into account the highest resident memory of one process of the run."""
        self.peak_rss_bytes = max(self.peak_rss_bytes, peak_rss_bytes)
