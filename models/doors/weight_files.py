"""Reads weight files, which are untrusted, without running any code in them."""

import argparse
import hashlib
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import safetensors.torch
import torch

from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

_ZIP_MAGIC = b"PK\x03\x04"

SAVE_AGAIN = (
    "save the weights alone, torch.save(model.state_dict(), FILE), where the file is trusted"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightFile:
    """Content of a weight file (tensors on the CPU), hexadecimal SHA-256 and size in bytes."""

    content: object
    sha256: str
    size_bytes: int


def read_weight_file(path: Path) -> WeightFile:
    """Read `.safetensors`, or whatever `torch.save` wrote in its zip or its legacy form.

    Raises:
        InputError: The file is missing, damaged, of another kind, or needs code to be loaded.
    """
    if not path.is_file():
        found = "a directory" if path.is_dir() else "no such file"
        raise InputError(f"{path}: expected a checkpoint (.pth, .pt, .safetensors), found {found}")
    try:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size_bytes = file.tell()
            if size_bytes == 0:
                raise InputError(f"{path}: expected a checkpoint, found an empty file")
            if path.suffix.lower() == ".safetensors":
                content = _read_safetensors(path)
            else:
                content = _read_torch(file, path)
    except OSError as exc:
        raise InputError(f"{path}: cannot be read: {one_line(exc)}") from exc
    return WeightFile(content=content, sha256=sha256, size_bytes=size_bytes)


def _read_safetensors(path: Path) -> object:
    """Load a safetensors file."""
    try:
        return safetensors.torch.load_file(path, device="cpu")
    except OSError:
        raise
    except Exception as exc:  # the library raises a dozen types on garbage
        raise InputError(
            f"{path}: expected a safetensors file, found one that cannot be parsed"
            f" ({one_line(exc)}); download or export it again"
        ) from exc


def _read_torch(file: BinaryIO, path: Path) -> object:
    """Load what `torch.save` wrote, in its zip or its legacy form."""
    file.seek(0)
    if file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC:
        _check_archive(file, path)
    file.seek(0)
    try:
        # argparse.Namespace is plain data; torchvision's and timm's training scripts save one.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as exc:  # unpickling garbage raises nearly every built-in exception
        code = re.search(r"GLOBAL ([\w.]+)", str(exc))
        if code:
            raise InputError(
                f"{path}: expected weights alone, found a pickle that needs code ({code[1]}), such"
                f" as a whole model; {SAVE_AGAIN}"
            ) from exc
        raise InputError(
            f"{path}: expected a PyTorch checkpoint (a state dict), found one that cannot be"
            f" loaded ({_detail(exc)}); download or export it again"
        ) from exc


def _check_archive(file: BinaryIO, path: Path) -> None:
    """Refuse damaged, compressed and TorchScript archives before torch sees them."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as exc:
        raise InputError(
            f"{path}: expected a PyTorch checkpoint, found a corrupt zip archive"
            f" ({one_line(exc)}); download it again"
        ) from exc
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise InputError(
            f"{path}: expected a state dict, found a TorchScript archive;"
            " torch.save(torch.jit.load(FILE).state_dict(), OTHER_FILE) extracts its weights"
        )
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise InputError(
            f"{path}: expected a checkpoint as torch.save writes it, found a compressed zip"
            " archive; unpack it and give the file inside"
        )


def _detail(exc: Exception) -> str:
    """What torch.load found, without its advice to load the file unsafely."""
    inner = re.search(r"WeightsUnpickler error: (.*)", str(exc))
    return one_line(inner[1] if inner else f"{type(exc).__name__}: {exc}")[:120]
