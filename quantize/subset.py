"""A few of many images: the same ones in whatever order they come by."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import torch

from eightbit.models.images.loading import LoadedImage

# What the stages that look at every tensor twice hold at once: four images of 224 px, 87 of 48 px,
# 196 of 32 px. Large images have more positions to average over, so fewer are needed: with a
# quarter of them bias correction gains resnet18 as many tenths of a decibel.
PIXELS: Final = 4 * 224 * 224


class Subset:
    """Keeps the images with the smallest digests of those that pass by.

    Args:
        pixels: At most so many pixels in all, and at least one image.
    """

    def __init__(self, pixels: int = PIXELS) -> None:
        self._pixels = pixels
        self._kept: dict[str, LoadedImage] = {}

    def watch(self, images: Iterable[LoadedImage]) -> Iterator[LoadedImage]:
        """The same images; those to keep are remembered as they pass."""
        for image in images:
            self._kept.setdefault(image.digest, image)
            if len(self._kept) > max(self._pixels // image.pixels[0].size, 1):
                del self._kept[max(self._kept)]
            yield image

    def images(self) -> torch.Tensor:
        """Those kept, in the order of their digests: float32, shape (N, 3, H, W).

        Raises:
            ValueError: No image passed.
        """
        if not self._kept:
            raise ValueError("expected at least one image to pass, found none")
        return torch.from_numpy(
            np.stack([self._kept[digest].pixels for digest in sorted(self._kept)])
        )
