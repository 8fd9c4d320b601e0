"""The folder that a run leaves: which files it holds, and how they get there whole."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact import formats
from eightbit.benchmarks.artifact.formats import Precision
from eightbit.models.errors import InputError
from eightbit.quantize.atomic_files import replace_folder, staging, writing

ONNX: Final = formats.ONNX.file()
FLOAT_ONNX: Final = formats.ONNX.file(Precision.FP32)
RECIPE: Final = "recipe.json"
TABLES: Final = "recipe.safetensors"
REPORT_JSON: Final = "report.json"
REPORT_MARKDOWN: Final = "report.md"
REPORT_HTML: Final = "report.html"

MODELS: Final = (*(format.file() for format in formats.FORMATS.values()), FLOAT_ONNX)

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

    It lies beside ``out``, or inside where that is another file system. A failed or killed run
    leaves ``out`` as it was. With ``overwrite`` files are replaced one by one; others stay.

    Raises:
        InputError: See `check_target`; or the place cannot be written.
    """
    check_target(out, overwrite=overwrite)
    with ExitStack() as stack:
        with writing(out):
            folder = stack.enter_context(staging(_staging_place(out))) / "new"
            folder.mkdir()
        try:
            yield folder
            _publish(folder, out)
        except OSError as exc:
            todo = _TAKES_NO_MORE.get(exc.errno or 0)
            if todo is None:
                raise
            raise InputError(f"{out}: cannot be written: {exc.strerror}; {todo}") from exc


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
        replace_folder(folder, out)
        return
    for name in _FILES:
        if (folder / name).exists():
            os.replace(folder / name, out / name)
        else:
            # Left by an earlier run in another format, it would not belong to this recipe.
            (out / name).unlink(missing_ok=True)
