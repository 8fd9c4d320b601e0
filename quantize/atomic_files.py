"""Files and folders that are whole, or as they were: written aside, then renamed into place.

A process that is killed meanwhile leaves a hidden folder beside them and nothing else. Permissions
are those of the user's umask.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A hidden folder inside a folder, from which anything moves there in one step; then deleted.

    Raises:
        OSError: It cannot be made.
    """
    with tempfile.TemporaryDirectory(
        prefix=".eightbit-", dir=folder, ignore_cleanup_errors=True
    ) as temporary:
        yield Path(temporary)


def write_file(path: Path, content: bytes) -> None:
    """Write a file at once: a concurrent reader sees the old one or the new one.

    Raises:
        OSError: It cannot be written.
    """
    with staging(path.parent) as folder:
        new = folder / "new"
        new.write_bytes(content)
        os.replace(new, path)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Replace a folder as a whole by files, contents by name with slashes; makes parent folders.

    Raises:
        OSError: It cannot be written.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with staging(path.parent) as folder:
        new = folder / "new"
        for name, content in files.items():
            file = new / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        replace_folder(new, path)


def replace_folder(new: Path, path: Path) -> None:
    """Move a folder out of a `staging` one to its place; the one that is there takes its place.

    Two renames: between them there is no folder, and never a mixed one.

    Raises:
        OSError: It cannot be moved; what was there is there again.
    """
    if not path.exists():
        os.rename(new, path)
        return
    old = new.with_name("old")
    os.rename(path, old)
    try:
        os.rename(new, path)
    except OSError:
        os.rename(old, path)
        raise


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
        raise InputError(f"{printable(str(place))}: {failed}: {exc.strerror}; {todo}") from exc
