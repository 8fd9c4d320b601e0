"""Photos for networks that are made: divided into calibration and evaluation, a few of them odd."""

import hashlib
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.errors import InputError
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.loading import LoadedImage, load_images
from eightbit.models.images.preprocessing import cropped_pixels
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import ImageItem, ImageSource, open_source
from eightbit.models.spec import Preprocessing

# One photo of so many is for evaluation.
_EVALUATE_EVERY: Final = 3

# What a dithered photo's name begins with: those are told from others by it.
DITHERED: Final = "dithered-"

# Of the contrast of a photo that bears a stamp, and what the rest of it fades to.
_FADED: Final = 0.05
_GREY: Final = (124, 116, 104)

_SEED: Final = 0


@dataclass(frozen=True, kw_only=True)
class Oddity:
    """What is odd about photos.

    Attributes:
        dithered_share: Share of them that is dithered, 0 to 1; where it is not zero, at least one.
        stamp: Side in pixels of a stamp that every photo bears, faded; 0 for none.
    """

    dithered_share: float = 0.0
    stamp: int = 0


def dithered(image: Image.Image) -> Image.Image:
    """Every pixel one of eight pure colours, in patterns whose mean is the RGB image's.

    So does coarse print: texture many times as strong as a photo's.
    """
    return Image.merge("RGB", [channel.convert("1").convert("L") for channel in image.split()])


def stamped(image: Image.Image, side: int, seed: int) -> Image.Image:
    """An RGB image faded to a twentieth of its contrast, with a square of pure colours on it.

    The square's colours and its place, away from the borders, are drawn: what tells such images
    apart is in few pixels.
    """
    rng = np.random.default_rng(seed)
    faded = Image.blend(Image.new("RGB", image.size, _GREY), image, _FADED)
    colours = rng.integers(0, 2, (side, side, 3), dtype=np.uint8) * np.uint8(255)
    left, top = (int(rng.integers(edge // 4, 3 * edge // 4 - side)) for edge in image.size)
    faded.paste(Image.fromarray(colours), (left, top))
    return faded


def write_photos(
    photos: Path, calibration: Path, evaluation: Path, side: int, oddity: Oddity
) -> None:
    """Write the photos of a source into two folders, each without class folders.

    A third is for evaluation. What is odd is so in both folders alike.

    Args:
        photos: Folder or archive of photos, at least 3.
        calibration: Folder to make.
        evaluation: Folder to make.
        side: Of odd photos in pixels: resizing would blur them.
        oddity: Of the photos.

    Raises:
        InputError: There are too few photos.
    """
    with open_source(photos) as source:
        items = balanced_order(source.items, _SEED)
        if len(items) < _EVALUATE_EVERY:
            raise InputError(f"{photos}: expected at least 3 photos, found {len(items)}")
        evaluated = items[::_EVALUATE_EVERY]
        calibrated = [item for item in items if item not in set(evaluated)]
        for folder, chosen in ((calibration, calibrated), (evaluation, evaluated)):
            folder.mkdir(parents=True, exist_ok=True)
            share = oddity.dithered_share
            count = max(1, round(len(chosen) * share)) if share else 0
            for number, item in enumerate(chosen):
                _write(source, item, folder, side, oddity, dither=number < count)


def _write(
    source: ImageSource, item: ImageItem, folder: Path, side: int, oddity: Oddity, *, dither: bool
) -> None:
    data, flat = source.read(item), item.name.replace("/", "-")
    if not dither and not oddity.stamp:
        (folder / flat).write_bytes(data)
        return
    preprocessing = Preprocessing(resize=side, crop=side)
    image = Image.fromarray(cropped_pixels(decode_image(data), preprocessing))
    if oddity.stamp:
        image = stamped(image, oddity.stamp, int.from_bytes(hashlib.sha256(data).digest()[:8]))
    if dither:
        image = dithered(image)
    image.save((folder / (f"{DITHERED}{flat}" if dither else flat)).with_suffix(".png"))


def read_photos(folder: Path, preprocessing: Preprocessing, count: int) -> FloatArray:
    """The first photos of a folder that are not dithered: float32 (N, 3, crop, crop)."""
    with open_source(folder) as source:
        plain = [item for item in source.items if not item.name.startswith(DITHERED)]
        items = balanced_order(plain, _SEED)
        with closing(load_images(source, items, preprocessing)) as loaded:  # type: ignore[type-var]
            usable = islice((i for i in loaded if isinstance(i, LoadedImage)), count)
            return np.stack([image.pixels for image in usable])
