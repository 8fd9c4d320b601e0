"""A folder that is written as a whole: everything in it is of one run, or it is as it was."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable


def check_page_target(out: Path, known: frozenset[str], mark: str, *, overwrite: bool) -> None:
    """Refuse early what could not be written in the end.

    Args:
        out: The folder.
        known: Names of everything that a run may have left in it.
        mark: The one of them without which it is no such folder.
        overwrite: Whether what an earlier run left may be replaced.

    Raises:
        InputError: It is a file or a link, or it holds something that may not be replaced.
    """
    where = printable(str(out))
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        found = "a link" if out.is_symlink() else "a file"
        raise InputError(f"{where}: expected a folder, found {found}; choose another --out")
    if not out.is_dir():
        return
    names = sorted(_names(out))
    if names and not overwrite:
        raise InputError(
            f"{where}: expected an empty or new folder, found files in it; choose another --out "
            "or give --overwrite"
        )
    foreign = [name for name in names if name not in known]
    if foreign or (names and mark not in names):
        found = printable(foreign[0]) if foreign else f"no {mark}"
        raise InputError(
            f"{where}: expected a folder that `eightbit bundle --web` wrote, found {found} in it; "
            "it would be replaced as a whole: choose another --out"
        )


def write_page_folder(out: Path, files: Mapping[str, bytes]) -> None:
    """Put a folder in the place of one that may be replaced; see `check_page_target`.

    Args:
        out: The folder.
        files: Content by name, a path with slashes.

    Raises:
        InputError: The place cannot be written.
    """
    out = out.absolute()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as temporary:
            new, old = Path(temporary, "new"), Path(temporary, "old")
            for name, content in files.items():
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            _exchange(out, new, old)
    except OSError as exc:
        raise InputError(
            f"{printable(str(out))}: cannot be written: {exc.strerror}; choose another --out"
        ) from exc


def _exchange(out: Path, new: Path, old: Path) -> None:
    """Two renames: between them there is no folder, and never a mixed one."""
    if not out.exists():
        os.rename(new, out)
        return
    os.rename(out, old)
    try:
        os.rename(new, out)
    except OSError:
        os.rename(old, out)
        raise


def _names(folder: Path) -> list[str]:
    """Everything in a folder, as paths with slashes; a link or an empty folder is a name, too."""
    found: list[str] = []
    for path in folder.iterdir():
        inner = [] if path.is_symlink() or not path.is_dir() else _names(path)
        found += [f"{path.name}/{name}" for name in inner] or [path.name]
    return found
