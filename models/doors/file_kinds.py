"""Files that are given as weights and are none of PyTorch's, by what they hold; and what to do."""

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

HEAD_BYTES: Final = 64

_OWN_CODE: Final = (
    "no door takes it: build the network as a torch.nn.Module in your own code, with these "
    "weights, and give FILE.py:CALLABLE as SOURCE"
)
_KERAS: Final = "give it as SOURCE, keras:FILE, without --weights"
_ALONE: Final = "give it alone, as --weights without SOURCE"
_UNPACK: Final = "unpack it and give the file inside"
_AGAIN: Final = "download the file itself"

# The largest declared length of a header of safetensors, and the length's bytes before it.
_MAX_HEADER_BYTES: Final = 2**32
_LENGTH_BYTES: Final = 8

# Tags of the fields that may follow the version in an ONNX ModelProto: names, texts, graph, opsets.
_AFTER_IR_VERSION: Final = frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42")
_MAX_IR_VERSION: Final = 63


def described(head: bytes) -> str:
    """What a file is that begins so, and what to do, as the end of a message; empty if unknown.

    Args:
        head: The first `HEAD_BYTES`.
    """
    for is_one, kind, advice in _KINDS:
        if is_one(head):
            return f"{kind}; {advice}"
    return ""


def archive_described(names: Collection[str]) -> str:
    """The same of a zip archive with members of these names."""
    if {"config.json", "model.weights.h5"} <= set(names):
        return f"a Keras archive (.keras); {_KERAS}"
    if names and all(name.endswith(".npy") for name in names):
        return f"NumPy arrays (.npz); {_OWN_CODE}"
    members = [name.rpartition("/")[2] for name in names]
    if "constants.pkl" in members:
        return (
            "a TorchScript archive; torch.save(torch.jit.load(FILE).state_dict(), OTHER_FILE) "
            "extracts its weights"
        )
    if {"archive_format", "serialized_exported_program.json"}.intersection(members):
        return (
            "a program of torch.export (.pt2); "
            "torch.save(torch.export.load(FILE).state_dict, OTHER_FILE) extracts its weights"
        )
    return ""


def folder_described(path: Path) -> str:
    """The same of a folder."""
    if (path / "config.json").is_file():
        return "a folder of Hugging Face's; give it as SOURCE, hf:FOLDER, without --weights"
    if (path / "saved_model.pb").is_file():
        return f"a TensorFlow SavedModel; {_OWN_CODE}"
    return "a directory"


def pickle_described(code: str) -> str:
    """The same of a pickle that needs code of this name."""
    package = code.partition(".")[0]
    if code.startswith("fastcore.foundation."):
        return (
            "a fastai learner with its optimiser; learn.save(NAME, with_opt=False) saves the "
            "weights alone"
        )
    if package in ("fastai", "fastcore"):
        return (
            "an exported fastai learner, which is code; learn.save(NAME, with_opt=False) saves the "
            "weights alone"
        )
    return ""


def keys_described(keys: Iterable[str]) -> str:
    """Whose network has weights of such names, and the door that takes it; never empty."""
    names = tuple(keys)
    if any(".encoder.stages." in f".{name}" and ".convolution." in name for name in names):
        return (
            "this is a ResNet as Hugging Face writes it: give its folder as SOURCE, hf:FOLDER, "
            "without --weights"
        )
    if any(name.endswith("logit_scale") for name in names):
        return (
            "this is a CLIP model as open_clip writes it, two networks and no classifier: build "
            "the image network with a classifier in your own code and give FILE.py:CALLABLE"
        )
    return (
        "it fits none of this project's architectures; is it a network of timm's (timm:NAME), of "
        "Hugging Face's (hf:FOLDER) or of your own code (FILE.py:CALLABLE)?"
    )


def _starts(*signatures: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(signatures)


def _is_exactly(signature: bytes, offset: int = 0) -> Callable[[bytes], bool]:
    return lambda head: head[offset : offset + len(signature)] == signature


def _is_saved_model(head: bytes) -> bool:
    """Schema version 1, then a graph; an ONNX file of that version would be from 2017."""
    return head[:3] == b"\x08\x01\x12"


def is_onnx(head: bytes) -> bool:
    """Whether a file begins with the format's version, a small number, and another field.

    Source: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, ModelProto; fields are written
    in the order of their numbers.
    """
    return (
        len(head) > 2
        and head[0] == 0x08
        and 1 <= head[1] <= _MAX_IR_VERSION
        and head[2] in _AFTER_IR_VERSION
    )


def is_safetensors(head: bytes) -> bool:
    """The length of a header of JSON, then the header.

    Source: https://huggingface.co/docs/safetensors: 8 bytes, little-endian.
    """
    length = int.from_bytes(head[:_LENGTH_BYTES], "little")
    return 2 <= length <= _MAX_HEADER_BYTES and head[_LENGTH_BYTES : _LENGTH_BYTES + 2] == b'{"'


_KINDS: Final[tuple[tuple[Callable[[bytes], bool], str, str], ...]] = (
    (_is_exactly(b"\x89HDF\r\n\x1a\n"), "an HDF5 file, as Keras writes (.h5)", _KERAS),
    (_is_saved_model, "a TensorFlow SavedModel", _OWN_CODE),
    (is_onnx, "an ONNX graph", _ALONE),
    (_is_exactly(b"TFL3", 4), "a TensorFlow Lite model (.tflite)", _OWN_CODE),
    (_is_exactly(b"GGUF"), "a GGUF file", _OWN_CODE),
    (_is_exactly(b"\x93NUMPY"), "a NumPy array (.npy)", _OWN_CODE),
    (_is_exactly(b"\x1f\x8b"), "a gzip archive", _UNPACK),
    (_is_exactly(b"7z\xbc\xaf\x27\x1c"), "a 7z archive", _UNPACK),
    (
        _starts(b"version https://git-lfs"),
        "a pointer of Git LFS in place of the file",
        f"fetch it: git lfs pull, or {_AGAIN}",
    ),
    (_starts(b"<!doctype html", b"<html"), "a web page", f"{_AGAIN}, not the page that shows it"),
    (_starts(b"<?xml", b"<net"), "an XML file, as OpenVINO writes", _OWN_CODE),
)
