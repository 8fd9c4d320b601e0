"""Checks a TorchScript archive before torch loads it, which runs its code.

The records are read by torch's own reader, which is the one that loads them: two readers of a zip
may disagree about what is in it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch

from eightbit.benchmarks.artifact.torchscript_code import RefusedCode, check_code, check_pickle
from eightbit.benchmarks.artifact.trust import TRUST, is_trusted
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable

# Code, pickles and what users add. A ResNet-152 has less than 1 MB of each.
MAX_RECORD_BYTES: Final = 64 * 2**20
MAX_RECORDS: Final = 200_000

_CODE: Final = "code/"
_PICKLES: Final = ("data.pkl", "constants.pkl")
_TENSORS: Final = ("data/", "constants/")
_IGNORED: Final = ("extra/", "traced_inputs/", ".data/")
_OTHERS: Final = (*_PICKLES, "version", "byteorder", "traced_inputs.pkl")


def check_archive(path: Path) -> None:
    """Refuse an archive whose code does anything but compute, unless it is trusted.

    Raises:
        InputError: An operator, a class or a record is not among those that are known.
        RuntimeError: torch cannot read the archive.
    """
    if is_trusted():
        return
    try:
        _check(torch._C.PyTorchFileReader(str(path)), path.stat().st_size)
    except RefusedCode as exc:
        _check_known(exc)
        raise InputError(
            f"{printable(str(path))}: expected TorchScript that only computes, found "
            f"{one_line(exc, 160)}; give {TRUST} if you trust whoever made the file"
        ) from exc


def _check(reader: torch._C.PyTorchFileReader, file_bytes: int) -> None:
    names = reader.get_all_records()
    if len(names) > MAX_RECORDS:
        raise RefusedCode(f"{len(names):,} records")
    if len({name.lower() for name in names}) < len(names):  # torch does not tell case apart
        raise RefusedCode("two records with one name")
    sizes = {name: reader.get_record_size(name) for name in names}
    _check_layout(sizes, file_bytes)
    code = {name: reader.get_record(name) for name in names if _is_code(name)}
    check_code(code, _is_operator)
    for name in _PICKLES:
        check_pickle(reader.get_record(name))


def _check_known(found: RefusedCode) -> None:
    """Say as torch does, which would not get as far as running it, what this torch does not know.

    Raises:
        RuntimeError: It is such an operator or class.
    """
    if found.operator and not _is_operator(found.operator):
        raise RuntimeError(f"Unknown builtin op: {found.operator}.\nNot loaded") from found
    if found.foreign_class and not _is_class(found.foreign_class):
        raise RuntimeError(f"Unknown type name '{found.foreign_class}'") from found


def _check_layout(sizes: Mapping[str, int], file_bytes: int) -> None:
    for name, size in sizes.items():
        is_tensor = name.startswith(_TENSORS)
        known = is_tensor or name in _OTHERS or name.startswith(_IGNORED) or _is_code(name)
        if not known and not name.endswith(".debug_pkl"):
            raise RefusedCode(f"record {name}")
        # torch stores the numbers of tensors as they are, and has room made for what is declared.
        if size > (file_bytes if is_tensor else MAX_RECORD_BYTES):
            raise RefusedCode(f"record {name} of {size:,} bytes")
    if sum(size for name, size in sizes.items() if name.startswith(_TENSORS)) > file_bytes:
        raise RefusedCode(f"more tensors than its {file_bytes:,} bytes can hold")


def _is_code(name: str) -> bool:
    return name.startswith(_CODE) and name.endswith(".py")


def _is_operator(name: str) -> bool:
    return bool(torch._C._jit_get_schemas_for_operator(name))


def _is_class(name: str) -> bool:
    namespace, _, own = name.removeprefix("__torch__.torch.classes.").rpartition(".")
    try:
        torch._C._get_custom_class_python_wrapper(namespace, own)
    except RuntimeError:
        return False
    return True
