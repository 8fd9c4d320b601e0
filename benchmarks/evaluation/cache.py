"""Where the journals of evaluations lie: in the user's own cache, and nowhere else.

Write access to a journal decides what an evaluation finds, without a model being run, and no
digest in it would show that. So it does not lie in the bundle, which is not trusted, and is used
only if no other user can have written it.
"""

import errno
import fcntl
import hashlib
import os
import stat
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final

import platformdirs

_SUFFIX: Final = ".journal"
_DAYS_KEPT: Final = 30

# Each time another evaluation ended between opening and locking.
_TRIES: Final = 10


def user_cache() -> Path:
    """Where eightbit keeps for this user what it can make again.

    Raises:
        OSError: The user has no home.
    """
    try:
        return platformdirs.user_cache_path("eightbit", appauthor=False)
    except RuntimeError as exc:
        raise FileNotFoundError(errno.ENOENT, str(exc), "~/.cache") from exc


def journal_folder() -> Path:
    """The folder, which is made where there is none; journals that nobody asked for are deleted.

    Raises:
        OSError: It cannot be made, or belongs to another user.
    """
    folder = user_cache() / "evaluations"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "is a link; delete it", str(folder))
    _refuse_strangers(folder, status)
    folder.chmod(0o700)
    _delete_stale(folder)
    return folder


def journal_path(folder: Path, bundle: Path, source: Path) -> Path:
    """Where the journal of an evaluation lies: one for each bundle and source of images."""
    both = b"\0".join(os.fsencode(os.path.realpath(path)) for path in (bundle, source))
    return folder / f"{hashlib.sha256(both).hexdigest()[:32]}{_SUFFIX}"


def locked_file(path: Path) -> FileIO:
    """Opens or makes a journal, which no other process may have open.

    It has no buffer: one would be written once more on closing, after it failed.

    Raises:
        BlockingIOError: Another process has it open.
        OSError: It cannot be opened or locked, is no plain file, or belongs to another user.
    """
    for _ in range(_TRIES):
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = FileIO(os.open(path, flags, 0o600), "r+")
        try:
            status = os.fstat(file.fileno())
            _refuse_links(path, status)
            _refuse_strangers(path, status)
            os.fchmod(file.fileno(), 0o600)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _lies_at(path, status):  # else it was deleted at the end of another evaluation
                return file
        except BaseException:
            file.close()
            raise
        file.close()
    raise BlockingIOError(errno.EWOULDBLOCK, "is in use", str(path))


def _delete_stale(folder: Path) -> None:
    oldest = time.time() - _DAYS_KEPT * 24 * 3600
    for path in folder.glob(f"*{_SUFFIX}"):
        with suppress(FileNotFoundError):  # another process was faster
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mtime < oldest:
                path.unlink()


def _refuse_links(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise OSError(errno.EINVAL, "is no plain file; delete it", str(path))


def _refuse_strangers(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "belongs to another user", str(path))


def _lies_at(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, path.lstat())
    except FileNotFoundError:
        return False
