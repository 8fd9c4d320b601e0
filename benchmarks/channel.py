"""Messages between a process and its worker, over two pipes.

A message is one line of JSON, then as many bytes as the line says: an array in NumPy's own file
format (never a pickle).
"""

import io
from enum import StrEnum
from typing import IO, TypeVar

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from eightbit.benchmarks.contract import AnyArray
from eightbit.benchmarks.feed import Feed
from eightbit.models.spec import FrozenModel


class Action(StrEnum):
    """What a worker can be asked for."""

    RUN = "run"
    TIME = "time"
    PEAK_RSS = "peak_rss"


class Message(FrozenModel):
    """The line of JSON; `payload_bytes` is filled in by `send`."""

    payload_bytes: NonNegativeInt = 0


class Request(Message):
    """To the worker.

    Attributes:
        action: What to do; RUN and TIME come with a batch.
        repeats: How many calls TIME measures.
    """

    action: Action
    repeats: PositiveInt = 1


class Reply(Message):
    """From the worker; RUN is answered with the logits as payload.

    Attributes:
        input_error: Message of the InputError that was raised in the worker, or None.
        seconds: Duration of each timed call.
        peak_rss_bytes: Highest resident memory of the worker so far.
        feed: What the model takes; told once it is loaded.
    """

    input_error: str | None = None
    seconds: tuple[float, ...] = ()
    peak_rss_bytes: NonNegativeInt = 0
    feed: Feed | None = None


MessageT = TypeVar("MessageT", bound=Message)


def send(stream: IO[bytes], message: Message, array: AnyArray | None = None) -> None:
    """Writes one message completely.

    Raises:
        BrokenPipeError: The other side has gone.
        ValueError: The array holds Python objects.
    """
    payload = b"" if array is None else _encode(array)
    line = message.model_copy(update={"payload_bytes": len(payload)}).model_dump_json()
    stream.write(line.encode() + b"\n")
    stream.write(payload)
    stream.flush()


def receive(stream: IO[bytes], kind: type[MessageT]) -> tuple[MessageT, AnyArray | None]:
    """Reads one message completely.

    Raises:
        EOFError: The other side closed the pipe, between messages or inside one.
    """
    line = stream.readline()
    if not line.endswith(b"\n"):
        raise EOFError("the pipe was closed")
    message = kind.model_validate_json(line)
    payload = stream.read(message.payload_bytes)
    if len(payload) < message.payload_bytes:
        raise EOFError("the pipe was closed inside a message")
    return message, _decode(payload) if payload else None


def _encode(array: AnyArray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _decode(payload: bytes) -> AnyArray:
    array: AnyArray = np.lib.format.read_array(io.BytesIO(payload), allow_pickle=False)
    return array
