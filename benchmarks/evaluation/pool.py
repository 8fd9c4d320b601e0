"""Several models on all images of a source, shared out over single-threaded processes.

Each process holds every model and decodes its own images, so no core waits: for other threads at a
barrier, for a pipe that batches are pushed through, or for somebody to decode.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Condition, Thread
from typing import Final

from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.evaluation.prediction import (
    CHUNK_IMAGES,
    PIECE_MAX_BYTES,
    Answer,
    ChunkItems,
    ImageFile,
    Predicted,
    Ready,
)
from eightbit.benchmarks.processes.channel import receive_pieces, send_pieces
from eightbit.benchmarks.processes.patience import answer_limit_s, load_limit_s
from eightbit.benchmarks.processes.process import Closing, WorkerProcess
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.sources import ImageItem, ImageSource
from eightbit.models.plain_text import printable
from eightbit.models.spec import Preprocessing

# Each process holds all models: where there are more cores, each has several.
MAX_WORKERS: Final = 8

# One that runs and one that is being decoded.
_IN_FLIGHT: Final = 2


def workers_and_threads(threads: int) -> tuple[int, int]:
    """How many processes share so many threads, and how many each of them uses."""
    each = math.ceil(threads / MAX_WORKERS)
    return threads // each, each


class PredictionPool(Closing):
    """Processes that hold the same models. A context manager; it serves one `predict`.

    Args:
        models: The model files, by name.
        preprocessing: How an image becomes their input.
        threads: Of all processes together, at least 1.
        chunks: How many chunks there are to run: no more processes are started.

    Attributes:
        peak_rss_bytes: Highest resident memory that a process reported.

    Raises:
        InputError: A model cannot be loaded on this machine.
        WorkerCrashError: A process died while it loaded the models.
    """

    def __init__(
        self, models: Mapping[str, Path], preprocessing: Preprocessing, *, threads: int, chunks: int
    ) -> None:
        workers, each = workers_and_threads(threads)
        self._models = len(models)
        self.peak_rss_bytes = 0
        self._processes: list[WorkerProcess] = []
        arguments = [str(each), preprocessing.model_dump_json(), *map(str, models.values())]
        where = printable(", ".join(path.name for path in models.values()))
        for path in models.values():
            read_metadata(path)  # refuses what no worker should be handed
        try:
            for _ in range(max(1, min(workers, chunks))):
                process = WorkerProcess(
                    "eightbit.benchmarks.evaluation.worker", arguments, where=where, threads=each
                )
                self._processes.append(process)
            for process in self._processes:
                _await_ready(process)
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> tuple[int, ...]:
        """Numbers of the processes."""
        return tuple(process.pid for process in self._processes)

    def predict(
        self, source: ImageSource, chunks: Sequence[ChunkItems], *, start: int = 0
    ) -> Iterator[Answer]:
        """What the models answer, from chunk `start` on, in order, whichever process was faster.

        The source must be open for as long as the iterator is used.

        Raises:
            InputError: A model cannot run the images.
            WorkerCrashError: A process died; its last lines are in the message.
        """
        shared = _SharedWork(source, chunks, start, window=2 * _IN_FLIGHT * len(self._processes))
        threads = [
            Thread(target=shared.serve, args=(process, self._models), daemon=True)
            for process in self._processes
        ]
        for thread in threads:
            thread.start()
        try:
            for index in range(start, len(chunks)):
                answer = shared.answer(index)
                self.peak_rss_bytes = max(self.peak_rss_bytes, answer.message.peak_rss_bytes)
                yield answer
        finally:
            # Where it ends early, a thread may wait for its process.
            for process in self._processes:
                process.kill()
            shared.stop()
            for thread in threads:
                thread.join()

    def close(self) -> None:
        """Ends the processes; may be called again."""
        for process in self._processes:
            process.close()


def _await_ready(process: WorkerProcess) -> None:
    try:
        with process.patience.for_s(load_limit_s()):
            ready, _ = receive_pieces(process.stdout, Ready)
    except EOFError as exc:
        raise process.crash() from exc
    if ready.input_error is not None:
        raise InputError(ready.input_error)


class _SharedWork:
    """The chunks that nobody has begun, and the answers that nobody has asked for.

    Answers are handed out in order. No chunk is begun that is further than ``window`` ahead of
    them: so few answers wait, however slow one process is.
    """

    def __init__(
        self, source: ImageSource, chunks: Sequence[ChunkItems], start: int, *, window: int
    ) -> None:
        self._source = source
        self._chunks = chunks
        self._window = window
        self._next = self._wanted = start
        self._answers: dict[int, Answer] = {}
        self._failure: BaseException | None = None
        self._stopped = False
        self._changed = Condition()

    def answer(self, index: int) -> Answer:
        """Waits for the answer to a chunk; raises what ended a thread that serves."""
        with self._changed:
            self._wanted = index
            self._changed.notify_all()
            while index not in self._answers:
                if self._failure is not None:
                    raise self._failure
                self._changed.wait()
            return self._answers.pop(index)

    def stop(self) -> None:
        """Has the threads that serve come to their end."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def serve(self, process: WorkerProcess, models: int) -> None:
        """Has one process run chunks until there are no more; to be called in a thread."""
        waiting: deque[int] = deque()
        try:
            while True:
                while len(waiting) < _IN_FLIGHT:
                    index = self._take(wait=not waiting)
                    if index is None:
                        break
                    self._send(process, index, models)
                    waiting.append(index)
                if not waiting:
                    return
                answer = _receive(process, waiting.popleft(), models)
                with self._changed:
                    self._answers[answer.message.chunk] = answer
                    self._changed.notify_all()
        except BaseException as exc:  # raised where the answer is awaited
            with self._changed:
                if not self._stopped:
                    self._failure = self._failure or exc
                self._changed.notify_all()

    def _take(self, *, wait: bool) -> int | None:
        """The next chunk; None where there is no more, or where it could only be waited for."""
        with self._changed:
            while not self._stopped and self._failure is None and self._next < len(self._chunks):
                if self._next < self._wanted + self._window:
                    self._next += 1
                    return self._next - 1
                if not wait:
                    return None
                self._changed.wait()
            return None

    def _send(self, process: WorkerProcess, index: int, models: int) -> None:
        items = self._chunks[index]
        try:
            with process.patience.for_s(answer_limit_s(len(items) * models)):
                for item in items:
                    _send_file(process, self._source, item, index, last=item is items[-1])
        except BrokenPipeError as exc:
            raise process.crash() from exc


def _send_file(
    process: WorkerProcess, source: ImageSource, item: ImageItem, chunk: int, *, last: bool
) -> None:
    try:
        data = source.read(item)
    except UnusableImage as exc:
        send_pieces(process.stdin, ImageFile(chunk=chunk, last=last, unreadable=str(exc)))
    else:
        send_pieces(process.stdin, ImageFile(chunk=chunk, last=last), [data])


def _receive(process: WorkerProcess, index: int, models: int) -> Answer:
    try:
        # Up to `_IN_FLIGHT` chunks come before this one.
        with process.patience.for_s(answer_limit_s(_IN_FLIGHT * CHUNK_IMAGES * models)):
            message, pieces = receive_pieces(
                process.stdout, Predicted, max_bytes=models * PIECE_MAX_BYTES
            )
    except EOFError as exc:
        raise process.crash() from exc
    if message.input_error is not None:
        raise InputError(message.input_error)
    if message.chunk != index:
        raise RuntimeError(f"expected the answer to chunk {index}, found {message.chunk}")
    return Answer(message=message, pieces=pieces)
