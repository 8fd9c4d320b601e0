"""Where images come from: a folder, a tar or a zip, with or without folders of classes."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Annotated, Self

from pydantic import BeforeValidator

from eightbit.models.errors import InputError
from eightbit.models.images.storage import Storage, open_storage
from eightbit.models.plain_text import printable

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
)


def _without_surrogates(name: object) -> object:
    if not isinstance(name, str):
        return name
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


ImageName = Annotated[str, BeforeValidator(_without_surrogates)]
"""Name of an image file; bytes that are no UTF-8 become backslash escapes."""


@dataclass(frozen=True, order=True, kw_only=True)
class ImageItem:
    """One image of a source.

    Attributes:
        name: Posix path relative to the source, printable and unique.
        folder: First component of the name, the class folder; None for an image at the top.
    """

    name: str
    folder: str | None


class ImageSource:
    """The images of a folder or archive, sorted by name; a context manager that closes its storage.

    ``stored_names`` maps each image's name to that in the storage.
    """

    def __init__(self, name: str, storage: Storage, stored_names: dict[str, str]) -> None:
        self.name = name
        self.items = tuple(
            ImageItem(name=image, folder=image.split("/")[0] if "/" in image else None)
            for image in sorted(stored_names)
        )
        self._storage = storage
        self._stored_names = stored_names

    def read(self, item: ImageItem) -> bytes:
        """Read one image's file; may be called from several threads at once.

        Raises:
            UnusableImage: It is larger than 64 MiB, or cannot be read.
            KeyError: The item is not of this source.
        """
        return self._storage.read(self._stored_names[item.name])

    def close(self) -> None:
        """Release the archive; reading is an error afterwards."""
        self._storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def open_source(path: Path) -> ImageSource:
    """Open a folder of images or of class folders, or a `.tar` or `.zip` of either.

    Files without an image's extension, hidden ones and `__MACOSX` are skipped. Deeper images belong
    to their top folder. A single folder around the class folders is dropped from the names.

    Raises:
        InputError: The path is missing, damaged, or holds no image.
    """
    storage = open_storage(path)
    try:
        stored_names = _image_names(storage, path)
    except BaseException:
        storage.close()
        raise
    return ImageSource(printable(path.resolve().name), storage, stored_names)


def _image_names(storage: Storage, path: Path) -> dict[str, str]:
    """Map each image's name to that in the storage; refuses unsafe and repeated names."""
    stored_names: dict[str, str] = {}
    for stored in storage.names():
        parts = [part for part in stored.replace("\\", "/").split("/") if part not in ("", ".")]
        if not _is_image(parts):
            continue
        name = printable("/".join(parts))
        if ".." in parts:
            raise InputError(f"{path}: expected names inside the archive, found {name!r}")
        if name in stored_names:
            raise InputError(
                f"{path}: two files are called {name!r} ({stored_names[name]!r}, {stored!r});"
                " rename one"
            )
        stored_names[name] = stored
    if not stored_names:
        raise InputError(
            f"{path}: expected images ({' '.join(sorted(EXTENSIONS))}), alone or in class folders,"
            " found none"
        )
    return _without_wrapping_folder(stored_names)


def _is_image(parts: list[str]) -> bool:
    """Whether a file counts, by its name alone."""
    if any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in parts):
        return False
    return bool(parts) and PurePosixPath(parts[-1]).suffix.lower() in EXTENSIONS


def _without_wrapping_folder(stored_names: dict[str, str]) -> dict[str, str]:
    """Drop the first folder from all names, if it is the only one and holds only folders."""
    split = [name.split("/") for name in stored_names]
    if len({parts[0] for parts in split}) > 1 or min(len(parts) for parts in split) < 3:
        return stored_names
    return {name.partition("/")[2]: stored for name, stored in stored_names.items()}
