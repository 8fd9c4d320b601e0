"""Reading files of which nothing is known: no device, no pipe, and never more than asked for."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final

from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def read_bounded(path: Path, max_bytes: int, expected: str) -> bytes:
    """Read a regular file.

    Args:
        path: The file.
        max_bytes: More than that is refused, and not read.
        expected: What it should be, for messages: "a recipe.json".

    Raises:
        InputError: There is none, it is no regular file, it is larger, or it cannot be read.
    """
    with open_regular(path, expected) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= max_bytes:
            # It may grow meanwhile, and some file systems do not know a size.
            content = file.read(max_bytes + 1)
            size = max(size, len(content))
        if size > max_bytes:
            raise InputError(
                f"{printable(str(path))}: expected {expected} of at most {max_bytes:,} bytes, "
                f"found {size:,} bytes or more"
            )
        return content


@contextmanager
def open_regular(path: Path, expected: str) -> Iterator[BufferedReader]:
    """Open a regular file for reading, without waiting for anybody; see `read_bounded`.

    Raises:
        InputError: There is none, or no regular file, or an OSError is raised in the block.
    """
    where = printable(str(path))
    try:
        # A pipe would have to be waited for.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = _kind(os.fstat(opened).st_mode)
            if found is not None:
                raise InputError(f"{where}: expected {expected}, found {found}; check the path")
            with open(opened, "rb", closefd=False) as file:
                yield file
        finally:
            os.close(opened)
    except FileNotFoundError as exc:
        raise InputError(
            f"{where}: expected {expected}, found no such file; check the path"
        ) from exc
    except (OSError, ValueError) as exc:
        if isinstance(exc, InputError):
            raise
        # ValueError: a name with a null character.
        cause = exc.strerror if isinstance(exc, OSError) and exc.strerror else one_line(exc)
        raise InputError(
            f"{where}: expected {expected}, found one that cannot be read: {cause}"
        ) from exc


def _kind(mode: int) -> str | None:
    """What it is in place of a regular file; None where it is one."""
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), None)
