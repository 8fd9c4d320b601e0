"""The answers of an evaluation on disk, so that a killed one continues where it was.

A header that says what was evaluated on what by which software, then one record per chunk, each as
a prediction worker sent it. The file may be torn, or of another evaluation. A record counts if it
fits its images, whose files are read and digested again, and the models, and holds finite numbers
with its own digest. Without a journal an evaluation is as good, so nothing that happens to the file
ends it.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

import numpy as np

from eightbit.benchmarks.artifact.metadata import Sha256, file_sha256
from eightbit.benchmarks.evaluation.cache import journal_folder, journal_path, locked_file
from eightbit.benchmarks.evaluation.prediction import (
    CHUNK_IMAGES,
    PIECE_MAX_BYTES,
    Answer,
    ChunkItems,
    Predicted,
    Prediction,
)
from eightbit.benchmarks.processes.channel import Message, receive_pieces, send_pieces
from eightbit.benchmarks.processes.process import Closing
from eightbit.benchmarks.runtimes.environment import Environment, read_environment
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.sources import ImageItem, ImageSource
from eightbit.models.plain_text import one_line, printable
from eightbit.models.spec import PositiveCount, Preprocessing

JOURNAL_FORMAT_VERSION: Final = 1

# Of the libraries beneath the runtimes: they choose kernels, and how work is shared out.
_PREFIXES: Final = ("ATEN_", "DNNL_", "MKL_", "OMP_", "ONEDNN_")


class JournalHeader(Message):
    """All that the answers depend on: only where it is equal they count again.

    Attributes:
        models: Digest of each model's file, by name, in the order in which they run.
        listing_sha256: Digest of the images' names.
        chunk_images: How many run together.
        threads: Of each process that runs them.
        variables: Of the process's environment, that choose kernels.
    """

    format_version: Literal[1] = JOURNAL_FORMAT_VERSION
    models: tuple[tuple[str, Sha256], ...]
    preprocessing: Preprocessing
    images: PositiveCount
    listing_sha256: Sha256
    chunk_images: PositiveCount = CHUNK_IMAGES
    threads: PositiveCount
    variables: tuple[tuple[str, str], ...]
    environment: Environment

    def difference(self, expected: "JournalHeader") -> str | None:
        """What is different in the evaluation that is expected, in words; None if nothing is."""
        for field, what in _FIELDS.items():
            if getattr(self, field) != getattr(expected, field):
                return f"it is of {what}"
        return None


_FIELDS: Final = {
    "models": "other models",
    "preprocessing": "another preprocessing",
    "images": "other images",
    "listing_sha256": "other images",
    "chunk_images": "another batch size",
    "threads": "another number of threads",
    "variables": "other variables of the environment",
    "environment": "another machine or other versions",
}


def header_of(
    models: Mapping[str, Path],
    preprocessing: Preprocessing,
    items: Sequence[ImageItem],
    *,
    threads: int,
) -> JournalHeader:
    """The header of an evaluation that begins here and now, with so many threads per process."""
    listing = hashlib.sha256()
    for item in items:
        listing.update(item.name.encode("utf-8", "backslashreplace") + b"\0")
    return JournalHeader(
        models=tuple((name, file_sha256(path)) for name, path in models.items()),
        preprocessing=preprocessing,
        images=len(items),
        listing_sha256=listing.hexdigest(),
        threads=threads,
        variables=tuple(
            (printable(name), printable(value))
            for name, value in sorted(os.environ.items())
            if name.startswith(_PREFIXES)
        ),
        environment=read_environment(),
    )


Tell: TypeAlias = Callable[[str], None]
"""Told of what the user should know, in one line."""


def open_journal(bundle: Path, source: Path, header: JournalHeader, tell: Tell) -> "Journal | None":
    """The journal of an evaluation, as an earlier run left it or new; None where there can be none.

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

    Answers of another evaluation are discarded; `tell` is called if the file fails later.

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
        self, source: ImageSource, chunks: Sequence[ChunkItems], models: Sequence[str], classes: int
    ) -> Iterator[tuple[Answer, Prediction]]:
        """The answers that still hold, from the first chunk on; what follows is cut off.

        To be called once, before anything is appended. Images are read from the source again; the
        models are in the order of the header.
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
        """The next record; EOFError where it is cut off, ValueError where it does not fit."""
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
    """Refuses, with a ValueError, logits of other networks than these, or that are not finite."""
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
