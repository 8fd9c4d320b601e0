"""Where images come from: a folder, a tar or a zip, with or without folders of classes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Final, Self

from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.passed_over import Counting, PassedOver, is_hidden
from eightbit.models.images.shards import open_any
from eightbit.models.images.signatures import FORMATS, HEAD_BYTES, is_image
from eightbit.models.images.storage import Storage
from eightbit.models.plain_text import printable

# Files with these endings count as images unread; a damaged one is skipped by its name.
ENDINGS: Final = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".png", ".apng", ".bmp", ".gif"),
        *(".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".j2k"),
    }
)

# Cameras' raw files are TIFF files: Pillow would read the small preview inside.
_RAW: Final = frozenset(
    {
        *(".3fr", ".arw", ".cr2", ".cr3", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos"),
        *(".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw"),
    }
)


@dataclass(frozen=True, order=True, kw_only=True)
class ImageItem:
    """One image of a source.

    Attributes:
        name: Posix path relative to the source, printable and unique.
        folder: First component of the name, the class folder; None for an image at the top.
    """

    name: str
    folder: str | None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a source holds, by name.

    Attributes:
        name: Of the source, printable.
        items: The images, sorted by name.
        empty_folders: Folders beside the class folders that hold no image, sorted.
        wrapping: The only folder with images, if all class folders are in it; it is not in the
            images' names.
        beside_wrapping: Folders beside that one, without images, sorted.
        passed_over: The files that are no images.
    """

    name: str
    items: tuple[ImageItem, ...]
    empty_folders: tuple[str, ...] = ()
    wrapping: str | None = None
    beside_wrapping: tuple[str, ...] = ()
    passed_over: PassedOver = field(default_factory=PassedOver)

    @property
    def folders(self) -> frozenset[str]:
        """The class folders that hold images."""
        return frozenset(item.folder for item in self.items if item.folder is not None)


class ImageSource:
    """The images of a folder or archive, sorted by name; a context manager that closes its storage.

    ``stored_names`` maps each image's name to that in the storage.
    """

    def __init__(self, listing: Listing, storage: Storage, stored_names: dict[str, str]) -> None:
        self.listing = listing
        self._storage = storage
        self._stored_names = stored_names

    @property
    def name(self) -> str:
        """Of the folder or archive, printable."""
        return self.listing.name

    @property
    def items(self) -> tuple[ImageItem, ...]:
        """The images, sorted by name."""
        return self.listing.items

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
    """Open a folder of images or of class folders, a `.tar` or `.zip` of either, or several tars.

    Several tars that are one source have a range in their name: `train-{000..146}.tar`.

    A file is an image if its ending is one of `ENDINGS`, or its first bytes are those of a format
    that Pillow reads here; others, hidden ones and `__MACOSX` are counted and passed over. Deeper
    images belong to their top folder. A single folder around the class folders is dropped from the
    names.

    Raises:
        InputError: The path is missing, damaged, or holds no image.
    """
    storage = open_any(path)
    try:
        found = _Found(storage, path)
        return ImageSource(found.listing(), storage, found.stored_names)
    except BaseException:
        storage.close()
        raise


class _Found:
    """The files of a storage, sorted out; refuses unsafe and repeated names."""

    def __init__(self, storage: Storage, path: Path) -> None:
        self._path = path
        self._storage = storage
        self._counting = Counting()
        self.stored_names: dict[str, str] = {}
        for stored in storage.names():
            parts = _parts(stored)
            if parts and self._is_image(parts, stored):
                self._add(parts, stored)

    def listing(self) -> Listing:
        """The images and folders by name, without a folder that is around all of them."""
        passed_over = self._counting.result()
        if not self.stored_names:
            found = passed_over.in_words() or "none"
            raise InputError(
                f"{self._path}: expected images ({', '.join(FORMATS)}), alone or in class folders,"
                f" found {found}"
            )
        folders = {tuple(parts) for parts in map(_parts, self._storage.folders()) if parts}
        shown = {tuple(map(printable, parts)) for parts in folders if not is_hidden(parts)}
        wrapping = _wrapping(self.stored_names)
        if wrapping is not None:
            self.stored_names = {
                name.partition("/")[2]: stored for name, stored in self.stored_names.items()
            }
        inside = [parts[1:] for parts in shown if parts[0] == wrapping] if wrapping else shown
        items = tuple(
            ImageItem(name=image, folder=image.split("/")[0] if "/" in image else None)
            for image in sorted(self.stored_names)
        )
        return Listing(
            name=printable(self._path.resolve().name),
            items=items,
            empty_folders=_tops(inside, without={item.folder for item in items}),
            wrapping=wrapping,
            beside_wrapping=_tops(shown, without={wrapping}) if wrapping else (),
            passed_over=passed_over,
        )

    def _is_image(self, parts: list[str], stored: str) -> bool:
        """Whether a file is an image, by its ending or its first bytes; others are counted."""
        hidden = is_hidden(parts)
        ending = PurePosixPath(parts[-1]).suffix.lower()
        if not hidden and (ending in ENDINGS or (ending not in _RAW and self._looks(stored))):
            return True
        self._counting.add(printable("/".join(parts)), hidden=hidden)
        return False

    def _looks(self, stored: str) -> bool:
        """Whether a file begins as an image does."""
        try:
            return is_image(self._storage.head(stored, HEAD_BYTES))
        except UnusableImage:
            return False

    def _add(self, parts: list[str], stored: str) -> None:
        """Take an image in under its name."""
        name = printable("/".join(parts))
        if ".." in parts:
            raise InputError(f"{self._path}: expected names inside the archive, found {name!r}")
        if name in self.stored_names:
            raise InputError(
                f"{self._path}: two files are called {name!r} ({self.stored_names[name]!r},"
                f" {stored!r}); rename one"
            )
        self.stored_names[name] = stored


def _parts(stored: str) -> list[str]:
    """Components of a stored name, whatever system it was stored on."""
    return [part for part in stored.replace("\\", "/").split("/") if part not in ("", ".")]


def _wrapping(names: Iterable[str]) -> str | None:
    """The first folder of all names, if it is the only one and holds only folders."""
    split = [name.split("/", 2) for name in names]
    if len({parts[0] for parts in split}) > 1 or min(len(parts) for parts in split) < 3:
        return None
    return split[0][0]


def _tops(folders: Iterable[tuple[str, ...]], *, without: set[str | None]) -> tuple[str, ...]:
    """First components of folders, sorted."""
    return tuple(sorted({parts[0] for parts in folders if parts} - without))
