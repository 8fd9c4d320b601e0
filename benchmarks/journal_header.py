"""What the answers of an evaluation depend on: only where all of it is equal they count again."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from pydantic import PositiveInt

from eightbit.benchmarks.artifact.artifact import Sha256
from eightbit.benchmarks.evaluation.prediction import CHUNK_IMAGES
from eightbit.benchmarks.processes.channel import Message
from eightbit.benchmarks.runtimes.environment import Environment, read_environment
from eightbit.models.images.sources import ImageItem
from eightbit.models.plain_text import printable
from eightbit.models.spec import Preprocessing

JOURNAL_FORMAT_VERSION: Final = 1

# Of the libraries beneath the runtimes: they choose kernels, and how work is shared out.
_PREFIXES: Final = ("ATEN_", "DNNL_", "MKL_", "OMP_", "ONEDNN_")


class JournalHeader(Message):
    """All that the answers depend on.

    Attributes:
        format_version: Version of the file.
        models: Digest of each model's file, by name, in the order in which they run.
        preprocessing: How an image becomes their input.
        images: How many there are.
        listing_sha256: Digest of their names.
        chunk_images: How many run together.
        threads: Of each process that runs them.
        variables: Of the process's environment, that choose kernels.
        environment: The machine and the versions.
    """

    format_version: Literal[1] = JOURNAL_FORMAT_VERSION
    models: tuple[tuple[str, Sha256], ...]
    preprocessing: Preprocessing
    images: PositiveInt
    listing_sha256: Sha256
    chunk_images: PositiveInt = CHUNK_IMAGES
    threads: PositiveInt
    variables: tuple[tuple[str, str], ...]
    environment: Environment

    def difference(self, expected: "JournalHeader") -> str | None:
        """What is different in the evaluation that is expected, in words; None if nothing is."""
        for field, what in _FIELDS.items():
            if getattr(self, field) != getattr(expected, field):
                return f"it is of {what}"
        return None


_FIELDS: Final = {
    "models": "other models",
    "preprocessing": "another preprocessing",
    "images": "other images",
    "listing_sha256": "other images",
    "chunk_images": "another batch size",
    "threads": "another number of threads",
    "variables": "other variables of the environment",
    "environment": "another machine or other versions",
}


def header_of(
    models: Mapping[str, Path],
    preprocessing: Preprocessing,
    items: Sequence[ImageItem],
    *,
    threads: int,
) -> JournalHeader:
    """The header of an evaluation that begins here and now.

    Args:
        models: The model files, by name.
        preprocessing: How an image becomes their input.
        items: All images.
        threads: Of each process.
    """
    listing = hashlib.sha256()
    for item in items:
        listing.update(item.name.encode("utf-8", "backslashreplace") + b"\0")
    return JournalHeader(
        models=tuple((name, _digest_of_file(path)) for name, path in models.items()),
        preprocessing=preprocessing,
        images=len(items),
        listing_sha256=listing.hexdigest(),
        threads=threads,
        variables=tuple(
            (printable(name), printable(value))
            for name, value in sorted(os.environ.items())
            if name.startswith(_PREFIXES)
        ),
        environment=read_environment(),
    )


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
