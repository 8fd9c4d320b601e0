"""The process behind a `PredictionPool`: from the files of images to the logits of several models.

Usage: python -P -m eightbit.benchmarks.evaluation.worker THREADS PREPROCESSING PATH ...

PREPROCESSING is JSON. One thread decodes the next chunk while the main thread runs this one.
"""

import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.artifact.model_input import ModelInput
from eightbit.benchmarks.artifact.onnx_file import read_by_parent
from eightbit.benchmarks.artifact.trust import trust_as_told
from eightbit.benchmarks.evaluation.prediction import (
    FileOutcome,
    ImageFile,
    Predicted,
    Ready,
    answer_of,
)
from eightbit.benchmarks.processes.channel import (
    claim_standard_streams,
    receive_pieces,
    send_pieces,
)
from eightbit.benchmarks.processes.process import peak_rss_bytes
from eightbit.benchmarks.runtimes.feed import Feed, FileRunner
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.benchmarks.runtimes.runner import AnyArray
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.preprocessing import cropped_pixels
from eightbit.models.plain_text import printable
from eightbit.models.spec import Preprocessing


@dataclass(frozen=True, kw_only=True, eq=False)
class _Prepared:
    """A chunk that can run, its usable images in one batch per kind of input."""

    chunk: int
    files: tuple[FileOutcome, ...]
    batches: dict[ModelInput, AnyArray]


# None is the end; an exception is one of the other thread.
_Waiting: TypeAlias = "Queue[_Prepared | BaseException | None]"


def main(threads: int, preprocessing: Preprocessing, paths: Sequence[Path]) -> None:
    """Serves chunks from standard input until it is closed, as it is when the parent dies."""
    inbox, outbox = claim_standard_streams()
    trust_as_told()
    read_by_parent()
    try:
        runners = [open_runner(path, threads) for path in paths]
    except InputError as exc:
        send_pieces(outbox, Ready(input_error=printable(str(exc))))
        return
    send_pieces(outbox, Ready())
    inputs = {runner.feed.input for runner in runners}
    for prepared in _ahead(inbox, preprocessing, inputs):
        _serve(outbox, runners, prepared)


def _serve(outbox: IO[bytes], runners: Sequence[FileRunner], prepared: _Prepared) -> None:
    logits = []
    if prepared.batches:
        try:
            logits = [runner(prepared.batches[runner.feed.input]) for runner in runners]
        except InputError as exc:
            error = printable(str(exc))
            send_pieces(outbox, Predicted(chunk=prepared.chunk, input_error=error))
            return
    answer = answer_of(prepared.chunk, prepared.files, logits, peak_rss_bytes())
    send_pieces(outbox, answer.message, answer.pieces)


def _ahead(
    inbox: IO[bytes], preprocessing: Preprocessing, inputs: set[ModelInput]
) -> Iterator[_Prepared]:
    """The chunks, each prepared in another thread while the one before it runs."""
    queue: _Waiting = Queue(maxsize=1)
    Thread(target=_prepare, args=(inbox, preprocessing, inputs, queue), daemon=True).start()
    while (prepared := queue.get()) is not None:
        if isinstance(prepared, BaseException):
            raise prepared
        yield prepared


def _prepare(
    inbox: IO[bytes], preprocessing: Preprocessing, inputs: set[ModelInput], queue: _Waiting
) -> None:
    try:
        for prepared in _chunks(inbox, preprocessing, inputs):
            queue.put(prepared)
        queue.put(None)
    except BaseException as exc:  # raised in the main thread
        queue.put(exc)


def _chunks(
    inbox: IO[bytes], preprocessing: Preprocessing, inputs: set[ModelInput]
) -> Iterator[_Prepared]:
    """The chunks that the parent sends. A file is decoded as it comes: one is held at a time."""
    files: list[FileOutcome] = []
    pixels: list[npt.NDArray[np.uint8]] = []
    while True:
        try:
            told, pieces = receive_pieces(inbox, ImageFile)
        except EOFError:
            return
        outcome = FileOutcome(digest=None, unusable=told.unreadable)
        if told.unreadable is None:
            (data,) = pieces
            outcome = _decoded(data, preprocessing, pixels)
        files.append(outcome)
        if told.last:
            batches = {}
            if pixels:
                stacked = np.stack(pixels)
                # Not as a model's own metadata say, if it has any: all are evaluated alike.
                batches = {
                    taken: Feed(input=taken, preprocessing=preprocessing).of_pixels(stacked)
                    for taken in inputs
                }
            yield _Prepared(chunk=told.chunk, files=tuple(files), batches=batches)
            files, pixels = [], []


def _decoded(
    data: bytes, preprocessing: Preprocessing, pixels: list[npt.NDArray[np.uint8]]
) -> FileOutcome:
    """What became of a file, whose pixels are added to the others if it is usable."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        pixels.append(cropped_pixels(decode_image(data), preprocessing))
    except UnusableImage as exc:
        return FileOutcome(digest=digest, unusable=str(exc))
    return FileOutcome(digest=digest)


if __name__ == "__main__":
    main(
        int(sys.argv[1]),
        Preprocessing.model_validate_json(sys.argv[2]),
        [Path(path) for path in sys.argv[3:]],
    )
