"""Which files are images, by their first bytes: what Pillow reads here, whatever its name."""

import io
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Final

from PIL import Image

HEAD_BYTES: Final = 4096

# Only formats that Pillow decodes itself: EPS, for one, would start another program.
FORMATS: Final = (
    *("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000"),
    *(("AVIF",) if find_spec("PIL.AvifImagePlugin") else ()),  # since Pillow 11.3
)

# Their first bytes also begin a text: "BMW", "P1 to P3".
_SHORT_SIGNATURES: Final = frozenset({"BMP", "PPM"})


def is_image(head: bytes) -> bool:
    """Whether a file that begins so has the signature of one of `FORMATS`, as Pillow sees it."""
    for format, accepts in _signatures():
        # A string says why this Pillow cannot read what it recognises.
        if accepts(head[:16]) is True:
            return format not in _SHORT_SIGNATURES or _has_header(head, format)
    return False


@cache
def _signatures() -> tuple[tuple[str, Callable[[bytes], bool | str]], ...]:
    """The tests of the first 16 bytes that Pillow itself makes, by format."""
    Image.init()
    known = ((format, Image.OPEN[format][1]) for format in FORMATS if format in Image.OPEN)
    return tuple((format, accepts) for format, accepts in known if accepts is not None)


def _has_header(head: bytes, format: str) -> bool:
    """Whether the whole header of such an image is there; pixels are not read."""
    try:
        with Image.open(io.BytesIO(head), formats=(format,)):
            return True
    except Exception:  # Pillow raises two dozen types on what is none
        return False
