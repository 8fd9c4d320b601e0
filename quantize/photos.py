"""Photo files to classify from their bytes on: a user's own, or synthetic ones."""

import io
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from eightbit.models.errors import InputError, UnusableImage
from eightbit.models.images.preprocessing import cropped_pixels, decode_for, normalised_images
from eightbit.models.images.sources import ImageSource, open_source
from eightbit.models.plain_text import counted
from eightbit.models.spec import ModelSpec, Preprocessing
from eightbit.quantize.images import tell_left_out
from eightbit.quantize.stages import Watcher

SYNTHETIC: Final = "synthetic images"

# Photographs have most of their contrast in large shapes: its amplitude falls with the frequency
# (D. J. Field, JOSA A 4, 1987). So do synthetic images, in colours that vary less than brightness
# does: enough to compare kernels, not to judge predictions.
_COLOUR: Final = 0.4  # of what brightness varies
_GRAIN: Final = 8.0  # standard deviation, of 255
_MEAN, _MEAN_SPREAD, _CONTRAST = 115.0, 30.0, 60.0  # of 255

# The usual size of ImageNet's photos.
_WIDTH, _HEIGHT = 500, 375
_SYNTHETIC_PHOTOS: Final = 4
_MAX_PHOTOS: Final = 16
_QUALITY: Final = 90


def synthetic_pixels(
    preprocessing: Preprocessing, count: int, seed: int = 0
) -> npt.NDArray[np.float32]:
    """Preprocessed pictures: float32, shape (count, 3, H, W); the same for the same seed."""
    rng = np.random.default_rng(seed)
    height, width = preprocessing.crop_size
    side = max(height, width)
    pictures = np.stack([_picture(rng, side)[:height, :width] for _ in range(count)])
    return normalised_images(pictures, preprocessing)


def synthetic_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """One RGB picture, determined by its seed; without grain its JPEG would be a third as long."""
    rng = np.random.default_rng(seed)
    picture = _picture(rng, max(width, height))[:height, :width]
    grain = _GRAIN * rng.standard_normal((height, width, 1))
    return Image.fromarray(np.clip(picture + grain, 0, 255).astype(np.uint8))


def _picture(rng: np.random.Generator, side: int) -> npt.NDArray[np.uint8]:
    """RGB, uint8, shape (side, side, 3)."""
    shapes = np.zeros((side, side, 3))
    cells = 2
    while cells <= side:
        grid = rng.standard_normal((cells, cells, 1)) + _COLOUR * rng.standard_normal(
            (cells, cells, 3)
        )
        shapes += np.stack([_enlarged(grid[..., c], side) for c in range(3)], axis=-1) / cells
        cells *= 2
    shapes *= _CONTRAST / max(float(shapes.std()), 1e-9)
    shapes += _MEAN + _MEAN_SPREAD * rng.standard_normal(3) - shapes.mean(axis=(0, 1))
    return np.clip(shapes, 0, 255).astype(np.uint8)


def _enlarged(grid: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.float32]:
    image = Image.fromarray(grid.astype(np.float32))
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))


@dataclass(frozen=True, kw_only=True)
class Photos:
    """Bytes of photo files, and their description such as "synthetic JPEG, 500 x 375 pixels"."""

    files: tuple[bytes, ...]
    described: str


def synthetic_photos() -> Photos:
    """JPEG files of the size of ImageNet's photos; always the same."""
    files = []
    for seed in range(_SYNTHETIC_PHOTOS):
        buffer = io.BytesIO()
        picture = synthetic_picture(_WIDTH, _HEIGHT, seed)
        picture.save(buffer, "JPEG", quality=_QUALITY)
        files.append(buffer.getvalue())
    return Photos(files=tuple(files), described=f"synthetic JPEG, {_WIDTH} x {_HEIGHT} pixels")


def read_photos(path: Path, spec: ModelSpec, watcher: Watcher) -> Photos:
    """The first photos of a folder or archive that are usable for a model, at most 16.

    Raises:
        InputError: There is no image, or none that can be used.
    """
    with open_source(path) as source:
        usable = list(islice(_usable(source, spec), _MAX_PHOTOS))
        if not usable:
            raise InputError(f"{path}: expected a photo that can be used, found none")
        tell_left_out(path, source, watcher)
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
            image = decode_for(data, spec.preprocessing)
            cropped_pixels(image, spec.preprocessing)
        except UnusableImage:
            continue  # it is not what shall be measured
        yield data, image.size
