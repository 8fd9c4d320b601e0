"""The folder that a run leaves: which files it holds, and how they get there whole."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable

TORCHSCRIPT: Final = "model.int8.pt"


ONNX: Final = "model.int8.onnx"


FLOAT_ONNX: Final = "model.fp32.onnx"


RECIPE: Final = "recipe.json"


TABLES: Final = "recipe.safetensors"


REPORT_JSON: Final = "report.json"


REPORT_MARKDOWN: Final = "report.md"


REPORT_HTML: Final = "report.html"

MODELS: Final = (TORCHSCRIPT, ONNX, FLOAT_ONNX)

# What a disk says that takes no more, and what would help.
_TAKES_NO_MORE: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room for it"),
    errno.EFBIG: "choose another --out, or raise the limit of the file size",
    errno.EROFS: "choose another --out",
}

_FILES: Final = (*MODELS, RECIPE, TABLES, REPORT_JSON, REPORT_MARKDOWN, REPORT_HTML)


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse early what could not be written in the end.

    Raises:
        InputError: ``out`` is a file, or holds something and may not be overwritten.
    """
    if os.path.lexists(out) and not out.is_dir():
        found = "a link to nothing" if out.is_symlink() and not out.exists() else "a file"
        raise InputError(f"{out}: expected a folder, found {found}; choose another --out")
    if out.is_dir() and not os.access(out, os.W_OK):
        raise InputError(f"{out}: expected a folder to write in, found none; choose another --out")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise InputError(
            f"{out}: expected an empty or new folder, found files in it; choose another --out or "
            "give --overwrite"
        )


@contextmanager
def staged(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A hidden folder, whose files move to ``out`` when the block ends well.

    It lies beside ``out``, or inside where that is another file system.
    A run that fails or is killed leaves ``out`` as it was. With ``overwrite`` the files of an
    earlier run are replaced one by one, each at once, and what else lies there stays.

    Raises:
        InputError: See `check_target`; or the place cannot be written.
    """
    check_target(out, overwrite=overwrite)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=_staging_place(out)))
    except OSError as exc:
        raise InputError(f"{out}: cannot be written: {exc.strerror}; choose another --out") from exc
    try:
        yield folder
        _publish(folder, out)
    except OSError as exc:
        todo = _TAKES_NO_MORE.get(exc.errno or 0)
        if todo is None:
            raise
        raise InputError(f"{out}: cannot be written: {exc.strerror}; {todo}") from exc
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _staging_place(out: Path) -> Path:
    """Where files can wait: on the same file system, so that moving them is one step."""
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        return out.parent
    beside = out.resolve().parent
    same = beside.stat().st_dev == out.stat().st_dev and os.access(beside, os.W_OK)
    return beside if same else out


def _publish(folder: Path, out: Path) -> None:
    if not out.exists():
        folder.chmod(0o755)  # mkdtemp's folders are private
        folder.rename(out)
        return
    for name in _FILES:
        if (folder / name).exists():
            os.replace(folder / name, out / name)
        else:
            # Left by an earlier run in another format, it would not belong to this recipe.
            (out / name).unlink(missing_ok=True)


# A folder that is written as a whole: everything in it is of one run, or it is as it was.


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
