"""Why a runtime refuses a model file, in one sentence that says what to do.

The runtimes say it over several lines: ONNX Runtime and OpenVINO behind places in their own
sources, torch behind TorchScript's traceback, with the code around the place. What is known of
their messages is put into words here; of any other the part that matters is kept.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

# Names in a model may be of any length.
_MESSAGE_CHARS: Final = 20_000
_NAME_CHARS: Final = 120
_VERSION_CHARS: Final = 40

# A code; which file; the place in ONNX Runtime's sources, with the signature of the function there.
_CODE: Final = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from .*? failed:)?", re.DOTALL
)
_PLACE: Final = re.compile(r"^\S+\.(?:cc|h):\d+ (?:.*?\)(?: const)? (?=[A-Z]))?", re.DOTALL)

_EXPORT: Final = "export it again"
_ONE_FILE: Final = "save it with save_as_external_data=False"
_OTHER: Final = "or use the ONNX artefact"
_QUANTIZE: Final = f"quantize again, {_OTHER}"
_COPY_OR_QUANTIZE: Final = "copy it again, or quantize again"


@dataclass(frozen=True, slots=True)
class _Runtime:
    """A runtime that refuses models.

    Attributes:
        name: With its version.
        renew: What to do where a newer runtime may help.
        cause: What matters in a message that is not among the known.
        known: Patterns of messages; what each expected and found, with the pattern's groups; and
            what to do, empty for `renew`.
        invalid: Beginnings of messages about graphs that no runtime can load.
    """

    name: str
    renew: str
    cause: Callable[[str], str]
    known: tuple[tuple[str, str, str], ...]
    invalid: tuple[str, ...] = ()


def onnxruntime_refusal(error: object, where: str, version: str) -> InputError:
    """What to raise where ONNX Runtime does not load a model.

    Args:
        error: Its exception, or the text of it.
        where: The file, made safe to show.
        version: Of ONNX Runtime.
    """
    return InputError(f"{where}: {'; '.join(onnxruntime_sentence(str(error), version))}")


def onnxruntime_sentence(message: str, version: str) -> tuple[str, str]:
    """What a message of ONNX Runtime, of this version, says, and what to do about it."""
    name = f"ONNX Runtime {version}"
    runtime = _Runtime(name, _upgrade("onnxruntime"), onnxruntime_cause, _ONNXRUNTIME, _INVALID)
    # Behind its beginning a message may quote names, which may read like another message.
    return _sentence(_without_place(message), runtime)


def openvino_refusal(error: object, where: str, version: str) -> InputError:
    """What to raise where OpenVINO does not load a model; see `onnxruntime_refusal`."""
    renew = _upgrade("openvino")
    runtime = _Runtime(f"OpenVINO {version}", renew, openvino_cause, _OPENVINO)
    return InputError(f"{where}: {'; '.join(_sentence(str(error), runtime))}")


def _upgrade(package: str) -> str:
    return f"pip install -U {package}, or export the model again"


def torchscript_refusal(
    error: object, where: str, *, version: str, wrote: str | None
) -> InputError:
    """What to raise where torch does not load an archive.

    Args:
        error: Its exception, or the text of it.
        where: The file, made safe to show.
        version: Of torch.
        wrote: Version of the torch that wrote the archive, by its metadata; None if not known.
    """
    if wrote is None or wrote == version:
        renew = f"pip install -U torch, {_OTHER}"
    else:
        renew = f"install the torch that wrote it, {one_line(wrote, _VERSION_CHARS)}, {_OTHER}"
    runtime = _Runtime(f"torch {version}", renew, lambda _: last_line(error).rstrip("."), _TORCH)
    message = _without_trace(error)
    return InputError(f"{where}: {'; '.join(_sentence(message, runtime))}")


def last_line(error: object) -> str:
    """The cause: torch puts the TorchScript traceback first and the C++ one after it."""
    cause = _without_trace(error)
    return one_line(cause.splitlines()[-1] if cause else type(error).__name__)


def _without_trace(error: object) -> str:
    return str(error).partition("Exception raised from")[0].strip()


def in_another_file(tensor: str) -> str:
    """What is said of a model that keeps a tensor, of this name, in another file."""
    found = one_line(tensor, _NAME_CHARS)
    return f"expected a model in one file, found tensor {found!r} in another one; {_ONE_FILE}"


def onnxruntime_cause(message: str) -> str:
    """A message of ONNX Runtime on one line, without its code, the file and the place."""
    return one_line(_without_place(message)).rstrip(".") or "it does not say why"


def openvino_cause(message: str) -> str:
    """The last line of a message: OpenVINO puts the places in its own sources first."""
    lines = [line for line in message[:_MESSAGE_CHARS].splitlines() if line.strip()]
    return one_line(lines[-1]).rstrip(".") if lines else "it does not say why"


def _without_place(message: str) -> str:
    return _PLACE.sub("", _CODE.sub("", message[:_MESSAGE_CHARS], count=1).strip(), count=1)


def _sentence(message: str, runtime: _Runtime) -> tuple[str, str]:
    message = message[:_MESSAGE_CHARS]
    for pattern, told, remedy in runtime.known:
        match = re.search(pattern, message, re.DOTALL)
        if match:
            # Names in an untrusted file.
            told = one_line(match.expand(told.replace("RUNTIME", runtime.name)))
            return told, remedy or runtime.renew
    invalid = any(re.match(pattern, message, re.DOTALL) for pattern in runtime.invalid)
    found = f"{runtime.name} cannot load it: {runtime.cause(message)}"
    return found, _EXPORT if invalid else runtime.renew


_ONNXRUNTIME: Final = (
    (
        r"^ONNX Runtime .*?Opset (\d+) is under development.* domain ai\.onnx is till opset (\d+)",
        r"expected ONNX opset \2 or lower, which is what RUNTIME knows, found \1",
        "",
    ),
    (
        r"^ONNX Runtime .*?Opset (\d+) is under development.* domain (\S+) is till opset (\d+)",
        r"expected opset \3 of \2 or lower, which is what RUNTIME knows, found \1",
        "",
    ),
    (
        r"^Unsupported model IR version: (\d+), max supported IR version: (\d+)",
        r"expected ONNX IR version \2 or lower, which is what RUNTIME knows, found \1",
        "",
    ),
    (
        r"^Fatal error: (.{1,120})\(-?\d+\) is not a registered function/op\s*$",
        r"expected operators that RUNTIME knows, found \1",
        "",
    ),
    (
        r"^This is an .* Error No Op registered for (.{1,120}) with domain_version of (\d+)$",
        r"expected operators that RUNTIME knows, found \1 of opset \2",
        "",
    ),
    (
        r"^This is an invalid model\..* Error No opset import for domain '([^']{1,120})'\s*$",
        r"expected the opset of every operator's domain, found none for \1",
        _EXPORT,
    ),
    (r"^Missing opset in the model", r"expected the opset of its operators, found none", _EXPORT),
)

_INVALID: Final = (
    r"This is an invalid model\.",
    r"Invalid model\.",
    r"Type Error: ",
    r"Node \(.*\[(?:Shape|Type)InferenceError\]",
)

_OPENVINO: Final = (
    (
        r"No conversion rule found for operations: (\S{1,120})",
        r"expected operators that RUNTIME knows, found \1",
        "pip install -U openvino, or use ONNX Runtime",
    ),
    (
        r"Conversion is failed for: (\S{1,120}?)[,\s]",
        r"expected operators that RUNTIME knows, found \1",
        "pip install -U openvino, or use ONNX Runtime",
    ),
)

_TORCH: Final = (
    (
        r"file with version (\d+), but the maximum supported version for reading is (\d+)",
        r"expected version \2 or lower of TorchScript's archive, as RUNTIME reads it, found \1",
        "",
    ),
    (
        r"file with version (\d+), but the minimum supported version for reading is (\d+)",
        r"expected version \2 or higher of TorchScript's archive, as RUNTIME reads it, found \1",
        _QUANTIZE,
    ),
    (
        r"Couldn't parse the version (\S{0,40})",
        r"expected a number as the version of TorchScript's archive, found '\1'",
        _QUANTIZE,
    ),
    (
        r"Unknown builtin op: (\S{1,120})\.\s",
        r"expected operators that RUNTIME knows, found \1",
        "",
    ),
    (
        r"Arguments for call are not valid\..*?variants are available:\s+(\w[\w:]{0,120})",
        r"expected operators as RUNTIME knows them, found another call of \1",
        "",
    ),
    (
        # Of these the archive itself has the code, but for torch's own.
        r"Unknown type name '__torch__\.(?!torch\.classes\.)",
        r"expected a whole TorchScript archive, found one without all of its code",
        _COPY_OR_QUANTIZE,
    ),
    (r"Unknown type name '(\S{1,120})'", r"expected classes that RUNTIME knows, found \1", ""),
    (
        r"PytorchStreamReader failed|failed finding central directory",
        r"expected a whole TorchScript archive, found a damaged file",
        _COPY_OR_QUANTIZE,
    ),
)
