"""Reads an ONNX file that must be whole in itself: no runtime may open other files for it.

ONNX lets any tensor lie in another file, wherever a model has tensors: initialisers, sparse ones,
attributes of nodes, in subgraphs, in functions, in graphs for training. So every message of the
file is looked at, whatever field it is in.
"""

from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final

from eightbit.benchmarks.artifact.other_files import described
from eightbit.benchmarks.artifact.refusals import in_another_file
from eightbit.models.bounded_files import open_regular, read_bounded
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable

if TYPE_CHECKING:
    import onnx

_has_been_read: Final = ContextVar("has_been_read", default=False)

ONNX_MAX_BYTES: Final = 2**31 - 1  # protobuf's own limit for one message


def read_onnx(path: Path) -> "onnx.ModelProto":
    """Read an ONNX model.

    Raises:
        InputError: It cannot be read, is no ONNX model, is too large, has no graph, or keeps
            tensors in other files.
    """
    # Imported here so that a process for TorchScript does not carry onnx.
    import onnx
    from google.protobuf.message import DecodeError

    where = printable(str(path))
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(_content(path))
    except DecodeError as exc:
        raise InputError(
            f"{where}: expected an ONNX model, found {_found(path)}; copy or export it again"
        ) from exc
    # Protobuf takes the empty file and some garbage for a message without known fields.
    if not model.ir_version or not model.graph.node:
        raise InputError(
            f"{where}: expected an ONNX model with a graph, found {_found(path, 'none')}; export "
            "it again"
        )
    for tensor in tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise InputError(f"{where}: {in_another_file(tensor.name)}")
    return model


def check_onnx(path: Path) -> None:
    """Refuse an ONNX file that a runtime would open other files for, unless that has been done.

    Raises:
        InputError: See `read_onnx`.
    """
    if not _has_been_read.get():
        read_onnx(path)


def read_by_parent() -> None:
    """Say in a worker that its parent has read the models: a worker's memory is measured."""
    _has_been_read.set(True)


def _found(path: Path, otherwise: str = "a damaged file or something else") -> str:
    with open_regular(path, "an ONNX model") as file:
        return described(file) or otherwise


def _content(path: Path) -> bytes:
    with open_regular(path, "an ONNX model") as file:
        # A message begins with the number of a field, and never with zero, as a hole does.
        if not ord(file.peek(1)[:1] or b"\0") >> 3:
            return b""
    return read_bounded(path, ONNX_MAX_BYTES, "an ONNX model")


def tensors(model: "onnx.ModelProto") -> Iterator["onnx.TensorProto"]:
    """Every tensor of a model, in whatever field."""
    import onnx
    from google.protobuf.message import Message

    waiting: list[Message] = [model]
    while waiting:
        message = waiting.pop()
        if isinstance(message, onnx.TensorProto):
            yield message
            continue
        for field, value in message.ListFields():
            if field.message_type is not None:
                waiting.extend((value,) if isinstance(value, Message) else value)
