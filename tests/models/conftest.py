"""Fixtures of this room: real files, which lie outside the repository, and small made-up ones."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Small tensors and shared cores: a second thread would mostly wait for the first."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def shared_file() -> Callable[[str], Path]:
    """Find a real input by its name; where it is absent, the test skips and says which."""
    default = Path(__file__).resolve().parents[2].parent / "shared"
    root = Path(os.environ.get("EIGHTBIT_SHARED", default))

    def find(name: str) -> Path:
        path = root / name
        if not path.is_file():
            pytest.skip(f"real file absent: {name}")
        return path

    return find


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
