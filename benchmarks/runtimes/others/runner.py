"""What the runners of other runtimes have in common: the feed, the checks, what a failure says."""

from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.artifact.onnx_file import check_onnx, read_onnx
from eightbit.benchmarks.artifact.refusals import last_line
from eightbit.benchmarks.runtimes.feed import feed_of
from eightbit.benchmarks.runtimes.runner import AnyArray, FloatArray, check_logits
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable


class OtherRunner(ABC):
    """Runs an ONNX classifier in a runtime that it was not written for; see `runner.Runner`.

    Args:
        path: The .onnx file: one input, which is float32 (N, 3, H, W) unless its metadata says
            otherwise, and the logits as first output.
        threads: Threads for one call, where the runtime can be told.

    Raises:
        InputError: The runtime is not installed or cannot load the file, or the file needs others.
    """

    name: str
    """Of the runtime, for messages."""

    def __init__(self, path: Path, threads: int) -> None:
        self._where = printable(str(path))
        check_onnx(path)
        metadata = read_metadata(path)
        self._classes = metadata.spec.num_classes if metadata else None
        self.feed = feed_of(metadata)
        self._model = read_onnx(path)
        try:
            self.load(path, threads)
        except Exception as exc:  # whatever a package raises says that it cannot
            raise self._refusal(exc, "cannot load it") from exc

    def __call__(self, batch: AnyArray) -> FloatArray:
        """Runs the model on float32 (N, 3, H, W); returns float32 logits (N, classes)."""
        batch = np.ascontiguousarray(self.feed(batch, where=self._where))
        try:
            logits = np.array(self.run(batch))
        except Exception as exc:  # as above
            raise self._refusal(exc, f"cannot run a batch of shape {batch.shape}") from exc
        check_logits(logits, images=len(batch), where=self._where, classes=self._classes)
        return logits

    @abstractmethod
    def load(self, path: Path, threads: int) -> None:
        """Loads the file; raises what the runtime raises."""

    @abstractmethod
    def run(self, batch: AnyArray) -> AnyArray:
        """Logits, float32 (N, classes), of what the model takes; raises what the runtime raises."""

    @property
    def input(self) -> str:
        """Name of the graph's input."""
        return str(self._model.graph.input[0].name)

    @property
    def output(self) -> str:
        """Name of the graph's first output."""
        return str(self._model.graph.output[0].name)

    def _refusal(self, error: Exception, cannot: str) -> InputError:
        if isinstance(error, InputError):
            return error
        said = one_line(last_line(error), 200) or type(error).__name__
        return InputError(f"{self._where}: {self.name} {cannot}: {said}")


class CompiledRunner(OtherRunner):
    """A runtime that compiles a model for one shape of its input."""

    def load(self, path: Path, threads: int) -> None:
        """Notes what a shape is compiled from."""
        self.path, self.threads = path, threads
        self._compiled: dict[tuple[int, ...], Any] = {}

    def run(self, batch: AnyArray) -> AnyArray:
        """Compiles the model for this shape, unless that has been done, and runs it."""
        if batch.shape not in self._compiled:
            self._compiled[batch.shape] = self.compile(batch)
        return self.call(self._compiled[batch.shape], batch)

    @abstractmethod
    def compile(self, batch: AnyArray) -> Any:
        """The model, compiled for a shape."""

    @abstractmethod
    def call(self, compiled: Any, batch: AnyArray) -> AnyArray:
        """Logits of a batch of that shape."""


def imported(*names: str) -> list[Any]:
    """Modules of packages that say nothing of their types, imported where they are used."""
    return [import_module(name) for name in names]
