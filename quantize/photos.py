"""Photo files to classify from their bytes on: a user's own, or made-up ones."""

import io
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from eightbit.benchmarks.report.figures import counted
from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.preprocessing import cropped_pixels
from eightbit.models.images.sources import ImageSource, open_source
from eightbit.models.spec import ModelSpec
from eightbit.quantize.made_up import made_up_picture

_COUNT: Final = 16

# The usual size of ImageNet's photos.
_WIDTH, _HEIGHT = 500, 375
_MADE_UP_COUNT: Final = 4
_QUALITY: Final = 90


@dataclass(frozen=True, kw_only=True)
class Photos:
    """Photos as files.

    Attributes:
        files: Their bytes.
        described: What they are, such as "made-up JPEG, 500 x 375 pixels".
    """

    files: tuple[bytes, ...]
    described: str


def made_up_photos() -> Photos:
    """JPEG files of the size of ImageNet's photos; always the same."""
    files = []
    for seed in range(_MADE_UP_COUNT):
        buffer = io.BytesIO()
        picture = made_up_picture(_WIDTH, _HEIGHT, seed)
        picture.save(buffer, "JPEG", quality=_QUALITY)
        files.append(buffer.getvalue())
    return Photos(files=tuple(files), described=f"made-up JPEG, {_WIDTH} x {_HEIGHT} pixels")


def read_photos(path: Path, spec: ModelSpec) -> Photos:
    """The first usable photos of a folder or archive, at most 16.

    Args:
        path: Folder or archive.
        spec: Of the model that they are prepared for.

    Raises:
        InputError: There is no image, or none that can be used.
    """
    with open_source(path) as source:
        usable = list(islice(_usable(source, spec), _COUNT))
        if not usable:
            raise InputError(f"{path}: expected a photo that can be used, found none")
        files, sizes = zip(*usable, strict=True)
        width, height = (round(statistics.median(column)) for column in zip(*sizes, strict=True))
        described = (
            f"{counted(len(files), 'photo')} of {source.name}, about {width} x {height} pixels"
        )
        return Photos(files=files, described=described)


def _usable(source: ImageSource, spec: ModelSpec) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Bytes and size of every photo that can be made an input of the model."""
    for item in source.items:
        try:
            data = source.read(item)
            image = decode_image(data)
            cropped_pixels(image, spec.preprocessing)
        except UnusableImage:
            continue  # it is not what shall be measured
        yield data, image.size
