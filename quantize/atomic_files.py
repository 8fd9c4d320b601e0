"""Files and folders that are whole, or as they were, whatever happens meanwhile.

They are written aside, in a `staging` folder, put on the disk, and moved into place in one step: a
file by a rename, a folder by an exchange with the one that is there. Permissions are those of the
user's umask.

Where folders cannot be exchanged, files are moved one by one: a process that is killed between two
of them leaves a mixture, and `settle`, which every command calls first, ends that.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eightbit.models.plain_text import printable
from eightbit.quantize.disk import sync, writing
from eightbit.quantize.exchange import exchange
from eightbit.quantize.staging import NEW, files_in, finish, is_staging, move_one_by_one, staging

# A folder in which the user has more than this is no place to make again.
_FOREIGN_MOST: Final = 5000


def write_file(path: Path, content: bytes) -> None:
    """Write a file at once: a concurrent reader sees the old one or the new one.

    Raises:
        OSError: It cannot be written.
    """
    with staging(path.parent) as folder:
        new = folder / NEW
        new.write_bytes(content)
        sync(new)
        os.replace(new, path)


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Replace a folder as a whole by files, contents by name with slashes; makes parent folders.

    Raises:
        OSError: It cannot be written.
    """
    path = path.absolute()
    with staging(staging_place(path)) as folder:
        new = folder / NEW
        for name, content in files.items():
            file = new / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        replace_files(new, path, gone=files_in(path))


def staging_place(out: Path) -> Path:
    """Where files for a folder can wait: on its file system, so that moving them is one step.

    Beside it; inside it, where that is another file system; if it is not there, in the folder that
    is there and will hold it, so that a run that is refused makes none.

    Raises:
        OSError: It cannot be looked at.
    """
    if not out.exists():
        return next(parent for parent in out.absolute().parents if os.path.lexists(parent))
    beside = out.resolve().parent
    same = beside.stat().st_dev == out.stat().st_dev and os.access(beside, os.W_OK)
    return beside if same else out


def replace_files(new: Path, out: Path, *, gone: Collection[str] = ()) -> None:
    """Replace files of a folder by all those of ``new``, a folder in a `staging` one, as one.

    Args:
        new: The folder with the files; it is used up.
        out: Where they belong; if it is not there, it is made, with its parents.
        gone: Relative paths of files in ``out`` that are deleted unless they are replaced. What
            else lies there stays.

    Raises:
        OSError: They cannot be moved; what was there is there.
    """
    for name in files_in(new):
        sync(new / name)
    sync(new)
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        os.rename(new, out)
        sync(out.parent)
        return
    out = out.resolve()
    replaced = {*files_in(new), *gone}
    whole = new.with_name("whole")
    try:
        _check_exchangeable(out)
        _complete(new, out, whole, without=replaced)
        exchange(whole, out)
    except OSError:
        # A mount point, a file system without links or exchange, a folder in use.
        move_one_by_one(new, out, [name for name in gone if not os.path.lexists(new / name)])
        return
    sync(out.parent)
    _keep_late(whole, out, without=replaced)


def settle(folder: Path) -> None:
    """Finish what a process began that was killed while it replaced files in a folder.

    Raises:
        InputError: It cannot be finished.
    """
    failed = "files of an earlier run are between their old and their new state"
    with writing(folder, failed, "make the folder writable and run this again"):
        finish(folder)


@contextmanager
def locked_folder(folder: Path, tell: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Keep other processes from replacing files of a folder; the OS lets go if this one dies.

    On a file system without locks the user is told, and the block runs all the same.
    """
    lock = None
    try:
        lock = _lock(folder)
    except OSError as exc:
        tell(
            f"{printable(str(folder))}: cannot be locked: {exc.strerror}; use one command at a "
            "time on it"
        )
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _lock(folder: Path) -> int:
    while True:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(opened), os.stat(folder)):
                return opened
        except BaseException:
            os.close(opened)
            raise
        os.close(opened)  # who held the lock put another folder there


def _check_exchangeable(out: Path) -> None:
    """OSError where somebody is inside a folder, who would be left in the old one."""
    here = Path.cwd()
    if any(os.path.samefile(out, parent) for parent in (here, *here.parents)):
        raise OSError(errno.EBUSY, "is the current folder", str(out))
    if any(is_staging(path.name) for path in out.iterdir()):
        raise OSError(errno.EBUSY, "is being written in", str(out))


def _complete(new: Path, out: Path, whole: Path, *, without: Collection[str]) -> None:
    """Make a folder of all files of ``new`` and of those of ``out`` that stay, as hard links.

    Raises:
        OSError: They cannot be linked, belong to others, or are too many.
    """
    seen = 0

    def ignored(folder: str, names: list[str]) -> set[str]:
        nonlocal seen
        seen += len(names)
        if seen > _FOREIGN_MOST:
            raise OSError(errno.EMLINK, "holds too much", str(out))
        where = Path(folder).relative_to(out)
        return {name for name in names if (where / name).as_posix() in without}

    shutil.copytree(out, whole, symlinks=True, copy_function=os.link, ignore=ignored)
    for root, _, _ in os.walk(whole):
        before = (out / Path(root).relative_to(whole)).stat()
        os.chown(root, before.st_uid, before.st_gid)
    for name in files_in(new):
        target = whole / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(new / name, target)
    for root, _, _ in os.walk(whole):
        sync(Path(root))


def _keep_late(old: Path, out: Path, *, without: Collection[str]) -> None:
    """Move what somebody wrote into the old folder while the new one was made."""
    for name in files_in(old):
        source, target = old / name, out / name
        if name in without or source.is_symlink():
            continue
        if not os.path.lexists(target) or not os.path.samefile(source, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
