"""What runs inside a worker of Ray: opened once, then task after task."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from eightbit.benchmarks.artifact.trust import trust_as_told
from eightbit.benchmarks.runtimes.environment import Environment, read_environment
from eightbit.models.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Failed:
    """What was raised of a task: an `InputError`, or a `ValueError`, with its message."""

    message: str
    of_input: bool

    def error(self) -> ValueError:
        """The same, to be raised where the answer is awaited."""
        return InputError(self.message) if self.of_input else ValueError(self.message)


class Host:
    """The actor; Ray makes one of them for every worker."""

    def __init__(self, opening: Callable[[], Callable[[Any], Any]]) -> None:
        self._opening = opening
        self._serve: Callable[[Any], Any] | None = None

    def open(self) -> Environment | Failed:
        """Load what all tasks need; the machine and its versions, or what was raised."""
        trust_as_told()
        try:
            self._serve = self._opening()
        except ValueError as exc:
            return Failed(message=str(exc), of_input=isinstance(exc, InputError))
        return read_environment()

    def serve(self, content: Any) -> Any:
        """The answer to a task, or what was raised."""
        if self._serve is None:
            raise RuntimeError("expected to be opened before the first task")
        try:
            return self._serve(content)
        except ValueError as exc:
            return Failed(message=str(exc), of_input=isinstance(exc, InputError))
