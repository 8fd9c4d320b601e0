"""What a disk refuses, in one line, whichever library was told."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable

# What a file system says that takes no more, whatever is written; and what would help besides
# another place.
_TAKES_NO_MORE: Final = {
    errno.ENOSPC: "make room for it",
    errno.EDQUOT: "make room for it",
    errno.EFBIG: "raise the limit of the file size",
    errno.EROFS: "",
    errno.EIO: "",
}

# What file systems say that cannot wait for the disk.
_CANNOT_SYNC: Final = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


def sync(path: Path) -> None:
    """Have a file, or what a folder lists, on the disk before whatever follows.

    Raises:
        OSError: The disk failed.
    """
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as exc:
        if exc.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(opened)


@contextmanager
def writing(
    place: Path, failed: str = "cannot be written", todo: str = "choose another --out"
) -> Iterator[None]:
    """Convert an `OSError` in the block; ``failed`` is what cannot be done, ``todo`` the remedy.

    Raises:
        InputError: An `OSError`, in one line.
    """
    try:
        yield
    except OSError as exc:
        raise _refusal(place, failed, exc, todo) from exc


@contextmanager
def disk_errors(
    place: Path, failed: str = "cannot be written", todo: str = "choose another --out"
) -> Iterator[None]:
    """Convert whatever says that ``place`` takes no more; for a block that does other work as well.

    Libraries tell it in their own types, with the words of the system.

    Raises:
        InputError: The disk is full, read-only or failed, in one line.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as exc:
        full = takes_no_more(exc)
        if full is None:
            raise
        raise _refusal(place, failed, full, todo) from exc


def takes_no_more(error: Exception) -> OSError | None:
    """The failure of a disk that is behind an error, if it takes no more; None for other errors."""
    if isinstance(error, OSError):
        return error if error.errno in _TAKES_NO_MORE else None
    for number in _TAKES_NO_MORE:
        if os.strerror(number) in str(error):
            return OSError(number, os.strerror(number))
    return None


def _refusal(place: Path, failed: str, error: OSError, todo: str) -> InputError:
    # Some errors of libraries, such as shutil's, have no number.
    reason = error.strerror or one_line(str(error))
    todo = ", or ".join(filter(None, (_TAKES_NO_MORE.get(error.errno or 0), todo)))
    return InputError(f"{one_line(printable(str(place)))}: {failed}: {reason}; {todo}")
