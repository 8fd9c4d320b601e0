"""The files in a folder, a tar or a zip archive, read without unpacking anything.

Archives are untrusted: names in them are never used as paths, and only regular members are read.
Every `read` may be called from several threads at once.
"""

import io
import lzma
import os
import stat
import struct
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.plain_text import one_line

MAX_FILE_BYTES = 64 * 2**20
MAX_FILES = 5_000_000
MAX_HEADER_BYTES = 2**20

_ZIP_DAMAGE = (
    OSError,
    EOFError,
    UnicodeDecodeError,
    struct.error,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)

_Item = TypeVar("_Item")


class Storage(Protocol):
    """Named files somewhere."""

    def names(self) -> Iterator[str]:
        """Names of the regular files, in any order, as they were stored."""

    def folders(self) -> Iterator[str]:
        """Names of the folders that are stored as such, with or without files."""

    def head(self, name: str, size: int) -> bytes:
        """Read the first bytes of a file, at most ``size``.

        Raises:
            UnusableImage: It cannot be read.
        """

    def read(self, name: str) -> bytes:
        """Read one file.

        Raises:
            UnusableImage: It is too large, or cannot be read.
        """

    def close(self) -> None:
        """Release the file handles."""


def open_storage(path: Path) -> Storage:
    """Open a folder, `.tar` or `.zip`.

    Raises:
        InputError: It is missing, damaged, or something else.
    """
    kind = _storage_kind(path)
    try:
        return kind(path)
    except InputError:
        raise
    except Exception as exc:  # the archive readers raise a dozen types on damaged files
        raise InputError(
            f"{path}: expected a folder, .tar or .zip of images, found one that cannot be read"
            f" ({one_line(exc)}); pack or download it again"
        ) from exc


def _storage_kind(path: Path) -> Callable[[Path], Storage]:
    """Which of the three a path is, by its suffix."""
    if path.is_dir():
        return FolderStorage
    kinds: dict[str, Callable[[Path], Storage]] = {".tar": TarStorage, ".zip": ZipStorage}
    if path.is_file() and path.suffix.lower() in kinds:
        return kinds[path.suffix.lower()]
    found = f"a file of type {path.suffix or 'unknown'}" if path.exists() else "nothing"
    raise InputError(
        f"{path}: expected a folder, .tar or .zip of images, found {found}; unpack other archives"
    )


class FolderStorage:
    """The files below a folder; symbolic links are followed, each folder is entered once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: list[str] = []
        self._folders: list[str] = []
        for name, is_folder in _counted(_walk(root)):
            (self._folders if is_folder else self._names).append(name)

    def names(self) -> Iterator[str]:
        """See `Storage`."""
        return iter(self._names)

    def folders(self) -> Iterator[str]:
        """See `Storage`."""
        return iter(self._folders)

    def head(self, name: str, size: int) -> bytes:
        """See `Storage`."""
        try:
            with (self._root / name).open("rb", buffering=0) as file:
                return file.read(size)
        except OSError as exc:
            raise UnusableImage(f"cannot be read: {one_line(exc.strerror or exc)}") from exc

    def read(self, name: str) -> bytes:
        """See `Storage`."""
        try:
            with (self._root / name).open("rb") as file:
                return bounded(file.read(MAX_FILE_BYTES + 1))
        except OSError as exc:
            raise UnusableImage(f"cannot be read: {one_line(exc.strerror or exc)}") from exc

    def close(self) -> None:
        """Nothing is held open."""


class TarStorage:
    """The regular members of an uncompressed tar, read by position: no lock, no shared cursor.

    Attributes:
        extents: Offset and size of each, by name.
    """

    def __init__(self, path: Path) -> None:
        self.extents: dict[str, tuple[int, int]] = {}
        self._folders: list[str] = []
        self._file = _Headers(io.FileIO(path))
        try:
            for member in _tar_members(self._file):
                if member.isreg() and not member.issparse():
                    self.extents[member.name] = (member.offset_data, member.size)
                elif member.isdir():
                    self._folders.append(member.name)
        except BaseException:
            self._file.close()
            raise

    def names(self) -> Iterator[str]:
        """See `Storage`."""
        return iter(self.extents)

    def folders(self) -> Iterator[str]:
        """See `Storage`."""
        return iter(self._folders)

    def head(self, name: str, size: int) -> bytes:
        """See `Storage`."""
        offset, whole = self.extents[name]
        try:
            return os.pread(self._file.fileno(), min(whole, size), offset)
        except OSError as exc:
            raise UnusableImage(f"cannot be read: {one_line(exc.strerror or exc)}") from exc

    def read(self, name: str) -> bytes:
        """See `Storage`."""
        return whole_member(self, name, self.extents[name][1])

    def close(self) -> None:
        """Close the archive; reading from it is an error afterwards."""
        self._file.close()


class ZipStorage:
    """The regular members of a zip archive."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._folders: list[str] = []
        for member in _counted(iter(self._archive.infolist())):
            if member.is_dir():
                self._folders.append(member.filename)
            elif not stat.S_ISLNK(member.external_attr >> 16):
                self._members[member.filename] = member
        self._lock = threading.Lock()

    def names(self) -> Iterator[str]:
        """See `Storage`."""
        return iter(self._members)

    def folders(self) -> Iterator[str]:
        """See `Storage`."""
        return iter(self._folders)

    def read(self, name: str) -> bytes:
        """See `Storage`."""
        return bounded(self.head(name, MAX_FILE_BYTES + 1))

    def head(self, name: str, size: int) -> bytes:
        """See `Storage`."""
        member = self._members[name]
        if member.flag_bits & 1:
            raise UnusableImage("encrypted")
        try:
            with self._lock, self._archive.open(member) as file:
                return file.read(size)
        except _ZIP_DAMAGE as exc:
            raise UnusableImage(f"damaged in the archive: {one_line(exc)}") from exc

    def close(self) -> None:
        """Close the archive; reading from it is an error afterwards."""
        self._archive.close()


def whole_member(storage: Storage, name: str, size: int) -> bytes:
    """A member of an archive without compression, which says how many bytes it has.

    Raises:
        UnusableImage: It is too large, or the archive ends before it does.
    """
    data = bounded(storage.head(name, MAX_FILE_BYTES + 1))
    if len(data) < size:
        raise UnusableImage(f"the archive ends after {len(data)} of {size} bytes")
    return data


def bounded(data: bytes) -> bytes:
    """Pass on a file's bytes, at most `MAX_FILE_BYTES`."""
    if len(data) > MAX_FILE_BYTES:
        raise UnusableImage(f"larger than {MAX_FILE_BYTES // 2**20} MiB")
    return data


def _counted(items: Iterator[_Item]) -> Iterator[_Item]:
    """Pass on items, at most `MAX_FILES`."""
    for count, item in enumerate(items):
        if count >= MAX_FILES:
            raise InputError(f"expected at most {MAX_FILES} files in a source of images")
        yield item


class _Headers(io.BufferedReader):
    """A tar as `tarfile` reads its headers: one may declare a name of gigabytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"expected a header below 1 MiB, found one of {size} bytes")
        return super().read(size)


def _tar_members(file: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """Yield the members of a tar archive, and refuse one that ends in a damaged header."""
    with tarfile.open(fileobj=file, mode="r:") as archive:
        end = 0
        for member in _counted(iter(archive)):
            # A negative size would have tarfile read the same header for ever.
            if archive.offset <= end or member.size < 0:
                raise tarfile.ReadError(f"damaged after byte {end}")
            end = archive.offset
            archive.members.clear()  # type: ignore[attr-defined]  # it would keep them all
            yield member
        # tarfile takes a damaged header in the middle for the end of the archive.
        if any(os.pread(file.fileno(), tarfile.BLOCKSIZE, archive.offset)):
            raise tarfile.ReadError(f"damaged after byte {archive.offset}")


def _walk(root: Path) -> Iterator[tuple[str, bool]]:
    """Yield what is below a folder by its posix path relative to it, and whether it is a folder.

    Files are the regular ones.
    """
    seen: set[tuple[int, int]] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=_raise):
        if Path(folder) != root:
            yield Path(folder).relative_to(root).as_posix(), True
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a symbolic link back, or to the same again
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        subfolders.sort()
        for name in files:
            path = Path(folder, name)
            if path.is_file():
                yield path.relative_to(root).as_posix(), False


def _raise(error: OSError) -> None:
    raise error
