"""From the files of a chunk of images to the logits of several models, in one process."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.artifact.model_input import ModelInput
from eightbit.benchmarks.evaluation.prediction import Answer, FileOutcome, answer_of
from eightbit.benchmarks.processes.process import peak_rss_bytes
from eightbit.benchmarks.runtimes.feed import Feed
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.benchmarks.runtimes.runner import AnyArray
from eightbit.models.errors import UnusableImage
from eightbit.models.images.preprocessing import file_pixels
from eightbit.models.spec import Preprocessing


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedChunk:
    """A chunk that can run, its usable images in one batch per kind of input."""

    chunk: int
    files: tuple[FileOutcome, ...]
    batches: Mapping[ModelInput, AnyArray]


@dataclass(kw_only=True, eq=False)
class ChunkDecoder:
    """Decodes the files of one chunk as they come: one is held at a time.

    Args:
        preprocessing: From a file to the pixels of a crop.
        inputs: What the models take.
    """

    preprocessing: Preprocessing
    inputs: frozenset[ModelInput]
    _files: list[FileOutcome] = field(default_factory=list)
    _pixels: list[npt.NDArray[np.uint8]] = field(default_factory=list)

    def add(self, data: bytes | None, unreadable: str | None = None) -> None:
        """Decode the next file; without its bytes it is passed over, for the reason given."""
        if data is None:
            self._files.append(FileOutcome(digest=None, unusable=unreadable))
            return
        digest, unusable = hashlib.sha256(data).hexdigest(), None
        try:
            self._pixels.append(file_pixels(data, self.preprocessing))
        except UnusableImage as exc:
            unusable = str(exc)
        self._files.append(FileOutcome(digest=digest, unusable=unusable))

    def prepared(self, chunk: int) -> PreparedChunk:
        """The chunk, of this number; the next file is one of another."""
        batches: dict[ModelInput, AnyArray] = {}
        if self._pixels:
            stacked = np.stack(self._pixels)
            # Not as a model's own metadata say, if it has any: all are evaluated alike.
            batches = {
                taken: Feed(input=taken, preprocessing=self.preprocessing).of_pixels(stacked)
                for taken in self.inputs
            }
        prepared = PreparedChunk(chunk=chunk, files=tuple(self._files), batches=batches)
        self._files, self._pixels = [], []
        return prepared


class Predictor:
    """Several models, opened in this process.

    Args:
        paths: Of the models.
        threads: Of each runtime.

    Attributes:
        inputs: What the models take.

    Raises:
        InputError: A model cannot be loaded on this machine.
    """

    def __init__(self, paths: Sequence[Path], threads: int) -> None:
        self._runners = [open_runner(path, threads) for path in paths]
        self.inputs = frozenset(runner.feed.input for runner in self._runners)

    def answer(self, prepared: PreparedChunk) -> Answer:
        """What the models say of a chunk.

        Raises:
            InputError: A model cannot run the images.
        """
        logits = []
        if prepared.batches:
            logits = [runner(prepared.batches[runner.feed.input]) for runner in self._runners]
        return answer_of(prepared.chunk, prepared.files, logits, peak_rss_bytes())
