"""The answers of an evaluation on disk, so that a killed one continues where it was.

A header that says what was evaluated on what by which software, then one record per chunk, each as
a prediction worker sent it. The file may be torn, or of another evaluation. A record counts if it
fits its images, whose files are read and digested again, and the models, and holds finite numbers
with the digest that it tells. Without a journal an evaluation is as good, so nothing that happens
to the file ends it.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from eightbit.benchmarks.closing import Closing
from eightbit.benchmarks.evaluation.cache import journal_folder, journal_path, locked_file
from eightbit.benchmarks.evaluation.prediction import (
    PIECE_MAX_BYTES,
    Answer,
    ChunkItems,
    Predicted,
    Prediction,
)
from eightbit.benchmarks.journal_header import JournalHeader
from eightbit.benchmarks.processes.channel import receive_pieces, send_pieces
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.sources import ImageSource
from eightbit.models.plain_text import one_line, printable

Tell: TypeAlias = Callable[[str], None]
"""Told of what the user should know, in one line."""


def open_journal(bundle: Path, source: Path, header: JournalHeader, tell: Tell) -> "Journal | None":
    """The journal of an evaluation, as an earlier run left it or new.

    Args:
        bundle: What is evaluated.
        source: Where its images are.
        header: Of this evaluation.
        tell: Told why answers are not kept.

    Returns:
        The journal; None where there can be none.

    Raises:
        InputError: Another process of this user has it open: it evaluates the same.
    """
    where = "the cache of evaluations"
    try:
        path = journal_path(journal_folder(), bundle, source)
        where = str(path)
        return Journal(path, header, tell)
    except BlockingIOError as exc:
        raise InputError(
            f"{printable(str(bundle))}: expected no other evaluation of this bundle on these "
            "images, found one that runs; wait for its end"
        ) from exc
    except OSError as exc:
        tell(f"{_why(exc, where)}; answers are not kept: if it is killed, it starts again")
        return None


class Journal(Closing):
    """The file, locked for as long as it is open; a context manager.

    Args:
        path: Where it is.
        header: Of this evaluation. What another one left is discarded.
        tell: Told if the file fails later: answers are not kept any more then.

    Attributes:
        discarded: What was different, where answers of another evaluation were discarded.
        void: Why a record did not hold, after `answers`; None where all did.

    Raises:
        BlockingIOError: Another process has it open.
        OSError: It cannot be used.
    """

    def __init__(self, path: Path, header: JournalHeader, tell: Tell) -> None:
        self._path, self._tell = path, tell
        self._file = locked_file(path)
        # Reads only: what is written goes to the file at once.
        self._reader = io.BufferedReader(self._file)
        self._end = 0
        self._failed = False
        self.discarded: str | None = None
        self.void: str | None = None
        try:
            self._begin(header)
        except BaseException:
            self._reader.close()
            raise
        self._first = self._end

    @property
    def has_answers(self) -> bool:
        """Whether anything is in it from which the next run could continue."""
        return self._first < os.fstat(self._file.fileno()).st_size

    def answers(
        self,
        source: ImageSource,
        chunks: Sequence[ChunkItems],
        models: Sequence[str],
        classes: int,
    ) -> Iterator[tuple[Answer, Prediction]]:
        """The answers that still hold, from the first chunk on; what follows is cut off.

        To be called once, before anything is appended.

        Args:
            source: Where the images are read again.
            chunks: All images, as they run together.
            models: Names of the models, in the order of the header.
            classes: Of each model.
        """
        for index, items in enumerate(chunks):
            try:
                answer, prediction = self._record(index, items, models)
                _check(prediction, answer, classes)
                end = self._reader.tell()
            except (EOFError, ValueError):
                self.void = "a record is incomplete or damaged"
                break
            except OSError as exc:
                self.void = "it cannot be read"
                self._give_up(exc)
                return
            if [file.digest for file in answer.message.files] != _digests(source, items):
                self.void = "images have changed"
                break
            self._end = end
            yield answer, prediction
        try:
            self._file.truncate(self._end)
        except OSError as exc:
            self._give_up(exc)

    def append(self, answer: Answer) -> None:
        """Adds the answer to the next chunk, unless the file has failed."""
        if self._failed:
            return
        record = io.BytesIO()
        send_pieces(record, answer.message, answer.pieces)
        try:
            self._write(record.getvalue())
        except OSError as exc:
            self._give_up(exc)

    def delete(self) -> None:
        """Deletes the file: the evaluation is over."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as exc:
            self._tell(f"{_why(exc, self._path)}; it is not needed any more: delete it")

    def close(self) -> None:
        """Closes the file, which lets others open it; may be called again."""
        try:
            self._reader.close()
        except OSError as exc:
            self._give_up(exc)

    def _begin(self, header: JournalHeader) -> None:
        """Reads the header of what is there, or writes that of this evaluation."""
        try:
            found, _ = receive_pieces(self._reader, JournalHeader, max_bytes=0)
        except EOFError:
            found = None  # new, or ended within its first line
        except ValueError:
            found = None
            self.discarded = "it is no journal of this version"
        if found is not None:
            self.discarded = found.difference(header)
            if self.discarded is None:
                self._end = self._reader.tell()
                return
        self._file.truncate(0)
        line = io.BytesIO()
        send_pieces(line, header)
        self._write(line.getvalue())

    def _record(
        self, index: int, items: ChunkItems, models: Sequence[str]
    ) -> tuple[Answer, Prediction]:
        """The next record.

        Raises:
            EOFError: There is no whole one.
            ValueError: It does not fit the images and the models, or is damaged.
        """
        message, pieces = receive_pieces(
            self._reader, Predicted, max_bytes=len(models) * PIECE_MAX_BYTES
        )
        if message.chunk != index or message.input_error is not None:
            raise ValueError("expected the answer to the next chunk, found another")
        answer = Answer(message=message, pieces=pieces)
        return answer, answer.prediction(items, models)

    def _write(self, data: bytes) -> None:
        """Writes behind what is known to be whole; what fails half-way does not count."""
        self._file.seek(self._end)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._end += len(data)

    def _give_up(self, error: OSError) -> None:
        self._failed = True
        self._tell(f"{_why(error, self._path)}; answers are not kept from here on")


def _check(prediction: Prediction, answer: Answer, classes: int) -> None:
    """Refuses logits of other networks than these, or that are no numbers.

    Raises:
        ValueError: They are.
    """
    if prediction.logits and set(answer.message.classes) != {classes}:
        raise ValueError(f"expected logits of {classes} classes")
    if not all(np.isfinite(logits).all() for logits in prediction.logits.values()):
        raise ValueError("expected finite logits")


def _why(error: OSError, path: object) -> str:
    """The file and the cause."""
    return f"{printable(str(error.filename or path))}: {one_line(error.strerror or error)}"


def _digests(source: ImageSource, items: ChunkItems) -> list[str | None]:
    """Digest of each image's file as it is now; None where it cannot be read."""
    digests: list[str | None] = []
    for item in items:
        digest = None
        with contextlib.suppress(UnusableImage):
            digest = hashlib.sha256(source.read(item)).hexdigest()
        digests.append(digest)
    return digests
