"""Decodes untrusted image files to RGB."""

import ctypes
import io
import sys
import warnings
from contextlib import suppress
from functools import cache

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base as ExifTag

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


def decode_image(data: bytes) -> Image.Image:
    """Decode an image of one of `FORMATS`, of an animation the first frame, to upright RGB.

    Transparency is dropped, not composited, as torchvision's image loader does it
    (`convert("RGB")`). Grey of 16 bits is scaled to 8, where Pillow's conversion would clip it.
    Unlike in torchvision's loader an EXIF orientation is applied.

    Raises:
        UnusableImage: Not an image, damaged, or more than `MAX_PIXELS`. Nothing else, and no
            warning, whatever the bytes are.
    """
    _silence_pillow()
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise UnusableImage(_too_large(f"{width} x {height} pixels"))  # noqa: TRY301
        image.load()
        rgb = _to_rgb(image)
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
    transposition = _TRANSPOSITIONS.get(_orientation(image))
    return rgb if transposition is None else rgb.transpose(transposition)


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
