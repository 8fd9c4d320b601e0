"""What a LiteRT file says of itself, read without LiteRT: three tables of its FlatBuffer.

A table begins with the distance back to its vtable, in which the n-th field of the schema stands at
4 + 2 n: its distance from the table, 0 where it is absent. Strings, vectors and other tables are
distances again. The numbers of fields are those of the public ``schema.fbs``, version 3.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.other_files import described
from eightbit.models.bounded_files import open_regular, read_bounded
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable

IDENTIFIER: Final = b"TFL3"
METADATA_NAME: Final = "eightbit"
# From the recipe's uint8 to LiteRT's int8.
SIGNED: Final = -128
LITERT_MAX_BYTES: Final = 2**31 - 1  # a FlatBuffer's own limit

_BUFFERS, _METADATA, _EXTERNAL = 4, 6, 9
_NAME, _BUFFER = 0, 1
_DATA: Final = 0
# More entries than any tool writes.
_MAX_ENTRIES: Final = 1000


class _DamagedFileError(Exception):
    """The bytes lead nowhere."""


def read_litert_document(path: Path, where: str, max_bytes: int) -> bytes | None:
    """The content of the file's entry of ours, cut behind ``max_bytes``; None if there is none.

    Raises:
        InputError: It is no LiteRT file, is damaged, or keeps data in other files.
    """
    content = read_bounded(path, LITERT_MAX_BYTES, "a LiteRT file")
    if content[4:8] != IDENTIFIER:
        with open_regular(path, "a LiteRT file") as file:
            found = described(file) or "something else"
        raise InputError(f"{where}: expected a LiteRT file, found {found}; quantize again")
    try:
        found_document = _Reader(content).document()
    except (_DamagedFileError, struct.error) as exc:
        raise InputError(
            f"{where}: expected a LiteRT file, found a damaged one; copy it again, or quantize "
            "again"
        ) from exc
    if isinstance(found_document, _Elsewhere):
        raise InputError(
            f"{printable(where)}: expected a file that is whole in itself, found one that keeps "
            "data in other files; convert it again without"
        )
    return None if found_document is None else found_document[: max_bytes + 1]


class _Elsewhere:
    """Data lies in other files."""


class _Reader:
    """Follows the distances of a FlatBuffer, none of them out of it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def document(self) -> bytes | _Elsewhere | None:
        """The data of our entry."""
        model = self._uint(0)
        if self._field(model, _EXTERNAL) is not None:
            return _Elsewhere()
        entries = [
            entry
            for entry in self._tables(model, _METADATA)
            if self._bytes(entry, _NAME) == METADATA_NAME.encode()
        ]
        if not entries:
            return None
        if len(entries) > 1:
            raise _DamagedFileError
        at = self._field(entries[0], _BUFFER)
        number = 0 if at is None else self._uint(at)
        start, length = self._vector(model, _BUFFERS)
        if number >= length:
            raise _DamagedFileError
        return self._bytes(self._follow(start + 4 * number), _DATA)

    def _uint(self, at: int) -> int:
        if at < 0:
            raise _DamagedFileError
        (number,) = struct.unpack_from("<I", self._content, at)
        return int(number)

    def _field(self, table: int, number: int) -> int | None:
        """Where a field of a table stands, None if it is absent."""
        (back,) = struct.unpack_from("<i", self._content, table)
        vtable = table - back
        if vtable < 0:
            raise _DamagedFileError
        (size,) = struct.unpack_from("<H", self._content, vtable)
        entry = 4 + 2 * number
        if entry + 2 > size:
            return None
        (distance,) = struct.unpack_from("<H", self._content, vtable + entry)
        return table + distance if distance else None

    def _follow(self, at: int) -> int:
        return at + self._uint(at)

    def _vector(self, table: int, number: int) -> tuple[int, int]:
        """Where the elements of a vector begin, and how many there are."""
        at = self._field(table, number)
        if at is None:
            return 0, 0
        start = self._follow(at)
        return start + 4, self._uint(start)

    def _tables(self, table: int, number: int) -> Iterator[int]:
        start, length = self._vector(table, number)
        if length > _MAX_ENTRIES:
            raise _DamagedFileError
        for index in range(length):
            yield self._follow(start + 4 * index)

    def _bytes(self, table: int, number: int) -> bytes:
        start, length = self._vector(table, number)
        if start + length > len(self._content):
            raise _DamagedFileError
        return self._content[start : start + length]
