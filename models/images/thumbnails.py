"""Small pictures of images, to show in a report."""

import io
from typing import Final

from PIL import Image

_LONGEST_SIDE: Final = 96
_QUALITY: Final = 75


def thumbnail(image: Image.Image) -> bytes:
    """A picture of an image, 96 pixels long at most; smaller images keep their size.

    Args:
        image: Mode RGB, any size; left as it is.

    Returns:
        A JPEG file of less than 24 KiB, without metadata: noise of the full size takes 6. Equal
        images give equal bytes.
    """
    small = image.copy()
    small.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    small.info.clear()
    file = io.BytesIO()
    small.save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
