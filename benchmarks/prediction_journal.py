"""The answers of an evaluation on disk, so that a killed one continues where it was.

A header that says what was evaluated on what by which software, then one record per chunk, each as
a prediction worker sent it. Whoever reads it takes nothing on trust: the file may be torn, of
another evaluation, or of a stranger. A record counts if it fits its images, whose files are read
and digested again, and holds finite numbers with the digest that it tells.
"""

import contextlib
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Literal, Self

import numpy as np
from pydantic import PositiveInt

from eightbit.benchmarks.artifact import Sha256
from eightbit.benchmarks.channel import Message, receive_pieces, send_pieces
from eightbit.benchmarks.environment import Environment, read_environment
from eightbit.benchmarks.execution import ONEDNN_VARIABLES
from eightbit.benchmarks.prediction import (
    CHUNK_IMAGES,
    PIECE_MAX_BYTES,
    Answer,
    ChunkItems,
    Predicted,
    Prediction,
)
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.plain_text import one_line, printable
from eightbit.models.sources import ImageItem, ImageSource
from eightbit.models.spec import Preprocessing

JOURNAL_FORMAT_VERSION: Final = 1

# Each time another evaluation ended in the very moment between opening and locking.
_TRIES: Final = 10


class JournalHeader(Message):
    """All that the answers depend on.

    Attributes:
        format_version: Version of the file.
        models: Digest of each model's file, by name, in the order in which they run.
        preprocessing: How an image becomes their input.
        images: How many there are.
        listing_sha256: Digest of their names.
        chunk_images: How many run together.
        threads: Of each process that runs them.
        variables: Of the process's environment, that choose kernels.
        environment: The machine and the versions.
    """

    format_version: Literal[1] = JOURNAL_FORMAT_VERSION
    models: tuple[tuple[str, Sha256], ...]
    preprocessing: Preprocessing
    images: PositiveInt
    listing_sha256: Sha256
    chunk_images: PositiveInt = CHUNK_IMAGES
    threads: PositiveInt
    variables: tuple[tuple[str, str], ...]
    environment: Environment


def header_of(
    models: Mapping[str, Path],
    preprocessing: Preprocessing,
    items: Sequence[ImageItem],
    *,
    threads: int,
) -> JournalHeader:
    """The header of an evaluation that begins here and now.

    Args:
        models: The model files, by name.
        preprocessing: How an image becomes their input.
        items: All images.
        threads: Of each process.
    """
    listing = hashlib.sha256()
    for item in items:
        listing.update(item.name.encode("utf-8", "backslashreplace") + b"\0")
    return JournalHeader(
        models=tuple((name, _digest_of_file(path)) for name, path in models.items()),
        preprocessing=preprocessing,
        images=len(items),
        listing_sha256=listing.hexdigest(),
        threads=threads,
        variables=tuple(
            (name, printable(os.environ[name])) for name in ONEDNN_VARIABLES if name in os.environ
        ),
        environment=read_environment(),
    )


def journal_path(folder: Path, source: Path) -> Path:
    """Where the journal of an evaluation lies: in the bundle, one for each source of images."""
    name = hashlib.sha256(os.fsencode(source.resolve())).hexdigest()
    return folder / f".evaluation-{name[:12]}"


class Journal:
    """The file, locked for as long as it is open; a context manager.

    Args:
        path: See `journal_path`.
        header: Of this evaluation. What another one left is discarded.

    Attributes:
        discarded: What was different, where answers of another evaluation were discarded.

    Raises:
        InputError: The file cannot be written, or another process has it open.
    """

    def __init__(self, path: Path, header: JournalHeader) -> None:
        self._path = path
        self._where = printable(str(path))
        self._file = _locked(path)
        self.discarded: str | None = None
        try:
            self._begin(header)
        except BaseException:
            self._file.close()
            raise

    @property
    def has_answers(self) -> bool:
        """Whether an earlier run left something."""
        return self._file.tell() < os.fstat(self._file.fileno()).st_size

    def answers(
        self, source: ImageSource, chunks: Sequence[ChunkItems], models: Sequence[str]
    ) -> Iterator[tuple[Answer, Prediction]]:
        """The answers that still hold, from the first chunk on; what follows is cut off.

        To be called once, before anything is appended.

        Args:
            source: Where the images are read again.
            chunks: All images, as they run together.
            models: Names of the models, in the order of the header.
        """
        for index, items in enumerate(chunks):
            end = self._file.tell()
            found = self._record(index, items, models, source)
            if found is None:
                self._cut(end)
                return
            yield found
        self._cut(self._file.tell())

    def append(self, answer: Answer) -> None:
        """Adds the answer to the next chunk.

        Raises:
            InputError: There is no room for it.
        """
        try:
            send_pieces(self._file, answer.message, answer.pieces)
        except OSError as exc:
            raise InputError(
                f"{self._where}: cannot be written: {exc.strerror}; make room for it"
            ) from exc

    def delete(self) -> None:
        """Deletes the file: the evaluation is over."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the file, which lets others open it; may be called again."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _begin(self, header: JournalHeader) -> None:
        """Reads the header of what is there, or writes that of this evaluation."""
        try:
            found, _ = receive_pieces(self._file, JournalHeader, max_bytes=0)
        except EOFError:
            found = None  # new, or ended within its first line
        except ValueError:
            found = None
            self.discarded = "it is no journal of this version"
        if found is not None:
            self.discarded = _difference(found, header)
            if self.discarded is None:
                return
        self._cut(0)
        try:
            send_pieces(self._file, header)
        except OSError as exc:
            raise _unwritable(self._path, exc) from exc

    def _record(
        self, index: int, items: ChunkItems, models: Sequence[str], source: ImageSource
    ) -> tuple[Answer, Prediction] | None:
        """The next record, if it is whole and holds for these images."""
        try:
            message, pieces = receive_pieces(
                self._file, Predicted, max_bytes=len(models) * PIECE_MAX_BYTES
            )
            answer = Answer(message=message, pieces=pieces)
            prediction = answer.prediction(items, models)
        except (EOFError, ValueError):
            return None
        if message.chunk != index or message.input_error is not None:
            return None
        if not all(np.isfinite(logits).all() for logits in prediction.logits.values()):
            return None
        digests = [file.digest for file in message.files]
        return (answer, prediction) if digests == _digests(source, items) else None

    def _cut(self, end: int) -> None:
        self._file.seek(end)
        self._file.truncate()


def _locked(path: Path) -> IO[bytes]:
    """Opens or makes the file, which no other process may have open.

    Raises:
        InputError: It cannot be opened or locked, or is no plain file.
    """
    for _ in range(_TRIES):
        try:
            # A bundle may come from a stranger: nothing is written through a link.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            file = os.fdopen(os.open(path, flags, 0o644), "r+b")
        except OSError as exc:
            raise _unwritable(path, exc) from exc
        try:
            status = os.fstat(file.fileno())
            _refuse_links(path, status)
            _lock(file, path)
            if _lies_at(path, status):  # else it was deleted at the end of another evaluation
                return file
        except BaseException:
            file.close()
            raise
        file.close()
    raise _busy(path)


def _refuse_links(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise InputError(
            f"{printable(str(path))}: expected the journal of an evaluation, found a link or no "
            "file; delete it"
        )


def _lies_at(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, path.lstat())
    except FileNotFoundError:
        return False


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise _busy(path) from exc
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def _busy(path: Path) -> InputError:
    return InputError(
        f"{printable(str(path.parent))}: expected no other evaluation of this bundle on these "
        "images, found one that runs; wait for its end"
    )


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(
        f"{printable(str(path.parent))}: expected a folder to write the report in, found none "
        f"({one_line(error.strerror or error)}); make it writable, or copy the bundle elsewhere"
    )


def _difference(found: JournalHeader, expected: JournalHeader) -> str | None:
    """What another evaluation was of, in words; None if it was the same."""
    for field, what in _FIELDS.items():
        if getattr(found, field) != getattr(expected, field):
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


def _digests(source: ImageSource, items: ChunkItems) -> list[str | None]:
    """Digest of each image's file as it is now; None where it cannot be read."""
    digests: list[str | None] = []
    for item in items:
        digest = None
        with contextlib.suppress(UnusableImage):
            digest = hashlib.sha256(source.read(item)).hexdigest()
        digests.append(digest)
    return digests


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
