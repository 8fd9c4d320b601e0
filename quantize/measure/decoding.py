"""Photos decoded whole and scaled: what that changes in pixels, and how long either takes."""

import statistics
import time
from collections.abc import Iterator
from itertools import islice
from typing import Final

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.report.images import DecodingSection
from eightbit.models.errors import UnusableImage
from eightbit.models.images.decoding import ScaledImage
from eightbit.models.images.preprocessing import cropped_pixels, decode_for
from eightbit.models.images.sources import ImageSource
from eightbit.models.spec import Decode, Preprocessing

# So many photos are compared, and so many files are opened to find them.
_COMPARED: Final = 8
_OPENED: Final = 24


def compare_decodings(source: ImageSource, preprocessing: Preprocessing) -> DecodingSection | None:
    """Decode, resize and crop some photos both ways; None where no photo is large enough.

    Of files at equal distances in an open source the first are taken that scaled decoding makes
    smaller. Each is decoded by one thread, whole and scaled in turns.
    """
    photos = list(islice(_large(source, preprocessing), _COMPARED))
    if not photos:
        return None
    found: dict[Decode, list[float]] = {decode: [] for decode in Decode}
    levels = []
    for turn, (data, _) in enumerate(photos):
        pixels = {}
        for decode in list(Decode)[:: 1 if turn % 2 else -1]:
            pixels[decode], seconds = _timed(data, preprocessing, decode)
            found[decode].append(seconds * 1e3)
        exact, scaled = (pixels[decode].astype(int) for decode in Decode)
        levels.append(float(np.abs(scaled - exact).mean()))
    return DecodingSection(
        images=len(photos),
        megapixels=statistics.median(size for _, size in photos) / 1e6,
        exact_ms=statistics.median(found[Decode.EXACT]),
        scaled_ms=statistics.median(found[Decode.SCALED]),
        mean_levels=statistics.mean(levels),
        max_levels=max(levels),
    )


def _large(source: ImageSource, preprocessing: Preprocessing) -> Iterator[tuple[bytes, int]]:
    """Bytes and number of pixels of the photos that would be decoded smaller."""
    scaled = _with(preprocessing, Decode.SCALED)
    for item in source.items[:: -(-len(source.items) // _OPENED)]:
        try:
            data = source.read(item)
            image = decode_for(data, scaled)
        except UnusableImage:
            continue  # it is skipped wherever images are used, and told there
        if isinstance(image, ScaledImage):
            width, height = image.size
            yield data, width * height


def _timed(
    data: bytes, preprocessing: Preprocessing, decode: Decode
) -> tuple[npt.NDArray[np.uint8], float]:
    """The pixels of a file, and in how many seconds."""
    wanted = _with(preprocessing, decode)
    start = time.perf_counter()
    pixels = cropped_pixels(decode_for(data, wanted), wanted)
    return pixels, time.perf_counter() - start


def _with(preprocessing: Preprocessing, decode: Decode) -> Preprocessing:
    return preprocessing.model_copy(update={"decode": decode})
