"""The formats of artefacts, one row each: whatever other rooms have to know of them.

A further format is one more row of `FORMATS`, which names its runner, and its writer in
`eightbit.quantize.artifacts.write.WRITERS`. Nothing here needs torch or ONNX Runtime: runners are
named and imported where they are used, and a TorchScript archive is a zip.
"""

import importlib.util
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Final

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from eightbit.benchmarks.artifact.litert_file import read_litert_document
from eightbit.benchmarks.artifact.onnx_file import read_onnx
from eightbit.benchmarks.artifact.other_files import described, described_zip
from eightbit.models.bounded_files import open_regular
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable

ONNX_METADATA_KEY: Final = "eightbit"
TORCHSCRIPT_EXTRA_FILE: Final = "eightbit.json"
PROGRAM_EXTRA_FILE: Final = "eightbit.json"
METADATA_MAX_BYTES: Final = 16 * 2**20


class Precision(StrEnum):
    """In which numbers an artefact computes."""

    FP32 = "fp32"
    INT8 = "int8"


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """What executes artefacts.

    Attributes:
        name: In a report.
        word: With which the names of its executions begin: letters and digits.
        runner: Its `FileRunner`, as "module:class", which is made of a path, a number of threads
            and, by keyword, the options.
        options: Those of an `Execution` that the runner knows.
        uses_onednn: Whether it computes in oneDNN, so that an instruction set can be its limit.
        package: That brings it, where eightbit alone does not.
        not_installed: What to say where that is missing.
        distribution: What is installed for that package, where its version is told.
    """

    name: str
    word: str
    runner: str
    options: tuple[str, ...] = ()
    uses_onednn: bool = False
    package: str = ""
    not_installed: str = ""
    distribution: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def is_installed(self) -> bool:
        """Whether it can be imported; does not do so."""
        return not self.package or importlib.util.find_spec(self.package) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """A format in which a network can be delivered.

    Attributes:
        key: In a report and on the command line: letters and digits.
        name: For people.
        suffix: Of its files.
        runtimes: What executes it, first the one that it is written for. Each executes one format.
        others: What takes it without being measured or promised: run where somebody asks for it.
        read_document: Reads what a file says of itself, as JSON, or None where it says nothing;
            takes the path and what to call it in an error message, and raises InputError for what
            is no such file.
        by_default: Whether it is written where nobody says what to write.
        note: What to tell whoever asks for it.
        channels_last: Whether its images are NHWC, whatever the input's layout is elsewhere.
    """

    key: str
    name: str
    suffix: str
    runtimes: tuple[Runtime, ...]
    read_document: Callable[[Path, str], bytes | None]
    by_default: bool = True
    note: str = ""
    channels_last: bool = False
    others: tuple[Runtime, ...] = ()

    @property
    def runtime(self) -> Runtime:
        """What it is written for."""
        return self.runtimes[0]

    def ending(self, precision: Precision = Precision.INT8) -> str:
        """How the names of its files end, such as ".int8.onnx"."""
        return f".{precision}{self.suffix}"

    def file(self, precision: Precision = Precision.INT8) -> str:
        """Name of its file in a bundle."""
        return f"model{self.ending(precision)}"


def _read_onnx(path: Path, where: str) -> bytes | None:
    model = read_onnx(path)
    found = [entry.value for entry in model.metadata_props if entry.key == ONNX_METADATA_KEY]
    if len(found) > 1:
        raise InputError(f"{where}: expected one eightbit metadata entry, found {len(found)}")
    return found[0].encode() if found else None


def _read_torchscript(path: Path, where: str) -> bytes | None:
    # torch.save writes a zip without it.
    return _read_archive(
        path, where, "a TorchScript archive", "constants.pkl", TORCHSCRIPT_EXTRA_FILE
    )


def _read_program(path: Path, where: str) -> bytes | None:
    return _read_archive(
        path, where, "an archive of torch.export", "archive_format", PROGRAM_EXTRA_FILE
    )


def _read_litert(path: Path, where: str) -> bytes | None:
    return read_litert_document(path, where, METADATA_MAX_BYTES)


def _read_archive(path: Path, where: str, what: str, mark: str, extra: str) -> bytes | None:
    """The extra file of a zip of torch's, which has a member whose name is a mark."""
    with open_regular(path, what) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _document(archive, where, what, mark, extra)
        except _ZIP_DAMAGE as exc:
            found = described(file) or "a damaged file or something else"
            raise InputError(
                f"{where}: expected {what}, found {found} "
                f"({one_line(str(exc)).rstrip('.')}); copy it again, or quantize again"
            ) from exc


def _document(
    archive: zipfile.ZipFile, where: str, what: str, mark: str, extra: str
) -> bytes | None:
    names = archive.namelist()
    roots = {name.partition("/")[0] for name in names}
    root = roots.pop() if len(roots) == 1 else ""
    if f"{root}/{mark}" not in names:
        raise InputError(
            f"{where}: expected {what}, found {described_zip(names)}; "
            "a checkpoint is not a model that can run: quantize it first"
        )
    member = f"{root}/extra/{extra}"
    if member not in names:
        return None
    with archive.open(member) as file:
        return file.read(METADATA_MAX_BYTES + 1)


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


def _other(name: str, runner: str, package: str, distribution: str = "") -> Runtime:
    """A runtime that takes ONNX files, with its runner in `runtimes.others`."""
    distribution = distribution or package
    return Runtime(
        name=name,
        word=name,
        runner=f"eightbit.benchmarks.runtimes.others.{runner}",
        package=package,
        not_installed=f"{distribution} is not installed: pip install 'eightbit[runtimes]'",
        distribution=distribution,
    )


# In the order of a report.
_ROWS: Final = (
    Format(
        key="torchscript",
        name="TorchScript",
        suffix=".pt",
        runtimes=(
            Runtime(
                name="torchscript",
                word="torchscript",
                runner="eightbit.benchmarks.runtimes.runners.torchscript_runner:TorchScriptRunner",
                options=("engine", "for_inference"),
                uses_onednn=True,
            ),
        ),
        read_document=_read_torchscript,
    ),
    Format(
        key="onnx",
        name="ONNX",
        suffix=".onnx",
        runtimes=(
            Runtime(
                name="onnxruntime",
                word="onnx",
                runner="eightbit.benchmarks.runtimes.runners.onnx_runner:OnnxRunner",
                options=("optimize",),
            ),
            Runtime(
                name="openvino",
                word="openvino",
                runner="eightbit.benchmarks.runtimes.runners.openvino_runner:OpenVinoRunner",
                options=("optimize",),
                package="openvino",
                not_installed="OpenVINO is not installed: pip install 'eightbit[openvino]'",
            ),
        ),
        read_document=_read_onnx,
        others=(
            _other("opencv", "opencv:OpenCvRunner", "cv2", "opencv-python-headless"),
            _other("onnxreference", "reference:ReferenceRunner", "onnx"),
            _other("tract", "tract:TractRunner", "tract"),
            _other("tvm", "tvm:TvmRunner", "tvm", "apache-tvm"),
            _other("iree", "iree:IreeRunner", "iree", "iree-base-compiler"),
        ),
    ),
    Format(
        key="pt2",
        name="torch.export",
        suffix=".pt2",
        runtimes=(
            Runtime(
                name="torch_export",
                word="pt2",
                runner="eightbit.benchmarks.runtimes.runners.program_runner:ProgramRunner",
                options=("optimize",),
            ),
        ),
        read_document=_read_program,
        by_default=False,
        note="torch by itself computes the integers of model.int8.pt2 with float kernels, eightbit "
        "its convolutions with INT8 ones: it is exact and lasts; for speed take ONNX",
    ),
    Format(
        key="litert",
        name="LiteRT",
        suffix=".tflite",
        runtimes=(
            Runtime(
                name="litert",
                word="litert",
                runner="eightbit.benchmarks.runtimes.runners.litert_runner:LiteRtRunner",
                options=("optimize",),
                package="ai_edge_litert",
                not_installed="LiteRT is not installed: pip install 'eightbit[litert]'",
            ),
        ),
        read_document=_read_litert,
        by_default=False,
        channels_last=True,
    ),
)
FORMATS: Final = {format.key: format for format in _ROWS}

TORCHSCRIPT: Final = FORMATS["torchscript"]
ONNX: Final = FORMATS["onnx"]
PROGRAM: Final = FORMATS["pt2"]
LITERT: Final = FORMATS["litert"]
OPENVINO: Final = ONNX.runtimes[1]


def default_keys() -> tuple[str, ...]:
    """Keys of the formats that are written where nobody says what to write."""
    return tuple(key for key, format in FORMATS.items() if format.by_default)


def preferred() -> tuple[Format, ...]:
    """The formats in the order in which they are looked at: ONNX, then the others."""
    return tuple(sorted(FORMATS.values(), key=lambda format: format is not ONNX))


def written(files: Iterable[str]) -> tuple[Format, ...]:
    """The formats of which there is an INT8 file among these names, in the order of `preferred`."""
    names = tuple(files)
    return tuple(
        format for format in preferred() if any(name.endswith(format.ending()) for name in names)
    )


def suffixes() -> str:
    """How the names of model files end, for a message."""
    return " or ".join(format.suffix for format in preferred())


def format_of(path: Path) -> Format:
    """The format that a file's suffix stands for.

    Raises:
        InputError: It stands for none.
    """
    for format in FORMATS.values():
        if path.suffix.lower() == format.suffix:
            return format
    raise InputError(
        f"{printable(str(path))}: expected a model file that ends in {suffixes()}, "
        f"found {printable(path.suffix) or 'no suffix'}"
    )


def executed_by(runtime: Runtime) -> Format:
    """The format that a runtime executes."""
    return next(
        format for format in FORMATS.values() if runtime in (*format.runtimes, *format.others)
    )


def runtimes() -> dict[str, Runtime]:
    """All runtimes by name, in the order of their formats."""
    return {
        runtime.name: runtime
        for format in FORMATS.values()
        for runtime in (*format.runtimes, *format.others)
    }


def _runtime(value: object) -> Runtime:
    known = runtimes()
    if isinstance(value, Runtime):
        return value
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"expected {' or '.join(known)}")
    return known[value]


RuntimeByName = Annotated[
    Runtime,
    PlainValidator(_runtime),
    PlainSerializer(attrgetter("name"), return_type=str),
    WithJsonSchema({"enum": list(runtimes()), "type": "string"}),
]
"""A runtime that is written as its name."""
