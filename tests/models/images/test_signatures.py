"""What begins like an image is one, and what does not is none, whatever Pillow reads."""

from collections.abc import Callable

import pytest
from PIL import Image

from eightbit.models.images import signatures
from eightbit.models.images.signatures import FORMATS, HEAD_BYTES, is_image


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_is_known_by_its_first_bytes(
    image_format: str, encoded: Callable[..., bytes]
) -> None:
    assert is_image(encoded(image_format)[:HEAD_BYTES])


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"B",
        b"BMW and Audi are classes\n" * 9,
        b"P1 to P3 are the first three classes\n",
        b"P5",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" * 9,
        b"PK\x03\x04",
    ],
    ids=lambda head: repr(head[:12]),
)
def test_other_files_are_none(head: bytes) -> None:
    assert not is_image(head)


def test_a_format_that_this_pillow_only_recognises_is_not_read(
    encoded: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = encoded("AVIF")[:HEAD_BYTES]
    factory, _ = Image.OPEN["AVIF"]
    monkeypatch.setitem(Image.OPEN, "AVIF", (factory, lambda _: "support not installed"))
    signatures._signatures.cache_clear()
    try:
        assert not is_image(head)
    finally:
        monkeypatch.undo()
        signatures._signatures.cache_clear()
    assert is_image(head)
