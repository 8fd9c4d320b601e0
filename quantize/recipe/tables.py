"""What scales do not determine, rounding choices and exponents: ``recipe.safetensors``.

It lies beside ``recipe.json``, which has its digest, if there are tables: one int8 tensor per layer
and kind, called ``rounding.LAYER`` or ``exponents.LAYER``.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from eightbit.models.bounded_files import read_bounded
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable

Int8Array = npt.NDArray[np.int8]

# One byte per weight: no network of this project has more, even with 100,000 classes.
TABLES_MAX_BYTES: Final = 512 * 2**20

# Far more than equalisation needs, and far from where float32 ends.
MAX_EXPONENT: Final = 32

_ROUNDING: Final = "rounding."
_EXPONENTS: Final = "exponents."
_LARGEST: Final = {_ROUNDING: 1, _EXPONENTS: MAX_EXPONENT}


@dataclass(frozen=True, eq=False)
class Int8Table:
    """An array of int8 as a value: equal to another one with the same shape and numbers."""

    values: Int8Array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Int8Table) and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.values.shape, self.values.tobytes()))


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Small integers for some layers, by module name.

    Attributes:
        rounding: int8 in the weight's own shape: what is added to the nearest integers (-1, 0, 1).
        exponents: int8, shape (O,): see `equalization.Equalized`.
    """

    rounding: Mapping[str, Int8Table] = field(default_factory=dict)
    exponents: Mapping[str, Int8Table] = field(default_factory=dict)

    @cached_property
    def content(self) -> bytes:
        """The content of ``recipe.safetensors``: the same tables, the same bytes."""
        named = {_ROUNDING + name: table for name, table in self.rounding.items()}
        named |= {_EXPONENTS + name: table for name, table in self.exponents.items()}
        # safetensors sorts by name, and wants arrays in C order.
        return save({name: np.ascontiguousarray(table.values) for name, table in named.items()})

    @cached_property
    def sha256(self) -> str | None:
        """Digest of the file; None where there is nothing to write."""
        if not self.rounding and not self.exponents:
            return None
        return hashlib.sha256(self.content).hexdigest()


def read_tables(path: Path, sha256: str) -> Tables:
    """Read a ``recipe.safetensors`` with the given digest.

    Raises:
        InputError: There is no such file, it is another one, or its content is no tables.
    """
    content = read_bounded(path, TABLES_MAX_BYTES, "the tables of the recipe beside it")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(
            f"{path}: expected the tables of the recipe beside it (SHA-256 {sha256[:12]}...), "
            f"found {found[:12]}...; copy both files together"
        )
    return parse_tables(content, where=str(path))


def parse_tables(content: bytes, *, where: str) -> Tables:
    """Read the untrusted content of a ``recipe.safetensors``; ``where`` begins every error message.

    Raises:
        InputError: It is not what `Tables.content` writes.
    """
    try:
        tensors = deserialize(content)  # type: ignore[no-untyped-call]
    except SafetensorError as exc:
        raise InputError(f"{where}: expected a safetensors file, found none that is whole") from exc
    kinds: dict[str, dict[str, Int8Table]] = {_ROUNDING: {}, _EXPONENTS: {}}
    for name, tensor in tensors:
        kind = next((kind for kind in kinds if name.startswith(kind)), None)
        if kind is None:
            raise InputError(f"{where}: expected rounding.* and exponents.*, found {_shown(name)}")
        if tensor["dtype"] != "I8":
            raise InputError(f"{where}: {_shown(name)}: expected int8, found {tensor['dtype']}")
        table = np.frombuffer(tensor["data"], dtype=np.int8).reshape(tensor["shape"])
        if np.abs(table.astype(np.int16)).max(initial=0) > _LARGEST[kind]:
            raise InputError(
                f"{where}: {_shown(name)}: expected -{_LARGEST[kind]}..{_LARGEST[kind]}, found "
                f"{table.min()}..{table.max()}"
            )
        kinds[kind][name.removeprefix(kind)] = Int8Table(table)
    tables = Tables(rounding=kinds[_ROUNDING], exponents=kinds[_EXPONENTS])
    if tables.sha256 is None or tables.content != content:
        raise InputError(f"{where}: expected tables as eightbit writes them, found another form")
    return tables


def _shown(name: str) -> str:
    return printable(name[:80])
