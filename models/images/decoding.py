"""Decodes untrusted image files to RGB."""

import ctypes
import io
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from PIL import Image, ImageFile, UnidentifiedImageError
from PIL.ExifTags import Base as ExifTag
from PIL.JpegImagePlugin import JpegImageFile

from eightbit.models.errors import UnusableImage
from eightbit.models.images.signatures import FORMATS
from eightbit.models.plain_text import one_line

MAX_PIXELS = 100_000_000

_TRANSPOSITIONS = {  # EXIF orientation: what makes the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_ON_ITS_SIDE: Final = frozenset({5, 6, 7, 8})


def decode_image(data: bytes) -> Image.Image:
    """Decode an image of one of `FORMATS`, of an animation the first frame, to upright RGB.

    Transparency is dropped, not composited, as torchvision's image loader does it
    (`convert("RGB")`). Grey of 16 bits is scaled to 8, where Pillow's conversion would clip it.
    Unlike in torchvision's loader an EXIF orientation is applied.

    Raises:
        UnusableImage: Not an image, damaged, or more than `MAX_PIXELS`. Nothing else, and no
            warning, whatever the bytes are.
    """
    with _unusable():
        return _whole(_opened(data))


@dataclass(frozen=True, kw_only=True, eq=False)
class ScaledImage:
    """An RGB image that was decoded smaller than it is, and is not upright yet.

    Attributes:
        image: As it was decoded.
        size: Width and height of the image in pixels, if it were decoded whole, upright.
        box: Where the image lies in `image`, in its pixels: left, upper, right, lower. The decoder
            rounds sides up.
        orientation: By EXIF; 1 where `image` is upright.
    """

    image: Image.Image
    size: tuple[int, int]
    box: tuple[float, float, float, float]
    orientation: int

    def resized(self, size: tuple[int, int], kernel: Image.Resampling) -> Image.Image:
        """The upright image, resized to width and height in pixels."""
        small = self.image.resize(_turned(size, self.orientation), kernel, box=self.box)
        return _upright(small, self.orientation)


# The least that is left of each side for resizing, times what it is resized to. Pillow's
# `Image.thumbnail` has the same by default, as its `reducing_gap`.
_GAP: Final = 2


def decode_scaled(
    data: bytes, resized: Callable[[tuple[int, int]], tuple[int, int]]
) -> Image.Image | ScaledImage:
    """Decode an image that is resized next, a large JPEG smaller than it is.

    A JPEG holds blocks of 8 x 8 frequencies, of which libjpeg can decode the lowest 4 x 4, 2 x 2 or
    the mean alone: an image of a half, a quarter or an eighth of each side. The smallest is taken
    with both sides at least twice as long as those resized to: Pillow's rule, which calls it
    `draft`. Where none is so long, and of any other format, this is `decode_image`, to the bit.

    Args:
        data: An image file.
        resized: From width and height of the whole upright image to those it is resized to.

    Raises:
        UnusableImage: As `decode_image`, or as ``resized``.
    """
    with _unusable():
        image = _opened(data)
        orientation = _orientation(image) if isinstance(image, JpegImageFile) else 1
        upright = _turned(image.size, orientation)
        across, down = _turned(resized(upright), orientation)
        if min(image.width / across, image.height / down) < 2 * _GAP:
            return _whole(image)  # not even half of each side would do
        drafted = image.draft(None, (_GAP * across, _GAP * down))
        if drafted is None:
            return _whole(image)
        with suppress(
            Exception
        ):  # it cannot be done with a lossless JPEG; a damaged one is refused
            rgb = _to_rgb(image)
            return ScaledImage(image=rgb, size=upright, box=drafted[1], orientation=orientation)
    return decode_image(data)


def _opened(data: bytes) -> ImageFile.ImageFile:
    """An image of which nothing but its head is read."""
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnusableImage(_too_large(f"{width} x {height} pixels"))
    return image


def _whole(image: ImageFile.ImageFile) -> Image.Image:
    """An opened image, upright and in RGB."""
    image.load()
    return _upright(_to_rgb(image), _orientation(image))


@contextmanager
def _unusable() -> Iterator[None]:
    """Make whatever Pillow raises an `UnusableImage`, and keep its warnings off the terminal."""
    _silence_pillow()
    try:
        yield
    except UnusableImage:
        raise
    except UnidentifiedImageError as exc:
        raise UnusableImage(f"not an image of a known format ({', '.join(FORMATS)})") from exc
    except Image.DecompressionBombError as exc:
        raise UnusableImage(_too_large(f"over {MAX_PIXELS}")) from exc
    except Exception as exc:  # Pillow raises two dozen types on damaged files
        raise UnusableImage(
            f"damaged image: {one_line(exc) or 'no detail'} ({type(exc).__name__})"
        ) from exc


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image as its EXIF orientation wants it seen."""
    transposition = _TRANSPOSITIONS.get(orientation)
    return image if transposition is None else image.transpose(transposition)


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Width and height of an image once upright, from those it is stored with; or back."""
    return size[::-1] if orientation in _ON_ITS_SIDE else size


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image of any mode to RGB."""
    if image.mode.startswith("I"):
        return _grey16_to_rgb(np.asarray(image))
    if image.mode == "F":
        raise UnusableImage("floating point pixels, whose range is not known")
    return image.convert("RGB")


def _grey16_to_rgb(values: np.ndarray) -> Image.Image:
    """Scale integers 0..65535, shape (H, W), to 0..255, rounded to nearest: 65535 / 255 = 257."""
    if values.min() < 0 or values.max() > 65535:
        raise UnusableImage("grey values of more than 16 bits, whose range is not known")
    scaled = (values.astype(np.int32) + 128) // 257
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")


def _orientation(image: Image.Image) -> int:
    """EXIF orientation of a decoded image; 1, upright, where there is none or it is damaged."""
    try:
        orientation = image.getexif().get(ExifTag.Orientation, 1)
    except Exception:  # damaged metadata does not make the pixels unusable
        return 1
    return orientation if isinstance(orientation, int) else 1


def _silence_pillow() -> None:
    """Keep Pillow's warnings about damaged files off the user's terminal.

    Set for the process, because images are decoded in threads and `warnings.catch_warnings` would
    restore another thread's filters; and with each image, because others may have reset them.
    """
    warnings.filterwarnings("ignore", module=r"PIL\.")
    _silence_libtiff()


@cache
def _silence_libtiff() -> None:
    """Keep what libtiff says of damaged files off stderr; Pillow raises what matters.

    It prints from C, and may do so in several threads. The library is that which Pillow's own
    module has loaded; where that shows no such functions, it is left as it is.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(sys.modules["PIL._imaging"].__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            set_handler = getattr(library, name)
            set_handler.argtypes, set_handler.restype = [ctypes.c_void_p], ctypes.c_void_p
            set_handler(None)


def _too_large(found: str) -> str:
    return f"too large to be decoded: at most {MAX_PIXELS // 1_000_000} megapixels, found {found}"
