"""What several models answer to the images of one chunk, as it travels and as it is kept.

Images run in chunks of `CHUNK_IMAGES`, those of a source in its order: so the batches, and with
them the last bits of the logits, are the same however many processes share the work. Sixteen is
the smallest batch that reaches the throughput of larger ones (resnet18 at 224 px, float and INT8,
one thread: 4 images 54.5 ms per image, 8 52.9, 16 52.3, 32 52.6).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

import numpy as np
from pydantic import Field

from eightbit.benchmarks.artifact.metadata import Sha256
from eightbit.benchmarks.processes.channel import Message, Piece
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.images.loading import SkippedImage
from eightbit.models.images.sources import ImageItem
from eightbit.models.plain_text import printable
from eightbit.models.spec import MAX_CLASSES, Count, FrozenModel

CHUNK_IMAGES: Final = 16

ChunkItems: TypeAlias = Sequence[ImageItem]

# Little-endian float32, whatever the machine.
_LOGIT: Final = np.dtype("<f4")

PIECE_MAX_BYTES: Final = CHUNK_IMAGES * MAX_CLASSES * _LOGIT.itemsize


def in_chunks(items: Sequence[ImageItem]) -> tuple[ChunkItems, ...]:
    """The images, so many at a time as run together."""
    return tuple(
        items[start : start + CHUNK_IMAGES] for start in range(0, len(items), CHUNK_IMAGES)
    )


class ImageFile(Message):
    """To a prediction worker: one image; its file is the one piece.

    Attributes:
        last: Whether it is the last image of the chunk, which then runs.
        unreadable: Why there is no piece, or None.
    """

    chunk: Count
    last: bool
    unreadable: str | None = None


class Ready(Message):
    """From a prediction worker: its models are loaded, or why they are not."""

    input_error: str | None = None


class FileOutcome(FrozenModel):
    """What became of one image's file.

    Attributes:
        digest: SHA-256 of its bytes; None where they could not be read.
        unusable: Why it was passed over; None for an image that ran.
    """

    digest: Sha256 | None
    unusable: Annotated[str, Field(max_length=1000)] | None = None


class Predicted(Message):
    """From a prediction worker: one chunk; every model's logits are a piece.

    Attributes:
        files: One entry for every image of the chunk.
        classes: Number of each model's logits per image; 0 where no image was usable.
        sha256: Digest of all pieces together: on disk a record may be damaged.
        input_error: Why a model cannot run the images, or None.
        peak_rss_bytes: Highest resident memory of the worker so far.
    """

    chunk: Count
    files: tuple[FileOutcome, ...] = ()
    classes: tuple[Count, ...] = ()
    sha256: Sha256 = hashlib.sha256().hexdigest()
    input_error: str | None = None
    peak_rss_bytes: Count = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Prediction:
    """What the models answer to one chunk, with the N images that ran and those passed over.

    Attributes:
        logits: float32, shape (N, classes), by name of the model; empty where no image ran.
    """

    names: tuple[str, ...]
    digests: tuple[str, ...]
    skipped: tuple[SkippedImage, ...]
    logits: Mapping[str, FloatArray]


@dataclass(frozen=True, kw_only=True, eq=False)
class Answer:
    """One message of a prediction worker, with the logits as bytes."""

    message: Predicted
    pieces: Sequence[Piece]

    def prediction(self, items: ChunkItems, models: Sequence[str]) -> Prediction:
        """The logits of these images, by model, in the order in which the worker was given them.

        Raises:
            ValueError: It does not fit the images or the models, or is damaged.
        """
        told = self.message
        if len(told.files) != len(items):
            raise ValueError(f"expected {len(items)} images, found {len(told.files)}")
        if digest_of_pieces(self.pieces) != told.sha256:
            raise ValueError("expected logits with the digest that is told, found others")
        ran = [
            (item.name, file.digest)
            for item, file in zip(items, told.files, strict=True)
            if file.unusable is None and file.digest is not None
        ]
        skipped = [
            SkippedImage(name=item.name, reason=printable(file.unusable))
            for item, file in zip(items, told.files, strict=True)
            if file.unusable is not None
        ]
        if len(ran) + len(skipped) != len(items):
            raise ValueError("expected a digest of every image that ran, found none")
        return Prediction(
            names=tuple(name for name, _ in ran),
            digests=tuple(digest for _, digest in ran),
            skipped=tuple(skipped),
            logits=self._logits(models, len(ran)) if ran else {},
        )

    def _logits(self, models: Sequence[str], images: int) -> dict[str, FloatArray]:
        if not len(self.pieces) == len(self.message.classes) == len(models):
            raise ValueError(f"expected logits of {len(models)} models, found {len(self.pieces)}")
        logits: dict[str, FloatArray] = {}
        for name, classes, piece in zip(models, self.message.classes, self.pieces, strict=True):
            if not classes or len(piece) != images * classes * _LOGIT.itemsize:
                raise ValueError(
                    f"{name}: expected {images} times {classes} logits, found {len(piece)} bytes"
                )
            numbers = np.frombuffer(piece, dtype=_LOGIT).astype(np.float32, copy=False)
            logits[name] = numbers.reshape(images, classes)
        return logits


def answer_of(
    chunk: int, files: Sequence[FileOutcome], logits: Sequence[FloatArray], peak_rss_bytes: int
) -> Answer:
    """The message with a chunk's logits, float32 (N, classes) by model; none if no image ran."""
    pieces = [np.ascontiguousarray(one, dtype=_LOGIT).data.cast("B") for one in logits]
    message = Predicted(
        chunk=chunk,
        files=tuple(files),
        classes=tuple(one.shape[1] for one in logits),
        sha256=digest_of_pieces(pieces),
        peak_rss_bytes=peak_rss_bytes,
    )
    return Answer(message=message, pieces=pieces)


def digest_of_pieces(pieces: Sequence[Piece]) -> str:
    """SHA-256 of all pieces, one after the other, hexadecimal."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
