"""Messages between a process and its worker, over two pipes.

A message is one line of JSON, then pieces of bytes, each as long as the line says. What they are is
between the two: an array in NumPy's own file format (never a pickle), the file of an image, the
numbers of a model's logits.
"""

import io
import os
from collections.abc import Sequence
from enum import StrEnum
from typing import IO, TypeAlias, TypeVar

import numpy as np

from eightbit.benchmarks.processes.leashed import end_with_starter
from eightbit.benchmarks.runtimes.feed import Feed
from eightbit.benchmarks.runtimes.runner import AnyArray
from eightbit.models.spec import Count, FrozenModel, PositiveCount


class Action(StrEnum):
    """What a worker can be asked for."""

    RUN = "run"
    SETTLE = "settle"
    TIME = "time"
    WALK = "walk"
    PEAK_RSS = "peak_rss"


class Message(FrozenModel):
    """The line of JSON; `piece_bytes`, the lengths of what follows, is filled in on sending."""

    piece_bytes: tuple[Count, ...] = ()


class Request(Message):
    """To the worker.

    Attributes:
        action: What to do; RUN, SETTLE and TIME come with a batch, WALK with the bytes of a photo.
        repeats: How many calls TIME measures.
        max_seconds: How long SETTLE may go on.
    """

    action: Action
    repeats: PositiveCount = 1
    max_seconds: float = 1.0


class Reply(Message):
    """From the worker; RUN is answered with the logits as payload.

    Attributes:
        input_error: Message of the InputError that was raised in the worker, or None.
        seconds: Duration of each timed call, or of each step of a walk.
        peak_rss_bytes: Highest resident memory of the worker so far.
        feed: What the model takes; sent once it is loaded.
    """

    input_error: str | None = None
    seconds: tuple[float, ...] = ()
    peak_rss_bytes: Count = 0
    feed: Feed | None = None


MessageT = TypeVar("MessageT", bound=Message)
Piece: TypeAlias = bytes | memoryview

_LINE_MAX_BYTES = 2**24


def claim_standard_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Takes a worker's two pipes, to read and to write, away from their usual file descriptors.

    What a library prints then goes to standard error instead of into the protocol. From here on the
    worker ends as soon as its starter does, even inside a call.
    """
    end_with_starter()
    inbox, outbox = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return inbox, outbox


def send_pieces(stream: IO[bytes], message: Message, pieces: Sequence[Piece] = ()) -> None:
    """Writes one message and its pieces completely.

    Raises:
        BrokenPipeError: The other side has gone.
    """
    lengths = tuple(len(piece) for piece in pieces)
    line = message.model_copy(update={"piece_bytes": lengths}).model_dump_json()
    stream.write(line.encode() + b"\n")
    for piece in pieces:
        stream.write(piece)
    stream.flush()


def receive_pieces(
    stream: IO[bytes], kind: type[MessageT], *, max_bytes: int | None = None
) -> tuple[MessageT, list[bytes]]:
    """Reads one message with all its pieces, together at most `max_bytes` from an untrusted side.

    Raises:
        EOFError: The other side closed the pipe, between messages or inside one.
        ValueError: Not such a message, or one that is too long.
    """
    line = stream.readline(_LINE_MAX_BYTES)
    if not line.endswith(b"\n"):
        if len(line) == _LINE_MAX_BYTES:
            raise ValueError(f"expected a line of at most {_LINE_MAX_BYTES} bytes, found more")
        raise EOFError("the pipe was closed")
    message = kind.model_validate_json(line)
    if max_bytes is not None and sum(message.piece_bytes) > max_bytes:
        raise ValueError(
            f"expected at most {max_bytes} bytes after the line, found {sum(message.piece_bytes)}"
        )
    pieces = []
    for length in message.piece_bytes:
        piece = stream.read(length)
        if len(piece) < length:
            raise EOFError("the pipe was closed inside a message")
        pieces.append(piece)
    return message, pieces


def send(stream: IO[bytes], message: Message, array: AnyArray | None = None) -> None:
    """Writes one message with at most one array completely.

    Raises:
        BrokenPipeError: The other side has gone.
        ValueError: The array holds Python objects.
    """
    send_pieces(stream, message, [] if array is None else [_encode(array)])


def receive(stream: IO[bytes], kind: type[MessageT]) -> tuple[MessageT, AnyArray | None]:
    """Reads one message with at most one array completely.

    Raises:
        EOFError: The other side closed the pipe, between messages or inside one.
    """
    message, pieces = receive_pieces(stream, kind)
    return message, _decode(pieces[0]) if pieces else None


def _encode(array: AnyArray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _decode(payload: bytes) -> AnyArray:
    array: AnyArray = np.lib.format.read_array(io.BytesIO(payload), allow_pickle=False)
    return array
