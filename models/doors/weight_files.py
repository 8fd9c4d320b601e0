"""Reads weight files, which are untrusted, without running any code in them.

What a file declares is compared with its size before anything is made of it, so that memory and
time stay in proportion to the bytes that there are.
"""

import errno
import hashlib
import io
import os
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

import safetensors.torch
import torch

from eightbit.models.doors.file_kinds import (
    HEAD_BYTES,
    archive_described,
    described,
    folder_described,
    is_safetensors,
    pickle_described,
)
from eightbit.models.doors.plain_data import STAND_INS
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

SAVE_AGAIN: Final = (
    "save the weights alone, torch.save(model.state_dict(), FILE), where the file is trusted"
)

_ZIP_MAGIC: Final = b"PK\x03\x04"
_PICKLE_MAGIC: Final = b"\x80"

# The names of 100,000 tensors take 15 MB, in a pickle as in the header of a safetensors file. A
# pickle is read in half a minute at most; one that lies before its tensors, by its operations.
_MAX_NAMES_BYTES: Final = 16 * 2**20
_MAX_PICKLE_READS: Final = 8_000_000
_MAX_HOLES_BYTES: Final = 2**30


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightFile:
    """Content of a weight file (tensors on the CPU), hexadecimal SHA-256 and size in bytes."""

    content: object
    sha256: str
    size_bytes: int


def read_weight_file(path: Path) -> WeightFile:
    """Read `.safetensors`, or whatever `torch.save` wrote in its zip or its legacy form.

    Raises:
        InputError: The file is missing, damaged, of another kind, or needs code to be loaded.
    """
    where = shown_path(path)
    try:
        if not path.is_file():
            raise InputError(
                f"{where}: expected a checkpoint (.pth, .pt, .safetensors), found {_other(path)}"
            )
        with path.open("rb") as file:
            size_bytes = file.seek(0, os.SEEK_END)
            if size_bytes == 0:
                raise InputError(f"{where}: expected a checkpoint, found an empty file")
            _refuse_other_kinds(file, where)
            as_safetensors = path.suffix.lower() == ".safetensors"
            check = _check_safetensors if as_safetensors else _check_torch
            check(file, size_bytes, where)
            _refuse_holes(path, size_bytes, where)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            content = _load_safetensors(path) if as_safetensors else _load_torch(file, where)
    except OSError as exc:
        raise InputError(f"{where}: cannot be read: {one_line(exc)}") from exc
    return WeightFile(content=content, sha256=sha256, size_bytes=size_bytes)


def shown_path(path: Path) -> str:
    """A path at the beginning of a message: printable, and cut."""
    return one_line(path, 120)


def _other(path: Path) -> str:
    """What there is in place of a file."""
    if path.is_dir():
        return folder_described(path)
    return "a device, a pipe or a socket" if path.exists() else "no such file"


def _refuse_other_kinds(file: BinaryIO, where: str) -> None:
    """Refuse what its first bytes say is no weight file, by what it is."""
    file.seek(0)
    kind = described(file.read(HEAD_BYTES))
    if kind:
        raise InputError(f"{where}: expected a checkpoint (.pth, .pt, .safetensors), found {kind}")


def _refuse_holes(path: Path, size_bytes: int, where: str) -> None:
    """Refuse a sparse file: it takes no room on disk, but what it declares would be read."""
    data, end = 0, 0
    with path.open("rb", buffering=0) as file:  # its own: a buffer would not know of the seeking
        while end < size_bytes:
            try:
                start = file.seek(end, os.SEEK_DATA)
            except OSError as exc:
                if exc.errno == errno.ENXIO:  # nothing but a hole from here on
                    break
                return  # a file system that does not say
            end = file.seek(start, os.SEEK_HOLE)
            data += end - start
    if size_bytes - data > _MAX_HOLES_BYTES:
        raise InputError(
            f"{where}: expected a checkpoint, found a sparse file of {size_bytes:,} bytes of which"
            f" {data:,} are on disk; download it again"
        )


def _check_safetensors(file: BinaryIO, size_bytes: int, where: str) -> None:
    """Refuse a header that is longer than the file, or than the names of any network.

    Source: https://huggingface.co/docs/safetensors: its length comes first, 8 bytes, little-endian.
    """
    file.seek(0)
    declared = int.from_bytes(file.read(8), "little")
    if not 2 <= declared <= min(size_bytes - 8, _MAX_NAMES_BYTES) or file.read(1) != b"{":
        raise InputError(
            f"{where}: expected a safetensors file, found one that cannot be parsed (a header of"
            f" {declared:,} bytes); download or export it again"
        )


def _load_safetensors(path: Path) -> object:
    """Load a safetensors file."""
    try:
        return safetensors.torch.load_file(path, device="cpu")
    except OSError:
        raise
    except Exception as exc:  # the library raises a dozen types on garbage
        raise InputError(
            f"{shown_path(path)}: expected a safetensors file, found one that cannot be parsed"
            f" ({one_line(exc, 120)}); download or export it again"
        ) from exc


def _check_torch(file: BinaryIO, size_bytes: int, where: str) -> None:
    """Refuse what `torch.save` does not write."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    magic = head[: len(_ZIP_MAGIC)]
    if magic == _ZIP_MAGIC:
        _check_archive(file, size_bytes, where)
    elif is_safetensors(head):
        raise InputError(
            f"{where}: expected what torch.save writes, found a safetensors file; name it"
            " .safetensors"
        )
    elif not magic.startswith(_PICKLE_MAGIC):
        raise InputError(
            f"{where}: expected a PyTorch checkpoint (a state dict), found neither an archive nor a"
            f" pickle (it begins with {magic.hex(' ')}); download or export it again"
        )


def _check_archive(file: BinaryIO, size_bytes: int, where: str) -> None:
    """Refuse damaged, compressed and TorchScript archives before torch sees them."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as exc:
        raise InputError(
            f"{where}: expected a PyTorch checkpoint, found a corrupt zip archive"
            f" ({one_line(exc, 120)}); download it again"
        ) from exc
    kind = archive_described([member.filename for member in members])
    if kind:
        raise InputError(f"{where}: expected a checkpoint (a state dict), found {kind}")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise InputError(
            f"{where}: expected a checkpoint as torch.save writes it, found a compressed zip"
            " archive; unpack it and give the file inside"
        )
    declared = sum(member.file_size for member in members)
    names = sum(member.file_size for member in members if member.filename.endswith(".pkl"))
    if declared > size_bytes or names > _MAX_NAMES_BYTES:
        raise InputError(
            f"{where}: expected a checkpoint, found an archive of {size_bytes:,} bytes that"
            f" declares {declared:,}, {names:,} of them names; the file is damaged or hostile"
        )


class _CountedReads(io.RawIOBase):
    """A file that a pickle is read from, one read for each of its operations."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._left = _MAX_PICKLE_READS

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"a pickle of more than {_MAX_PICKLE_READS:,} operations")

    def read(self, size: int = -1, /) -> bytes:
        """See `RawIOBase`."""
        self._count()
        return self._file.read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        """See `RawIOBase`."""
        self._count()
        return self._file.readline(-1 if size is None else size)

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """See `RawIOBase`."""
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """See `RawIOBase`."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """See `RawIOBase`."""
        return self._file.tell()

    def seekable(self) -> bool:
        """See `RawIOBase`."""
        return True

    def readable(self) -> bool:
        """See `RawIOBase`."""
        return True


def _load_torch(file: BinaryIO, where: str) -> object:
    """Load what `torch.save` wrote, in its zip or its legacy form."""
    file.seek(0)
    is_archive = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    file.seek(0)
    source = file if is_archive else cast(BinaryIO, _CountedReads(file))
    try:
        with (
            torch.serialization.safe_globals(list(STAND_INS)),
            warnings.catch_warnings(action="ignore"),  # of a pickle's protocol: it is refused
        ):
            return torch.load(source, map_location="cpu", weights_only=True)
    except Exception as exc:  # unpickling garbage raises nearly every built-in exception
        code = re.search(r"GLOBAL ([\w.]+)", str(exc))
        kind = pickle_described(code[1]) if code else ""
        if kind:
            raise InputError(f"{where}: expected weights alone, found {kind}") from exc
        if code:
            raise InputError(
                f"{where}: expected weights alone, found a pickle that needs code"
                f" ({one_line(code[1], 80)}), such as a whole model; {SAVE_AGAIN}"
            ) from exc
        raise InputError(
            f"{where}: expected a PyTorch checkpoint (a state dict), found one that cannot be"
            f" loaded ({_detail(exc)}); download it again, or save it again with torch.save's own"
            " pickle protocol"
        ) from exc


def _detail(exc: Exception) -> str:
    """What torch.load found, without its advice to load the file unsafely."""
    inner = re.search(r"WeightsUnpickler error:\s*(.*)", str(exc))
    return one_line(inner[1] if inner else f"{type(exc).__name__}: {exc}", 120)
