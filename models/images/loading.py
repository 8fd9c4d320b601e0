"""Images of a source as network inputs, decoded ahead in threads, in order."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from eightbit.models.errors import UnusableImage
from eightbit.models.images.passed_over import ImageName
from eightbit.models.images.preprocessing import decode_for, preprocess
from eightbit.models.images.sources import ImageItem, ImageSource
from eightbit.models.spec import FrozenModel, Preprocessing

_AHEAD_PER_WORKER = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedImage:
    """An image, ready for the network.

    Attributes:
        digest: SHA-256 of the file's bytes, hexadecimal: equal for copies of a file.
        pixels: float32, shape (3, H, W) of the crop, normalised.
    """

    item: ImageItem
    digest: str
    pixels: npt.NDArray[np.float32]


class SkippedImage(FrozenModel):
    """A file that could not be used, and why."""

    name: ImageName
    reason: str


def load_images(
    source: ImageSource,
    items: Iterable[ImageItem],
    preprocessing: Preprocessing,
    *,
    workers: int = 2,
) -> Iterator[LoadedImage | SkippedImage]:
    """Read, decode and preprocess images in threads; yields each in order, or why it is skipped.

    At most `4 * workers` images are held beyond the one that was yielded. Closing the iterator
    early stops the threads; the source must stay open until then.
    """
    pending: deque[Future[LoadedImage | SkippedImage]] = deque()
    upcoming = iter(items)
    executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="load-image")
    try:
        for item in islice(upcoming, _AHEAD_PER_WORKER * workers):
            pending.append(executor.submit(_load, source, item, preprocessing))
        while pending:
            loaded = pending.popleft().result()
            for item in islice(upcoming, 1):
                pending.append(executor.submit(_load, source, item, preprocessing))
            yield loaded
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _load(
    source: ImageSource, item: ImageItem, preprocessing: Preprocessing
) -> LoadedImage | SkippedImage:
    """Load one image; an unusable one is a value, not an exception."""
    try:
        data = source.read(item)
        pixels = preprocess(decode_for(data, preprocessing), preprocessing)
    except UnusableImage as exc:
        return SkippedImage(name=item.name, reason=str(exc))
    return LoadedImage(item=item, digest=hashlib.sha256(data).hexdigest(), pixels=pixels)
