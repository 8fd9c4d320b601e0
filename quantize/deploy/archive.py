"""A bundle packed for machines without torch: an archive that runs, the same bytes every time."""

import hashlib
import io
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.metadata import file_sha256
from eightbit.benchmarks.latency.cold_start import LAUNCHES, measure_cold_start
from eightbit.benchmarks.latency.sections import ColdStart
from eightbit.benchmarks.processes.leashed import run_leashed
from eightbit.benchmarks.report.deployment import EdgeSection
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import decimal_bytes, times
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable
from eightbit.models.torch_state import own_state
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.open_bundle import Bundle, metadata_of, open_bundle
from eightbit.quantize.commands.amend import Amending
from eightbit.quantize.commands.reports import check_file_target
from eightbit.quantize.deploy.readme import bundle_readme
from eightbit.quantize.deploy.self_test import make_self_test
from eightbit.quantize.disk import sync, writing
from eightbit.quantize.photos import synthetic_photos
from eightbit.quantize.stages import Stages
from eightbit.quantize.staging import staging

# What classify.py imports.
_PACKAGES: Final = ("numpy", "onnxruntime", "pillow")

# Makes the archive a program, `python model.zip`.
_MAIN: Final = """import sys

from classify import run

sys.exit(run())
"""

_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say
_UNIX: Final = 3
_MODE: Final = 0o100644 << 16
_SUFFIX: Final = ".zip"
_FAILED: Final = 1  # what the self-test ends with


def bundle_files(opened: Bundle, report: Report) -> dict[str, bytes]:
    """The archive's members in order, by name.

    Raises:
        InputError: See `make_self_test`; or the INT8 ONNX model has no metadata.
    """
    self_test = make_self_test(opened)
    path = opened.require_onnx()
    model, metadata = path.read_bytes(), metadata_of(path)
    pins = pinned_packages()
    labels = metadata.spec.labels
    readme = bundle_readme(
        report,
        metadata,
        last_bit=json.loads(self_test.document)["last_bit"],
        model_sha256=hashlib.sha256(model).hexdigest(),
        tried_with=[pin.replace("==", " ") for pin in pins],
    )
    return {
        "__main__.py": _MAIN.encode(),
        "classify.py": _classify(pins).encode(),
        "self_test.py": _asset("self_test.py").encode(),
        "requirements.txt": "".join(f"{pin}\n" for pin in pins).encode(),
        "README.md": readme.encode(),
        **({} if labels is None else {"labels.txt": _lines(labels).encode()}),
        bundle.ONNX: model,
        "self_test.json": self_test.document,
        **self_test.pictures,
    }


def pinned_packages() -> list[str]:
    """Requirements of classify.py in the installed versions, such as `numpy==2.4.6`."""
    return [f"{name}=={version(name)}" for name in _PACKAGES]


def archive_of(members: Mapping[str, bytes]) -> bytes:
    """A reproducible zip archive of `members` in order: uncompressed, without times and owners."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system = _UNIX
            entry.external_attr = _MODE
            archive.writestr(entry, content)
    return buffer.getvalue()


def _classify(pins: list[str]) -> str:
    """The program with its inline metadata (PEP 723) pinned to the installed versions."""
    source = _asset("classify.py")
    major, minor = sys.version_info[:2]
    for line, pinned in (
        ('# requires-python = ">=3.9"', f'# requires-python = ">={major}.{minor}"'),
        (
            '# dependencies = ["numpy", "onnxruntime", "pillow"]',
            f"# dependencies = {json.dumps(pins)}",
        ),
    ):
        if source.count(f"{line}\n") != 1:
            raise ValueError(f"classify.py: expected one line {line!r}")
        source = source.replace(line, pinned)
    return source


def _asset(name: str) -> str:
    return (files("eightbit.quantize.deploy") / "assets" / name).read_text(encoding="utf-8")


def _lines(labels: tuple[str, ...]) -> str:
    """One line per class, control characters escaped."""
    return "".join(f"{printable(label)}\n" for label in labels)


class SelfTestFailedError(Exception):
    """The packed model does not compute the logits it had when packed."""


@own_state()
def write_bundle(
    folder: Path, out: Path, stages: Stages, *, overwrite: bool = False, command: str = ""
) -> str:
    """Pack a bundle's INT8 ONNX model with a program that runs it, for machines without torch.

    The archive is written only if its self-test passes in a fresh process; its start-up time goes
    into the bundle's report. It is reproducible from the same bundle, report and installation.

    Returns:
        A summary for the user.

    Raises:
        InputError: ``out`` does not end in .zip, exists without ``overwrite`` or cannot be written,
            or the folder is no bundle, has no INT8 ONNX model, or cannot be written.
        SelfTestFailedError: The packed model gives other logits here.
    """
    if out.suffix != _SUFFIX:
        raise InputError(
            f"{printable(str(out))}: expected the name of an archive that ends in {_SUFFIX}; "
            "choose another --out"
        )
    check_file_target(out, overwrite=overwrite)
    opened = open_bundle(folder)
    amending = Amending(bundle=opened, stages=stages, command=command)
    before = amending.begin()
    with stages.stage("pack"):
        archive = archive_of(bundle_files(opened, before))
    model = opened.require_onnx()
    verdict, start = _publish(archive, out, model, stages)
    section = EdgeSection(
        model_sha256=file_sha256(model),
        bundle_sha256=hashlib.sha256(archive).hexdigest(),
        bundle_bytes=len(archive),
        cold_start=start,
        environment=read_environment(),
        command=command,
    )
    amending.finish(lambda report: report.with_archive(section))
    return _summary(out, archive, start, verdict)


def _publish(archive: bytes, out: Path, model: Path, stages: Stages) -> tuple[str, ColdStart]:
    """Move an archive into place if its self-test passes; returns the verdict and start-up time."""
    with ExitStack() as stack:
        with writing(out):
            packed = stack.enter_context(staging(out.parent)) / "model.zip"
            packed.write_bytes(archive)
            sync(packed)
            photo = packed.with_name("photo.jpg")
            photo.write_bytes(synthetic_photos().files[0])
        with stages.stage("self-test"):
            verdict = self_test(packed)
        with stages.stage("start-up time", total=LAUNCHES + 1) as watcher:
            start = measure_cold_start(
                packed, model, photo, launches=LAUNCHES, advance=watcher.advance
            )
        with writing(out):
            os.replace(packed, out)
    return verdict, start


def self_test(packed: Path) -> str:
    """Run an archive's self-test in a fresh process; returns its verdict.

    Raises:
        InputError: It cannot be run.
        SelfTestFailedError: It failed.
    """
    done = run_leashed([sys.executable, str(packed), "--self-test"])
    out, err = (text.decode(errors="backslashreplace") for text in (done.stdout, done.stderr))
    verdict = (out.splitlines() or [""])[-1]
    if done.returncode == _FAILED and verdict.startswith("failed"):
        raise SelfTestFailedError(f"self-test of the packed model: {one_line(verdict)}")
    if done.returncode:
        last = (err.splitlines() or ["no message"])[-1]
        raise InputError(f"the packed model cannot be run: {one_line(last)}")
    return one_line(verdict)


def _summary(out: Path, archive: bytes, start: ColdStart, verdict: str) -> str:
    size, digest = decimal_bytes(len(archive)), hashlib.sha256(archive).hexdigest()
    seconds, memory = f"{start.seconds:.2f} s", decimal_bytes(start.peak_rss_bytes)
    slower = times(start.ratio, start.ratio_ci95)
    return "\n".join(
        (
            f"{printable(str(out))}: {size}, SHA-256 {digest}",
            f"self-test {verdict}",
            f"a photo's class after {seconds}, {slower} the time of a bare script, in {memory}",
            "",
            "on the other machine:",
            f"  pip install {' '.join(pinned_packages())}",
            f"  python {printable(out.name)} photo.jpg",
        )
    )
