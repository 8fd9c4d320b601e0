"""Reports on disk: finds, names, renders and replaces them."""

import os
import stat
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path, PurePath
from typing import Final

from eightbit.benchmarks.report.document import Report
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize import bundle
from eightbit.quantize.atomic_files import replace_files, staging_place
from eightbit.quantize.disk import writing
from eightbit.quantize.measure.report import write_report
from eightbit.quantize.report_file import read_checked_report, report_file
from eightbit.quantize.staging import NEW, staging

RENDERED: Final = (bundle.REPORT_MARKDOWN, bundle.REPORT_HTML)
REPORTS: Final = (bundle.REPORT_JSON, *RENDERED)

_ONLY_ITSELF = 2  # the root and the name of a file or folder in it


def read_reports(places: Sequence[Path]) -> dict[str, Report]:
    """Read reports, in the order given, under short unique names.

    Raises:
        InputError: A report is missing, damaged, of a newer version, or given twice.
    """
    files = [report_file(place) for place in places]
    resolved = [path.resolve() for path in files]
    for index, path in enumerate(resolved):
        if path in resolved[:index]:
            raise InputError(
                f"{printable(str(places[index]))}: expected each report once, found it twice; "
                "leave one out"
            )
    return dict(zip(short_names(resolved), map(read_checked_report, files), strict=True))


def short_names(files: Sequence[PurePath]) -> tuple[str, ...]:
    """The shortest unique ends of absolute paths, without what all of them end in.

    A bundle is named by its folder: `/ci/main/out/report.json` and `/ci/branch/out/report.json`
    become `main` and `branch`.
    """
    parts = [
        path.parent.parts
        if path.name == bundle.REPORT_JSON and len(path.parent.parts) > 1
        else path.parts
        for path in files
    ]
    while (
        len({names[-1] for names in parts}) == 1 < len(parts)
        and all(len(names) > _ONLY_ITSELF for names in parts)
        and len({names[:-1] for names in parts}) == len(parts)
    ):
        parts = [names[:-1] for names in parts]
    return tuple(_shortest_end(own, parts) for own in parts)


def _shortest_end(own: tuple[str, ...], everyone: Sequence[tuple[str, ...]]) -> str:
    length = 1
    while sum(names[-length:] == own[-length:] for names in everyone) > 1 and length < len(own):
        length += 1
    return printable(str(PurePath(*own[-length:])))


def replace_report(
    report: Report, folder: Path, *, forms: Collection[str] = REPORTS
) -> tuple[Path, ...]:
    """Replace those files of a bundle's report named in `forms`, as one.

    Raises:
        InputError: The folder cannot be written.
    """
    with writing_report(folder), staging(staging_place(folder)) as place:
        new = place / NEW
        new.mkdir()
        names = [path.name for path in write_report(report, new)]
        for name in names:
            if name not in forms:
                (new / name).unlink()
        replace_files(new, folder)
    return tuple(folder / name for name in names if name in forms)


def writing_report(folder: Path) -> AbstractContextManager[None]:
    """`writing`, with the message for a bundle's report."""
    todo = "make the folder writable, or copy the bundle elsewhere"
    return writing(folder, "the report cannot be written", todo)


def check_file_target(out: Path, *, overwrite: bool, inputs: Sequence[Path] = ()) -> None:
    """Refuse early a file that could not be written in the end, or would replace one of ``inputs``.

    Raises:
        InputError: It exists without ``overwrite``, is no file, has no folder, or is an input.
    """
    where = printable(str(out))
    try:
        is_folder, is_there = stat.S_ISDIR(out.stat().st_mode), True
    except FileNotFoundError:
        is_folder, is_there = False, os.path.lexists(out)
    except OSError as exc:
        raise InputError(
            f"{where}: cannot be written: {exc.strerror}; choose another --out"
        ) from exc
    if is_folder:
        raise InputError(f"{where}: expected the name of a file, found a folder; choose another")
    if is_there and not overwrite:
        raise InputError(
            f"{where}: expected a new file, found one; choose another --out or give --overwrite"
        )
    if not out.parent.is_dir():
        raise InputError(f"{where}: expected a folder to write in, found none; make it first")
    if any(_same_file(out, report_file(place)) for place in inputs):
        raise InputError(
            f"{where}: expected another file than the reports to read, found one of them; choose "
            "another --out"
        )


def _same_file(out: Path, report: Path) -> bool:
    return os.path.exists(out) and os.path.samefile(out, report)
