"""The report of a bundle on disk: found, and compared with the files that it is of."""

import stat
from pathlib import Path

from eightbit.benchmarks.artifact.metadata import file_sha256
from eightbit.benchmarks.report.document import Report, read_report
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize import bundle
from eightbit.quantize.atomic_files import settle


def report_file(place: Path) -> Path:
    """The report of a bundle, or the file itself.

    Raises:
        InputError: There is none.
    """
    where = printable(str(place))
    try:
        is_folder = place.is_dir()
        path = place / bundle.REPORT_JSON if is_folder else place
        mode = path.stat().st_mode
    except OSError as exc:
        raise InputError(
            f"{where}: expected a folder that `eightbit quantize` wrote, or its "
            f"{bundle.REPORT_JSON}, found none: {exc.strerror}"
        ) from exc
    if not stat.S_ISREG(mode):
        raise InputError(f"{where}: expected a report, found something that is no file")
    return path


def read_checked_report(place: Path) -> Report:
    """The report of a bundle, or of a file, which must be of the files that lie beside it.

    A report under another name was copied there, and is compared with nothing.

    Raises:
        InputError: There is none, it is damaged, or a file beside it is another one.
    """
    settle(place if place.is_dir() else place.parent)
    path = report_file(place)
    report = read_report(path)
    if path.name == bundle.REPORT_JSON:
        _check_files(report, path.parent)
    return report


def check_beside(model: Path) -> None:
    """Refuse a bundle's model where the report beside it is of other files.

    Raises:
        InputError: It is so.
    """
    settle(model.parent)
    path = model.parent / bundle.REPORT_JSON
    if model.name not in bundle.MODELS or not path.is_file():
        return
    try:
        report = read_report(path)
    except InputError:
        return  # some other program's file of this name
    _check_files(report, model.parent)


def _check_files(report: Report, folder: Path) -> None:
    """Refuse a report where a file of a bundle is another one; one that is gone is not missed."""
    for name in (*bundle.MODELS, bundle.RECIPE, bundle.TABLES):
        path, expected = folder / name, report.sha256.get(name)
        if expected is None or not path.is_file():
            continue
        # By their size alone, many are found without reading them.
        same_size = path.stat().st_size == report.size_bytes.get(name)
        found = file_sha256(path) if same_size else None
        if found != expected:
            what = f"{found[:12]}..." if found else f"{path.stat().st_size:,} bytes"
            raise InputError(
                f"{printable(str(path))}: expected the file that the report beside it is of "
                f"(SHA-256 {expected[:12]}...), found {what}; keep the files of one run together: "
                f"quantize again, or delete {bundle.REPORT_JSON}"
            )
