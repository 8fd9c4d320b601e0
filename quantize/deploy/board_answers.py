"""The self-test's answers from another machine, validated."""

import codecs
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import from_json

from eightbit.benchmarks.artifact.metadata import Sha256
from eightbit.benchmarks.artifact.versioned_json import parse_versioned
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.bounded_files import read_bounded
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.models.spec import FrozenModel

SELF_TEST_ANSWERS_FORMAT_VERSION: Final = 1

# Generous: a float32 has 24 characters at most, and someone may have indented the document.
_BYTES_PER_LOGIT: Final = 40
_BYTES_BESIDE: Final = 2**16

_PRINTED: Final = "expected what `python model.zip --self-test --json` printed"

# Windows PowerShell's `>` writes UTF-16.
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_FLOAT32_MAX: Final = float(np.finfo(np.float32).max)

_Logit = Annotated[float, Field(ge=-_FLOAT32_MAX, le=_FLOAT32_MAX, allow_inf_nan=False)]
_Package = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,40}$")]
_Number = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+-]{1,40}$")]


def _part_of_a_pair(machine: str) -> str:
    """Execution names are joined by "_vs_" in the report."""
    if "vs" in machine.split("_"):
        raise ValueError("expected an architecture, such as aarch64, found a pair")
    return machine


class SelfTestAnswers(FrozenModel):
    """The document printed by `python model.zip --self-test --json`.

    Attributes:
        self_test_sha256: Digest of the self-test, its `self_test.json`.
        machine: Architecture, from Python's `platform.machine()`.
        processor: Empty if unknown.
        versions: Of Python and the packages.
        pixels_sha256: Digest of each picture, decoded, resized and cropped.
        logits: One row per picture.
    """

    format_version: Literal[1] = SELF_TEST_ANSWERS_FORMAT_VERSION
    model_sha256: Sha256
    self_test_sha256: Sha256
    machine: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,31}$"),
        AfterValidator(_part_of_a_pair),
    ]
    processor: Annotated[str, StringConstraints(max_length=200)] = ""
    versions: Annotated[Mapping[_Package, _Number], Field(max_length=16)] = Field(
        default_factory=dict
    )
    pixels_sha256: tuple[Sha256, ...]
    logits: tuple[tuple[_Logit, ...], ...]

    def as_array(self) -> FloatArray:
        """Logits: float32, shape (pictures, classes)."""
        return np.array(self.logits, np.float32)


def read_self_test_answers(path: Path, *, pictures: int, classes: int) -> SelfTestAnswers:
    """Read and validate an untrusted file of answers.

    Raises:
        InputError: It is missing, too large, another document, of a newer version, or its number of
            pictures or classes differs.
    """
    where = printable(str(path))
    limit = _BYTES_BESIDE + pictures * classes * _BYTES_PER_LOGIT
    content = read_bounded(path, limit, _PRINTED.removeprefix("expected "))
    answers = parse_versioned(
        SelfTestAnswers,
        _document(content, where),
        where=where,
        newest=SELF_TEST_ANSWERS_FORMAT_VERSION,
    )
    for name, found in (("pixels_sha256", answers.pixels_sha256), ("logits", answers.logits)):
        if len(found) != pictures:
            raise InputError(
                f"{where}: {name}: expected {pictures}, one for each picture, found {len(found)}"
            )
    widths = sorted({len(row) for row in answers.logits} - {classes})
    if widths:
        raise InputError(
            f"{where}: logits: expected {classes} for each picture, as the model has, found "
            f"{widths[0]}"
        )
    return answers


def _document(content: bytes, where: str) -> str:
    """The text of a JSON object; InputError if it is none, or the self-test itself."""
    try:
        text = content.decode("utf-16" if content.startswith(_UTF16) else "utf-8-sig")
        found = from_json(text)
    except ValueError:  # of bytes that are no text as well
        start = printable(content[:60].decode("utf-8", "replace"))
        raise InputError(
            f"{where}: {_PRINTED}, found {start!r}; run it again"
            if content
            else f"{where}: {_PRINTED}, found an empty file; run it again"
        ) from None
    if not isinstance(found, dict):
        raise InputError(f"{where}: {_PRINTED}, found other JSON; run it again")
    if "images" in found and "logits" not in found:
        raise InputError(f"{where}: {_PRINTED}, found the self-test itself; run it again")
    return text
