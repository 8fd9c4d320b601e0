"""The bundle for other machines: packed, tried, measured, then delivered."""

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from eightbit.benchmarks.latency.cold_start import LAUNCHES, measure_cold_start
from eightbit.benchmarks.report.deployment import EdgeSection
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import decimal_bytes, times
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable
from eightbit.quantize import bundle
from eightbit.quantize.commands.amend import Amending, environment_beside
from eightbit.quantize.commands.benchmark import recipe_of
from eightbit.quantize.commands.reports import check_page
from eightbit.quantize.edge_archive import archive_of, bundle_files, pinned_packages
from eightbit.quantize.photos import made_up_photos
from eightbit.quantize.stages import Stages
from eightbit.quantize.stale import onnx_digest

_SUFFIX: Final = ".zip"
_FAILED: Final = 1  # what the self-test ends with


class SelfTestFailedError(Exception):
    """The packed model does not compute what it computed when it was packed."""


def write_bundle(
    folder: Path,
    out: Path,
    stages: Stages,
    *,
    overwrite: bool = False,
    command: str = "",
) -> str:
    """Pack a bundle's INT8 ONNX model with a program that runs it, for machines without torch.

    The archive is delivered only if its own self-test passes in a fresh process. How fast it
    starts goes into the bundle's report. The same bundle, with the same report and
    the same installation, gives the same archive.

    Args:
        folder: The bundle.
        out: The archive.
        stages: Told of the progress.
        overwrite: Whether a file at ``out`` may be replaced.
        command: The command line, for the report.

    Returns:
        What was made, for a person.

    Raises:
        InputError: ``out`` does not end in .zip, is there already or cannot be written, or the
            folder is no bundle, has no INT8 ONNX model, or cannot be written.
        SelfTestFailedError: The packed model gives other logits here.
    """
    if out.suffix != _SUFFIX:
        raise InputError(
            f"{printable(str(out))}: expected the name of an archive that ends in {_SUFFIX}; "
            "choose another --out"
        )
    check_page(out, overwrite=overwrite)
    recipe = recipe_of(folder)
    amending = Amending(folder=folder, recipe=recipe, stages=stages, command=command)
    before = amending.begin()
    with stages.stage("pack"):
        archive = archive_of(bundle_files(folder, before))
    with ExitStack() as kept:
        with _writing(out):
            staging = tempfile.TemporaryDirectory(prefix=".bundle.", dir=out.parent)
            packed = Path(kept.enter_context(staging), "model.zip")
            packed.write_bytes(archive)
            photo = packed.with_name("photo.jpg")
            photo.write_bytes(made_up_photos().files[0])
        with stages.stage("self-test"):
            verdict = self_test(packed)
        with stages.stage("start-up time", total=LAUNCHES + 1) as watcher:
            start = measure_cold_start(
                packed, folder / bundle.ONNX, photo, launches=LAUNCHES, advance=watcher.advance
            )
        with _writing(out):
            os.replace(packed, out)
    section = EdgeSection(
        model_sha256=onnx_digest(folder),
        bundle_sha256=hashlib.sha256(archive).hexdigest(),
        bundle_bytes=len(archive),
        cold_start=start,
        environment=environment_beside(before),
        command=command,
    )
    amending.finish(lambda report: _amended(report, section))
    return _summary(out, section, verdict)


def self_test(packed: Path) -> str:
    """Run the self-test of an archive in a fresh process; returns its verdict.

    Raises:
        InputError: It cannot be run.
        SelfTestFailedError: It failed.
    """
    done = subprocess.run(
        [sys.executable, str(packed), "--self-test"],
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
    )
    verdict = (done.stdout.splitlines() or [""])[-1]
    if done.returncode == _FAILED and verdict.startswith("failed"):
        raise SelfTestFailedError(f"self-test of the packed model: {one_line(verdict)}")
    if done.returncode:
        last = (done.stderr.splitlines() or ["no message"])[-1]
        raise InputError(f"the packed model cannot be run: {one_line(last)}")
    return one_line(verdict)


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """What fails in it fails for want of a place to write."""
    try:
        yield
    except OSError as exc:
        raise InputError(
            f"{printable(str(out))}: cannot be written: {exc.strerror}; choose another --out"
        ) from exc


def _amended(before: Report, section: EdgeSection) -> Report:
    """The report with the new archive; what other machines answered belongs to the same model."""
    elsewhere = before.edge.elsewhere if before.edge else ()
    edge = section.model_copy(update={"elsewhere": elsewhere})
    return before.model_copy(update={"edge": edge})


def _summary(out: Path, section: EdgeSection, verdict: str) -> str:
    start, size = section.cold_start, section.bundle_bytes
    assert start is not None
    assert size is not None
    seconds, memory = f"{start.seconds:.2f} s", decimal_bytes(start.peak_rss_bytes)
    slower = times(start.ratio, start.ratio_ci95)
    return "\n".join(
        (
            f"{printable(str(out))}: {decimal_bytes(size)}, SHA-256 {section.bundle_sha256}",
            f"self-test {verdict}",
            f"a photo's class after {seconds}, {slower} the time of a bare script, in {memory}",
            "",
            "on the other machine:",
            f"  pip install {' '.join(pinned_packages())}",
            f"  python {printable(out.name)} photo.jpg",
        )
    )
