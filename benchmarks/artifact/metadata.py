"""What an artefact says of itself.

Artefacts carry one JSON document: ONNX as the metadata property `eightbit`, TorchScript as the
extra file `eightbit.json`. Files come from strangers, so that everything read here is bounded
and checked.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from eightbit.benchmarks.artifact.formats import METADATA_MAX_BYTES, Format, Precision, format_of
from eightbit.benchmarks.artifact.model_input import PREPROCESSED, ModelInput
from eightbit.benchmarks.artifact.versioned_json import SortedMapping, parse_versioned
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable
from eightbit.models.spec import FrozenModel, ModelSpec

METADATA_FORMAT_VERSION: Final = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ArtifactMetadata(FrozenModel):
    """What an artefact says about itself.

    Attributes:
        input: What the model takes; artefacts that do not say it take preprocessed images.
        recipe_sha256: Digest of the recipe that determined the integers; None for a float model.
        engine: torch's quantized engine that a TorchScript artefact needs, such as "onednn".
        versions: Of the packages that built the artefact, by distribution name.
    """

    format_version: Literal[1] = METADATA_FORMAT_VERSION
    precision: Precision
    spec: ModelSpec
    input: ModelInput = PREPROCESSED
    recipe_sha256: Sha256 | None = None
    engine: str | None = None
    versions: SortedMapping[str] = Field(default_factory=dict)

    def to_json(self) -> str:
        """One line of ASCII JSON, keys sorted: equal metadata gives equal bytes."""
        content = self.model_dump(mode="json")
        return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A model file, its format by its suffix; precision and metadata are None where it has none."""

    path: Path
    format: Format
    precision: Precision | None
    metadata: ArtifactMetadata | None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_artifact(path: Path) -> Artifact:
    """Reads what a model file is, without loading the model.

    Raises:
        InputError: No such file, a suffix of no format, or a file that is not what its suffix
            says.
    """
    metadata = read_metadata(path)
    return Artifact(
        path=path,
        format=format_of(path),
        precision=metadata.precision if metadata else None,
        metadata=metadata,
    )


def read_metadata(path: Path) -> ArtifactMetadata | None:
    """Reads an artefact's metadata without importing torch; None for a valid file without any.

    Raises:
        InputError: No such file, a file that is not what its suffix says, or metadata that is
            invalid, too big or of a newer version.
    """
    read = format_of(path).read_document
    where = printable(str(path))
    try:
        content = read(path, where)
    except OSError as exc:
        raise InputError(f"{where}: cannot be read: {one_line(str(exc))}") from exc
    return None if content is None else parse_metadata(content, where)


def parse_metadata(content: bytes, where: str) -> ArtifactMetadata:
    """Checks the JSON metadata of an artefact; `where` begins every error message.

    Raises:
        InputError: It is invalid, too big or of a newer version.
    """
    if len(content) > METADATA_MAX_BYTES:
        raise InputError(
            f"{where}: expected at most {METADATA_MAX_BYTES} bytes of eightbit metadata, "
            "found more; do not trust this file"
        )
    return parse_versioned(
        ArtifactMetadata,
        content,
        where=f"{where}: eightbit metadata",
        newest=METADATA_FORMAT_VERSION,
    )


def check_outputs(found: int, metadata: ArtifactMetadata | None, where: str) -> None:
    """Checks how many outputs an ONNX graph has.

    Raises:
        InputError: None; or several, in a file that eightbit is said to have written.
    """
    if metadata is not None and found != 1:
        raise InputError(
            f"{where}: expected a graph with one output, found {found}; do not trust this file"
        )
    if not found:
        raise InputError(f"{where}: expected a graph with an output, found none; export it again")
