"""Reads arrays of an HDF5 file of which nothing is known, by their path.

The format can point to other files, and can declare more than it holds; both is refused.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final

import numpy as np
import torch

from eightbit.models.doors.checkpoints import usable
from eightbit.models.doors.wordings import shown
from eightbit.models.errors import InputError

# Attributes of more bytes than a header may have are split into several of these names.
_MOST_CHUNKS: Final = 4096


def library() -> ModuleType:
    """The library that reads HDF5.

    Raises:
        InputError: It is not installed.
    """
    try:
        import h5py
    except ImportError as exc:
        raise InputError(
            "keras: expected h5py to be installed, found none; pip install 'eightbit[keras]'"
        ) from exc
    found: ModuleType = h5py
    return found


class Hdf5:
    """An open file; arrays and lists of names by their path."""

    def __init__(self, file: Any, where: str, size_bytes: int) -> None:
        self._h5py: Any = library()
        self._file = file
        self._where = where
        self._size_bytes = size_bytes

    def text(self, name: str) -> str | None:
        """An attribute of the file, None where there is none."""
        value = self._file.attrs.get(name)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return value if isinstance(value, str) else None

    def members(self, path: str) -> tuple[str, ...]:
        """Names in a group, none where there is no such group."""
        group = self._found(path)
        return tuple(group) if isinstance(group, self._h5py.Group) else ()

    def names(self, path: str, attribute: str) -> tuple[str, ...]:
        """A list of names that is an attribute of a group, which large ones split into several."""
        group = self._found(path)
        if not isinstance(group, self._h5py.Group):
            return ()
        parts = [group.attrs[attribute]] if attribute in group.attrs else []
        for number in range(_MOST_CHUNKS):
            if (parts and number == 0) or f"{attribute}{number}" not in group.attrs:
                break
            parts.append(group.attrs[f"{attribute}{number}"])
        values: Sequence[Any] = [value for part in parts for value in np.atleast_1d(part)]
        return tuple(
            value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            for value in values
        )

    def tensor(self, path: str) -> torch.Tensor:
        """An array of numbers as finite float32.

        Raises:
            InputError: There is none, it lies elsewhere, or it is no array of such numbers.
        """
        where = f"{self._where}: {shown(path)}"
        found = self._found(path)
        if not isinstance(found, self._h5py.Dataset):
            raise InputError(f"{where}: expected an array, found none; is the file whole?")
        plain = (
            found.external is None
            and not found.is_virtual
            and found.id.get_create_plist().get_nfilters() == 0
        )
        if not plain:
            raise InputError(
                f"{where}: expected an array as Keras writes it, found one that is compressed or "
                "lies in another file; save the model again"
            )
        declared = found.size * found.dtype.itemsize if found.shape is not None else -1
        if not 0 <= declared <= min(found.id.get_storage_size(), self._size_bytes):
            raise InputError(
                f"{where}: expected an array of its {declared:,} bytes, found fewer; the file is "
                "damaged or hostile"
            )
        if found.dtype.kind != "f" or found.dtype.itemsize > 8:
            raise InputError(
                f"{where}: expected floating point weights (16, 32 or 64 bits), found "
                f"{shown(found.dtype)}"
            )
        values = torch.from_numpy(np.ascontiguousarray(found[()], found.dtype.newbyteorder("=")))
        return usable(values, where, self._size_bytes)

    def _found(self, path: str) -> Any:
        """What lies under a path of the file itself; None where there is nothing."""
        found = self._file
        for part in path.split("/"):
            if not part or part == "." or not isinstance(found, self._h5py.Group):
                return None
            link = found.get(part, getlink=True)
            if link is None:
                return None
            if not isinstance(link, self._h5py.HardLink):
                raise InputError(
                    f"{self._where}: {shown(path)}: expected what is in the file, found a link to "
                    "something else; save the model again"
                )
            found = found[part]
        return found
