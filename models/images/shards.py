"""Images in several tars that are one source, named by a range of numbers: `train-{000..146}.tar`.

So WebDataset and others write them. Labels beside an image in its shard (`.cls`, `.json`) are no
images, and passed over.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.storage import (
    Storage,
    TarStorage,
    open_storage,
    whole_member,
)
from eightbit.models.plain_text import one_line

MAX_SHARDS: Final = 100_000

_RANGE: Final = re.compile(r"\{([0-9]{1,9})\.\.([0-9]{1,9})\}")


def open_any(path: Path) -> Storage:
    """Open a folder, `.tar`, `.zip`, or a range of tars; see `open_storage`.

    Raises:
        InputError: It is missing, damaged, or something else.
    """
    if _RANGE.search(path.name) is None or path.exists():
        return open_storage(path)
    return ShardStorage(shards(path))


def shards(path: Path) -> tuple[Path, ...]:
    """The files that a range in a name stands for, in order: as many digits as its first number.

    Raises:
        InputError: There are several ranges, it runs backwards or is too long, or they are no tars.
    """
    ranges = list(_RANGE.finditer(path.name))
    if len(ranges) != 1 or path.suffix.lower() != ".tar":
        raise InputError(
            f"{path}: expected one range in the name of a .tar, such as train-{{000..146}}.tar, "
            f"found {len(ranges)} and {path.suffix or 'no ending'}; name one"
        )
    (found,) = ranges
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + MAX_SHARDS:
        raise InputError(
            f"{path}: expected a range upwards of at most {MAX_SHARDS:,} shards, found "
            f"{found[1]} to {found[2]}"
        )
    before, after = path.name[: found.start()], path.name[found.end() :]
    width = len(found[1])
    return tuple(
        path.with_name(f"{before}{number:0{width}}{after}") for number in range(first, last + 1)
    )


class ShardStorage:
    """The regular members of several tars; none is held open, since there may be thousands.

    Raises:
        InputError: One is missing or damaged, or a name is in two of them.
    """

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._extents: dict[str, tuple[Path, int, int]] = {}
        self._folders: dict[str, None] = {}
        for path in paths:
            storage = open_storage(path)
            try:
                if not isinstance(storage, TarStorage):
                    raise InputError(f"{path}: expected a .tar, found a folder; name tars alone")
                self._folders.update(dict.fromkeys(storage.folders()))
                for name, (offset, size) in storage.extents.items():
                    if name in self._extents:
                        other = self._extents[name][0].name
                        raise InputError(
                            f"{path}: expected names that are in one shard alone, found {name!r} "
                            f"in {other} too; rename one"
                        )
                    self._extents[name] = (path, offset, size)
            finally:
                storage.close()

    def names(self) -> Iterator[str]:
        """See `Storage`."""
        return iter(self._extents)

    def folders(self) -> Iterator[str]:
        """See `Storage`."""
        return iter(self._folders)

    def head(self, name: str, size: int) -> bytes:
        """See `Storage`."""
        path, offset, whole = self._extents[name]
        try:
            with path.open("rb", buffering=0) as file:
                return os.pread(file.fileno(), min(whole, size), offset)
        except OSError as exc:
            raise UnusableImage(f"cannot be read: {one_line(exc.strerror or exc)}") from exc

    def read(self, name: str) -> bytes:
        """See `Storage`."""
        return whole_member(self, name, self._extents[name][2])

    def close(self) -> None:
        """Nothing is held open."""
