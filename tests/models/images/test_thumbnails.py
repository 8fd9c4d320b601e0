"""Small pictures that fit into a report."""

import io

import numpy as np
import pytest
from PIL import Image

from eightbit.models.images.thumbnails import thumbnail


def _noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((500, 400), (96, 77)), ((400, 500), (77, 96)), ((32, 32), (32, 32)), ((9000, 3), (96, 1))],
)
def test_the_longest_side_is_limited_and_nothing_grows(size, expected):
    image = _noise(*size)
    with Image.open(io.BytesIO(thumbnail(image))) as small:
        assert (small.format, small.mode, small.size) == ("JPEG", "RGB", expected)
    assert image.size == size


def test_even_noise_fits_into_a_report():
    assert len(thumbnail(_noise(96, 96))) < 24 * 2**10


def test_equal_images_give_equal_bytes():
    assert thumbnail(_noise(200, 200)) == thumbnail(_noise(200, 200))


def test_metadata_stays_behind():
    image = _noise(200, 200)
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    image.info.update(exif=exif.tobytes(), icc_profile=b"x" * 50_000, comment=b"secret")
    found = thumbnail(image)
    assert b"where I live" not in found
    assert b"secret" not in found
    assert len(found) < 24 * 2**10


def test_a_picture_looks_like_its_image():
    image = Image.new("RGB", (300, 300), (200, 30, 60))
    with Image.open(io.BytesIO(thumbnail(image))) as small:
        assert np.abs(np.asarray(small).astype(int) - (200, 30, 60)).max() < 4
