"""The folder that a run leaves: which files it holds, and how they get there whole."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact import formats
from eightbit.benchmarks.artifact.formats import Precision
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize.atomic_files import locked_folder, replace_files, staging_place
from eightbit.quantize.disk import disk_errors, writing
from eightbit.quantize.staging import NEW, staging, sweep

ONNX: Final = formats.ONNX.file()
FLOAT_ONNX: Final = formats.ONNX.file(Precision.FP32)
RECIPE: Final = "recipe.json"
TABLES: Final = "recipe.safetensors"
REPORT_JSON: Final = "report.json"
REPORT_MARKDOWN: Final = "report.md"
REPORT_HTML: Final = "report.html"

MODELS: Final = (*(format.file() for format in formats.FORMATS.values()), FLOAT_ONNX)

_FILES: Final = (*MODELS, RECIPE, TABLES, REPORT_JSON, REPORT_MARKDOWN, REPORT_HTML)


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse early what could not be written in the end.

    Raises:
        InputError: ``out`` is a file, or holds something and may not be overwritten.
    """
    where = printable(str(out))
    with writing(out):
        is_folder = out.is_dir()
        if os.path.lexists(out) and not is_folder:
            found = "a link to nothing" if out.is_symlink() and not out.exists() else "a file"
            raise InputError(f"{where}: expected a folder, found {found}; choose another --out")
        if not is_folder:
            return
        if not os.access(out, os.W_OK):
            raise InputError(
                f"{where}: expected a folder to write in, found none; choose another --out"
            )
        sweep(out)
        if any(out.iterdir()) and not overwrite:
            raise InputError(
                f"{where}: expected an empty or new folder, found files in it; choose another "
                "--out or give --overwrite"
            )


@contextmanager
def staged(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A hidden folder, whose files appear in ``out`` as one when the block ends well.

    A failed or killed run leaves ``out`` as it was. With ``overwrite`` the files of an earlier run
    are replaced or, where this one has none of that name, deleted; others stay.

    Raises:
        InputError: See `check_target`; or the place cannot be written.
    """
    check_target(out, overwrite=overwrite)
    with ExitStack() as stack:
        with writing(out):
            folder = stack.enter_context(staging(staging_place(out))) / NEW
            folder.mkdir()
        with disk_errors(out):
            yield folder
        with writing(out), locked_folder(out) if out.is_dir() else nullcontext():
            replace_files(folder, out, gone=_FILES)
