"""The files of a bundle for other machines, and the archive of them: the same bytes every time."""

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.artifact import read_metadata
from eightbit.benchmarks.report.document import Report
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.quantize import bundle
from eightbit.quantize.deploy.readme import bundle_readme
from eightbit.quantize.deploy.self_test import make_self_test

# What classify.py imports.
_PACKAGES: Final = ("numpy", "onnxruntime", "pillow")

# Makes of the archive a program, `python model.zip`.
_MAIN: Final = """import sys

from classify import run

sys.exit(run())
"""

_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say
_UNIX: Final = 3
_MODE: Final = 0o100644 << 16


def bundle_files(folder: Path, report: Report) -> dict[str, bytes]:
    """The content of the archive by name, in its order.

    Args:
        folder: The bundle that `eightbit quantize` wrote.
        report: Of its models.

    Raises:
        InputError: See `make_self_test`; or the INT8 ONNX model says nothing about itself.
    """
    self_test = make_self_test(folder)
    model = (folder / bundle.ONNX).read_bytes()
    metadata = read_metadata(folder / bundle.ONNX)
    if metadata is None:
        where = printable(str(folder / bundle.ONNX))
        raise InputError(
            f"{where}: expected an artefact with its preprocessing inside, found a model without "
            "eightbit metadata; quantize again"
        )
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
    """What classify.py needs, in the versions installed here: `numpy==2.4.6` and so on."""
    return [f"{name}=={version(name)}" for name in _PACKAGES]


def archive_of(members: Mapping[str, bytes]) -> bytes:
    """A zip archive: nothing compressed, no times, no owners.

    Args:
        members: Content by name, in the order of the archive.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system = _UNIX
            entry.external_attr = _MODE
            archive.writestr(entry, content)
    return buffer.getvalue()


def _classify(pins: list[str]) -> str:
    """The program, whose inline metadata (PEP 723) asks for the very versions."""
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
    """One line per class: what would break or hide a line is escaped."""
    return "".join(f"{printable(label)}\n" for label in labels)
