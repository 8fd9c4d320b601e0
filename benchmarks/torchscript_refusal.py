"""Why torch refuses a TorchScript archive, in one sentence that says what to do.

torch shows TorchScript's own traceback, with the code around the place. What is known of its
messages is put into words here; of any other the last line is kept.
"""

import re
from typing import Final

from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

# Names in an archive may be of any length.
_MESSAGE_CHARS: Final = 20_000
_VERSION_CHARS: Final = 40

_OTHER: Final = "or use the ONNX artefact"
_AGAIN: Final = f"quantize again, {_OTHER}"


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
    message = str(error).partition("Exception raised from")[0].strip()[:_MESSAGE_CHARS]
    if wrote is None or wrote == version:
        renew = f"pip install -U torch, {_OTHER}"
    else:
        renew = f"install the torch that wrote it, {one_line(wrote, _VERSION_CHARS)}, {_OTHER}"
    for pattern, told, remedy in _KNOWN:
        match = re.search(pattern, message, re.DOTALL)
        if match:
            # Their names are a stranger's.
            told = one_line(match.expand(told.replace("TORCH", f"torch {version}")))
            return InputError(f"{where}: {told}; {remedy or renew}")
    cause = last_line(error).rstrip(".")
    return InputError(f"{where}: torch {version} cannot load it: {cause}; {renew}")


def last_line(error: object) -> str:
    """The cause: torch puts the TorchScript traceback first and the C++ one after it."""
    cause = str(error).partition("Exception raised from")[0].strip()
    return one_line(cause.splitlines()[-1] if cause else type(error).__name__)


# Patterns of messages; what each expected and found, with the pattern's groups; and what to do,
# empty where another torch may help.
_KNOWN: Final = (
    (
        r"file with version (\d+), but the maximum supported version for reading is (\d+)",
        r"expected version \2 or lower of TorchScript's archive, as TORCH reads it, found \1",
        "",
    ),
    (
        r"file with version (\d+), but the minimum supported version for reading is (\d+)",
        r"expected version \2 or higher of TorchScript's archive, as TORCH reads it, found \1",
        _AGAIN,
    ),
    (
        r"Couldn't parse the version (\S{0,40})",
        r"expected a number as the version of TorchScript's archive, found '\1'",
        _AGAIN,
    ),
    (
        r"Unknown builtin op: (\S{1,120})\.\s",
        r"expected operators that TORCH knows, found \1",
        "",
    ),
    (
        r"Arguments for call are not valid\..*?variants are available:\s+(\w[\w:]{0,120})",
        r"expected operators as TORCH knows them, found another call of \1",
        "",
    ),
    (
        # Of these the archive itself has the code, but for torch's own.
        r"Unknown type name '__torch__\.(?!torch\.classes\.)",
        r"expected a whole TorchScript archive, found one without all of its code",
        "copy it again, or quantize again",
    ),
    (
        r"Unknown type name '(\S{1,120})'",
        r"expected classes that TORCH knows, found \1",
        "",
    ),
    (
        r"PytorchStreamReader failed|failed finding central directory",
        r"expected a whole TorchScript archive, found a damaged file",
        "copy it again, or quantize again",
    ),
)
