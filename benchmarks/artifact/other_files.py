"""What a file is that is no model of ours, by its first bytes, so that a refusal can name it."""

import zipfile
from collections.abc import Collection
from io import BufferedReader
from typing import Final

# Where the bytes stand, the bytes, and what they begin.
_SIGNATURES: Final = (
    (4, b"TFL3", "a TFLite model"),
    (4, b"ORTM", "a model in ONNX Runtime's own format (.ort)"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them"),
    (0, b"GGUF", "a GGUF model"),
    (8, b'{"', "a safetensors file"),
    (0, b"\x80\x02", "a pickle, as torch.save wrote them before torch 1.6"),
    (0, b"\x80\x03", "a pickle"),
    (0, b"\x80\x04", "a pickle"),
    (0, b"\x80\x05", "a pickle"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x89PNG", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
    (0, b"version https://git-lfs", "a pointer of Git LFS (git lfs pull fetches the file)"),
    (0, b"<?xml", "an XML file, as OpenVINO writes them"),
    (0, b"<", "a web page (did a download fail?)"),
    (0, b"{", "JSON"),
)

# Names of members that tell zip archives apart, behind the folder that torch puts around them.
_MEMBERS: Final = (
    ("constants.pkl", "a TorchScript archive"),
    ("data.pkl", "a checkpoint of torch.save"),
    ("archive_format", "an archive of torch.export"),
    ("model.weights.h5", "a Keras model"),
    ("[Content_Types].xml", "an Office document"),
)


def described(file: BufferedReader) -> str | None:
    """What an open file seems to be, such as "a TFLite model"; None where nothing is known."""
    file.seek(0)
    head = file.read(512)
    if not head:
        return "an empty file"
    if head.startswith(b"PK\x03\x04"):
        return _zip(file)
    return next((what for at, start, what in _SIGNATURES if head[at:].startswith(start)), None)


def _zip(file: BufferedReader) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            return described_zip(archive.namelist())
    except Exception:  # zipfile raises half a dozen types on damaged archives
        return "a damaged zip archive"


def described_zip(names: Collection[str]) -> str:
    """What a zip with these members is, such as "a Keras model"."""
    behind = {*names, *(name.partition("/")[2] for name in names)}
    return next((what for member, what in _MEMBERS if member in behind), "a zip archive")
