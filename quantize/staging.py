"""Hidden folders in which files wait until they are whole.

A process holds a lock on its folder for as long as it lives. A folder without a living process was
left by a killed one, and the next that is made in the same place deletes it. Where files could only
be moved to their place one by one, some of a killed process's may have been moved: what it left
says so, and whoever comes next moves the rest.
"""

import errno
import fcntl
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from eightbit.models.errors import InputError
from eightbit.quantize.disk import disk_errors, sync

NEW: Final = "new"

_PREFIX: Final = ".eightbit-"
_NAME: Final = re.compile(r"\.eightbit-[a-z0-9_]{8}")  # as `mkdtemp` ends it

_MARK: Final = "staging"  # a file by which a folder is known to be one of these
_READY: Final = "ready"  # says that all of NEW is to be moved, and which files are to go
_READY_MAX_BYTES: Final = 2**20

# Each time another process took the new folder for one that was left.
_TRIES: Final = 10


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A hidden folder inside a folder, from which anything moves there in one step; then deleted.

    Those that killed processes left there are deleted first.

    Raises:
        OSError: It cannot be made.
    """
    sweep(folder)
    path, lock = _made(folder)
    try:
        yield path
    finally:
        # Files that were to be moved one by one and are not all in their place are kept.
        if not _is_ready(path):
            _delete(path)
        os.close(lock)


@contextmanager
def scratch() -> Iterator[Path]:
    """A staging folder among the system's temporary files.

    Raises:
        InputError: There is no folder for them, or it takes no more.
    """
    try:
        folder = Path(tempfile.gettempdir())
    except FileNotFoundError as exc:
        raise InputError(
            "TMPDIR: expected a folder for temporary files, found none that can be written; make "
            "room, or set TMPDIR to another folder"
        ) from exc
    failed, todo = "cannot keep temporary files", "set TMPDIR to another folder"
    with disk_errors(folder, failed, todo), staging(folder) as path:
        yield path


def is_staging(name: str) -> bool:
    """Whether a file is called as these folders are."""
    return _NAME.fullmatch(name) is not None


def sweep(folder: Path) -> None:
    """Delete what killed processes left in a folder; what they began to move there is moved.

    Folders of living processes, of other users and of whatever else stay. So does everything where
    the file system has no locks.

    Raises:
        OSError: What was to be moved cannot be.
    """
    for path in _left_in(folder):
        try:
            lock = _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # its process lives, or it is gone, or nobody can say
            continue
        _end(path, lock)


def finish(folder: Path) -> None:
    """Move what a killed process began to move into a folder; wait for a living one that does.

    Raises:
        OSError: It cannot be moved.
    """
    for path in _left_in(folder):
        if _is_ready(path):
            with suppress(FileNotFoundError):  # a living one came to its end
                _end(path, _locked(path, fcntl.LOCK_EX))


def move_one_by_one(new: Path, out: Path, gone: Collection[str]) -> None:
    """Move all files of a folder into another, and delete those of the relative paths ``gone``.

    A process that is killed meanwhile leaves a mixture, until `finish`.

    Raises:
        OSError: They cannot be moved.
    """
    with staging(out) as place:
        shutil.move(new, place / NEW)
        for name in files_in(place / NEW):
            _check_target(out, name)
            sync(place / NEW / name)
        unsure = place / "unsure"
        unsure.write_text(json.dumps(sorted(gone)), encoding="utf-8")
        sync(unsure)
        os.rename(unsure, place / _READY)
        sync(place)
        _move(place)


def files_in(folder: Path) -> list[str]:
    """Relative paths, with slashes, of all that lies in a folder and is no folder."""
    found: list[str] = []
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if Path(root, name).is_symlink()]
        found += [Path(root, name).relative_to(folder).as_posix() for name in (*names, *links)]
    return sorted(found)


def _made(folder: Path) -> tuple[Path, int]:
    """A new staging folder and the descriptor that holds its lock."""
    for _ in range(_TRIES):
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=folder))
        with suppress(FileNotFoundError):  # taken for one that was left, before it was locked
            lock = _locked(path, fcntl.LOCK_EX, needed=False)
            (path / _MARK).touch()
            return path, lock
    raise BlockingIOError(errno.EWOULDBLOCK, "other processes delete every new folder", str(folder))


def _locked(path: Path, operation: int, *, needed: bool = True) -> int:
    """The descriptor of a folder with its lock, or without one where none is ``needed``.

    Raises:
        FileNotFoundError: It is gone.
        OSError: It cannot be locked.
    """
    with ExitStack() as stack:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        stack.callback(os.close, opened)
        with suppress(*(() if needed else (OSError,))):
            fcntl.flock(opened, operation)
        if os.path.samestat(os.fstat(opened), path.lstat()):
            stack.pop_all()
            return opened
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _left_in(folder: Path) -> list[Path]:
    """Every folder of this user that is known to be a staging folder."""
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not is_staging(entry.name) or not entry.is_dir(follow_symlinks=False):
                continue
            path = Path(entry.path)
            if entry.stat(follow_symlinks=False).st_uid != os.geteuid():
                continue
            # An empty one was left before it had its mark, or after.
            if (path / _MARK).is_file() or not any(path.iterdir()):
                found.append(path)
    return found


def _end(path: Path, lock: int) -> None:
    """Bring a staging folder of which the lock is held to its end."""
    try:
        if _is_ready(path):
            _move(path)
        _delete(path)
    finally:
        os.close(lock)


def _is_ready(path: Path) -> bool:
    return stat.S_ISREG(_mode(path / _READY))


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _move(place: Path) -> None:
    """Move all files of a staging folder that is ready into the folder around it."""
    out = place.parent
    for name in files_in(place / NEW):
        target = _check_target(out, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(place / NEW / name, target)
    for name in _gone(place / _READY):
        _check_target(out, name).unlink(missing_ok=True)
    sync(out)
    (place / _READY).unlink()


def _gone(ready: Path) -> list[str]:
    with ready.open("rb") as file:
        content = file.read(_READY_MAX_BYTES)
    try:
        names = json.loads(content)
    except ValueError as exc:
        raise OSError(errno.EINVAL, "is damaged; delete its folder", str(ready)) from exc
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _check_target(out: Path, name: str) -> Path:
    """Where a file belongs; OSError if a folder is there, or if a stranger's link leads out."""
    target = out / name
    inside = target.parent.resolve().is_relative_to(out.resolve())
    if not inside or not target.name or stat.S_ISDIR(_mode(target)):
        raise OSError(errno.EISDIR, "expected the place of a file, found a folder", str(target))
    return target


def _delete(path: Path) -> None:
    """Delete a staging folder, its mark last: killed meanwhile, it is known for one still."""
    for inner in _listed(path):
        if inner.name != _MARK:
            if stat.S_ISDIR(_mode(inner)):
                shutil.rmtree(inner, ignore_errors=True)
            else:
                with suppress(OSError):
                    inner.unlink()
    with suppress(OSError):
        (path / _MARK).unlink(missing_ok=True)
        path.rmdir()


def _listed(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []
