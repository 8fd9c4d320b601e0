"""A model file on disk: which runtime it is for, and what it says about itself.

Artefacts carry one JSON document: ONNX as the metadata property `eightbit`, TorchScript as the
extra file `eightbit.json`. Files come from strangers, so that everything read here is bounded
and checked. Nothing here needs torch: a TorchScript archive is a zip.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from eightbit.benchmarks.artifact.model_input import PREPROCESSED, ModelInput
from eightbit.benchmarks.artifact.refusals import in_another_file
from eightbit.benchmarks.artifact.versioned_json import SortedMapping, parse_versioned
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable
from eightbit.models.spec import FrozenModel, ModelSpec

METADATA_FORMAT_VERSION: Final = 1
ONNX_METADATA_KEY: Final = "eightbit"
TORCHSCRIPT_EXTRA_FILE: Final = "eightbit.json"
METADATA_MAX_BYTES: Final = 16 * 2**20
ONNX_MAX_BYTES: Final = 2**31 - 1  # protobuf's own limit for one message

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Runtime(StrEnum):
    """What executes an artefact."""

    ONNXRUNTIME = "onnxruntime"
    TORCHSCRIPT = "torchscript"
    OPENVINO = "openvino"


class Precision(StrEnum):
    """In which numbers an artefact computes."""

    FP32 = "fp32"
    INT8 = "int8"


class ArtifactMetadata(FrozenModel):
    """What an artefact says about itself.

    Attributes:
        format_version: Version of this document.
        precision: In which numbers the artefact computes.
        spec: Architecture, classes and preprocessing.
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
    """A model file.

    Attributes:
        path: The file.
        runtime: What executes it, by its suffix.
        precision: As its metadata says; None where it carries none.
        metadata: What it says about itself, or None for a model that eightbit did not write.
    """

    path: Path
    runtime: Runtime
    precision: Precision | None
    metadata: ArtifactMetadata | None


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_artifact(path: Path) -> Artifact:
    """Reads what a model file is, without loading the model.

    Raises:
        InputError: No such file, a suffix other than .onnx and .pt, or a file that is not what
            its suffix says.
    """
    metadata = read_metadata(path)
    return Artifact(
        path=path,
        runtime=runtime_of(path),
        precision=metadata.precision if metadata else None,
        metadata=metadata,
    )


def runtime_of(path: Path) -> Runtime:
    """The runtime that a file's suffix asks for.

    Raises:
        InputError: The suffix is neither .onnx nor .pt.
    """
    runtime = _RUNTIME_BY_SUFFIX.get(path.suffix.lower())
    if runtime is None:
        raise InputError(
            f"{printable(str(path))}: expected a model file that ends in .onnx or .pt, "
            f"found {printable(path.suffix) or 'no suffix'}"
        )
    return runtime


def read_metadata(path: Path) -> ArtifactMetadata | None:
    """Reads what an artefact says about itself; does not import torch.

    Returns:
        The metadata, or None for a valid file that carries none.

    Raises:
        InputError: No such file, a file that is not what its suffix says, or metadata that is
            invalid, too big or of a newer version.
    """
    read = _METADATA_READERS[runtime_of(path)]
    where = printable(str(path))
    if not path.is_file():
        raise InputError(f"{where}: expected a model file, found none; check the path")
    try:
        content = read(path, where)
    except OSError as exc:
        raise InputError(f"{where}: cannot be read: {one_line(str(exc))}") from exc
    return None if content is None else parse_metadata(content, where)


def parse_metadata(content: bytes, where: str) -> ArtifactMetadata:
    """Checks what an artefact says about itself.

    Args:
        content: The JSON document.
        where: The artefact, at the start of every error message.

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


def _read_onnx(path: Path, where: str) -> bytes | None:
    # Imported here so that a process for TorchScript does not carry onnx.
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if path.stat().st_size > ONNX_MAX_BYTES:
        raise InputError(f"{where}: expected an ONNX model below 2 GiB, found a bigger file")
    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
    except DecodeError as exc:
        raise InputError(
            f"{where}: expected an ONNX model, found a damaged file or something else; copy or "
            "export it again"
        ) from exc
    # Protobuf takes the empty file and some garbage for a message without known fields.
    if not model.ir_version or not model.graph.node:
        raise InputError(
            f"{where}: expected an ONNX model with a graph, found none; export it again"
        )
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise InputError(f"{where}: {in_another_file(tensor.name)}")
    found = [entry.value for entry in model.metadata_props if entry.key == ONNX_METADATA_KEY]
    if len(found) > 1:
        raise InputError(f"{where}: expected one eightbit metadata entry, found {len(found)}")
    return found[0].encode() if found else None


def _read_torchscript(path: Path, where: str) -> bytes | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            roots = {name.partition("/")[0] for name in names}
            root = roots.pop() if len(roots) == 1 else ""
            if f"{root}/constants.pkl" not in names:  # torch.save writes a zip without it
                raise InputError(
                    f"{where}: expected a TorchScript archive, found another zip; "
                    "a checkpoint is not a model that can run: quantize it first"
                )
            member = f"{root}/extra/{TORCHSCRIPT_EXTRA_FILE}"
            if member not in names:
                return None
            with archive.open(member) as file:
                return file.read(METADATA_MAX_BYTES + 1)
    except _ZIP_DAMAGE as exc:
        raise InputError(
            f"{where}: expected a TorchScript archive, found a damaged file or something else "
            f"({one_line(str(exc)).rstrip('.')}); copy it again, or quantize again"
        ) from exc


# RuntimeError: encrypted; NotImplementedError: unknown compression; UnicodeDecodeError: the name of
# a member; the rest: corrupt.
_ZIP_DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    RuntimeError,
    NotImplementedError,
    UnicodeDecodeError,
)

_RUNTIME_BY_SUFFIX: Final = {".onnx": Runtime.ONNXRUNTIME, ".pt": Runtime.TORCHSCRIPT}

_METADATA_READERS: Final[dict[Runtime, Callable[[Path, str], bytes | None]]] = {
    Runtime.ONNXRUNTIME: _read_onnx,
    Runtime.TORCHSCRIPT: _read_torchscript,
}
