"""Small pictures of images, to show in a report."""

import io
from typing import Final

from PIL import Image

_LONGEST_SIDE: Final = 96
_QUALITY: Final = 75


def thumbnail(image: Image.Image) -> bytes:
    """A JPEG of an RGB image, at most 96 pixels long and 24 KiB; deterministic, no metadata."""
    small = image.copy()
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    small.info.clear()
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
