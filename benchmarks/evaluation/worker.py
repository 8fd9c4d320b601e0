"""The process behind a `PredictionPool`: from the files of images to the logits of several models.

Usage: python -P -m eightbit.benchmarks.evaluation.worker THREADS PREPROCESSING PATH ...

PREPROCESSING is JSON. One thread decodes the next chunk while the main thread runs this one.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO, TypeAlias

from eightbit.benchmarks.artifact.onnx_file import read_by_parent
from eightbit.benchmarks.artifact.trust import trust_as_told
from eightbit.benchmarks.evaluation.prediction import ImageFile, Predicted, Ready
from eightbit.benchmarks.evaluation.predictor import ChunkDecoder, Predictor, PreparedChunk
from eightbit.benchmarks.processes.channel import (
    claim_standard_streams,
    receive_pieces,
    send_pieces,
)
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.models.spec import Preprocessing

# None is the end; an exception is one of the other thread.
_Waiting: TypeAlias = "Queue[PreparedChunk | BaseException | None]"


def main(threads: int, preprocessing: Preprocessing, paths: Sequence[Path]) -> None:
    """Serves chunks from standard input until it is closed, as it is when the parent dies."""
    inbox, outbox = claim_standard_streams()
    trust_as_told()
    read_by_parent()
    try:
        predictor = Predictor(paths, threads)
    except InputError as exc:
        send_pieces(outbox, Ready(input_error=printable(str(exc))))
        return
    send_pieces(outbox, Ready())
    decoder = ChunkDecoder(preprocessing=preprocessing, inputs=predictor.inputs)
    for prepared in _ahead(inbox, decoder):
        _serve(outbox, predictor, prepared)


def _serve(outbox: IO[bytes], predictor: Predictor, prepared: PreparedChunk) -> None:
    try:
        answer = predictor.answer(prepared)
    except InputError as exc:
        error = printable(str(exc))
        send_pieces(outbox, Predicted(chunk=prepared.chunk, input_error=error))
        return
    send_pieces(outbox, answer.message, answer.pieces)


def _ahead(inbox: IO[bytes], decoder: ChunkDecoder) -> Iterator[PreparedChunk]:
    """The chunks, each prepared in another thread while the one before it runs."""
    queue: _Waiting = Queue(maxsize=1)
    Thread(target=_prepare, args=(inbox, decoder, queue), daemon=True).start()
    while (prepared := queue.get()) is not None:
        if isinstance(prepared, BaseException):
            raise prepared
        yield prepared


def _prepare(inbox: IO[bytes], decoder: ChunkDecoder, queue: _Waiting) -> None:
    try:
        for prepared in _chunks(inbox, decoder):
            queue.put(prepared)
        queue.put(None)
    except BaseException as exc:  # raised in the main thread
        queue.put(exc)


def _chunks(inbox: IO[bytes], decoder: ChunkDecoder) -> Iterator[PreparedChunk]:
    """The chunks that the parent sends. A file is decoded as it comes: one is held at a time."""
    while True:
        try:
            told, pieces = receive_pieces(inbox, ImageFile)
        except EOFError:
            return
        decoder.add(pieces[0] if pieces else None, told.unreadable)
        if told.last:
            yield decoder.prepared(told.chunk)


if __name__ == "__main__":
    main(
        int(sys.argv[1]),
        Preprocessing.model_validate_json(sys.argv[2]),
        [Path(path) for path in sys.argv[3:]],
    )
