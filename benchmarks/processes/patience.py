"""How long a worker may take: a model can loop for ever, and says nothing of it beforehand."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, Timer
from typing import Final, Protocol

from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

VARIABLE: Final = "EIGHTBIT_TIMEOUT_S"

# Loading a ResNet-152 takes seconds, and one of its calls a tenth of one; a board may be a hundred
# times slower.
_USUAL_S: Final = 600.0
_PER_IMAGE_S: Final = 5.0


class Killable(Protocol):
    """A process that can be ended."""

    def kill(self) -> None:
        """End it at once."""


def load_limit_s() -> float:
    """Seconds that a worker may take to load its models: 600, or what the environment says.

    Raises:
        InputError: `EIGHTBIT_TIMEOUT_S` is no positive number.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return _USUAL_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 1e9:
        raise InputError(
            f"{VARIABLE}: expected how many seconds a model may take to load or to answer, found "
            f"{one_line(text, 40)!r}; leave it out for {_USUAL_S:.0f}"
        )
    return seconds


def answer_limit_s(images: int) -> float:
    """Seconds that it may take to answer for so many images: as to load, and five for each."""
    return load_limit_s() + _PER_IMAGE_S * images


class Patience:
    """Ends a process that takes longer than it may.

    Attributes:
        spent_s: The limit that it did not keep; None while it keeps all.
    """

    def __init__(self, process: Killable) -> None:
        self._process = process
        self._lock = Lock()
        self.spent_s: float | None = None

    @contextmanager
    def for_s(self, seconds: float) -> Iterator[None]:
        """The block waits for the process, but not longer: it finds an ended process then."""
        waiting = True

        def end() -> None:
            with self._lock:
                if waiting:
                    self.spent_s = seconds
                    self._process.kill()

        timer = Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            with self._lock:
                waiting = False
            timer.cancel()
