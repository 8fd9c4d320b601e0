"""Fixtures of this room: small synthetic images."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photo() -> Callable[..., Image.Image]:
    """Make an RGB image with structure at every scale, always the same for the same arguments."""

    def make(width: int, height: int, seed: int = 0) -> Image.Image:
        rng = np.random.default_rng((seed, width, height))
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        return Image.fromarray(pixels)

    return make


@pytest.fixture
def encoded(photo: Callable[..., Image.Image]) -> Callable[..., bytes]:
    """Encode a small photo in a format of Pillow's."""

    def make(
        image_format: str = "JPEG", *, seed: int = 0, size: tuple[int, int] = (40, 32)
    ) -> bytes:
        buffer = io.BytesIO()
        photo(*size, seed=seed).save(buffer, image_format)
        return buffer.getvalue()

    return make
