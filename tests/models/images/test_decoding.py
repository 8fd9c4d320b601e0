import io
import struct
import warnings
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eightbit.models.errors import UnusableImage
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.signatures import FORMATS


def save(image: Image.Image, image_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def gradient(mode: str) -> Image.Image:
    return Image.linear_gradient("L").resize((48, 40)).convert(mode)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("image_format", FORMATS)
def test_every_format_decodes_as_pillow_converts_it(
    image_format: str, encoded: Callable[..., bytes]
) -> None:
    data = encoded(image_format)
    found = decode_image(data)
    assert (found.mode, found.size) == ("RGB", (40, 32))
    expected = Image.open(io.BytesIO(data)).convert("RGB")
    assert np.array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "RGB"])
def test_every_mode_of_a_png_becomes_rgb(mode: str) -> None:
    image = gradient("L").convert("RGBA" if mode in ("LA", "RGBA") else "L").convert(mode)
    found = decode_image(save(image, "PNG"))
    assert np.array_equal(np.asarray(found), np.asarray(image.convert("RGB")))


def test_cmyk_becomes_rgb() -> None:
    found = np.asarray(decode_image(save(gradient("RGB").convert("CMYK"), "JPEG", quality=95)))
    difference = np.abs(found.astype(int) - np.asarray(gradient("RGB")).astype(int))
    assert difference.max() < 12


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled_and_not_clipped(image_format: str) -> None:
    values = np.array([[0, 128, 129, 257, 32768, 65406, 65407, 65535]], dtype=np.uint16)
    found = np.asarray(decode_image(save(Image.fromarray(values), image_format)))
    # v / 257, rounded to nearest: 128 / 257 = 0.498, 129 / 257 = 0.502, 32768 / 257 = 127.502
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]
    assert (found[..., 0] == found[..., 1]).all()
    assert (found[..., 0] == found[..., 2]).all()


@pytest.mark.parametrize("value", [-1, 70000])
def test_grey_of_32_bits_has_no_known_range(value: int) -> None:
    image = Image.fromarray(np.full((4, 4), value, dtype=np.int32))
    with pytest.raises(UnusableImage, match="16 bits"):
        decode_image(save(image, "TIFF"))


def test_floating_point_pixels_have_no_known_range() -> None:
    with pytest.raises(UnusableImage, match="floating point"):
        decode_image(save(Image.fromarray(np.ones((4, 4), dtype=np.float32)), "TIFF"))


def test_transparency_is_dropped_as_torchvisions_loader_does() -> None:
    image = Image.new("RGBA", (3, 3), (200, 10, 30, 0))
    assert decode_image(save(image, "PNG")).getpixel((1, 1)) == (200, 10, 30)
    palette = Image.new("P", (3, 3), 1)
    palette.putpalette([0, 0, 0, 9, 8, 7])
    data = save(palette, "PNG", transparency=b"\x10\x20")
    assert decode_image(data).getpixel((1, 1)) == (9, 8, 7)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_applied(orientation: int, image_format: str) -> None:
    stored = np.zeros((16, 32, 3), dtype=np.uint8)
    stored[:8, :8] = 255  # a bright corner tells all eight orientations apart, with the shape
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = np.asarray(decode_image(save(Image.fromarray(stored), image_format, exif=exif)))
    # From the EXIF specification (tag 0x0112): where row 0 and column 0 of what is stored belong.
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.transpose(1, 0, 2),
        6: stored.transpose(1, 0, 2)[:, ::-1],
        7: stored.transpose(1, 0, 2)[::-1, ::-1],
        8: stored.transpose(1, 0, 2)[::-1],
    }[orientation]
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright.astype(int)).mean() < 5


@pytest.mark.parametrize("image_format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_counts(image_format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options: dict[str, object] = {"lossless": True} if image_format == "WEBP" else {}
    data = save(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
    assert decode_image(data).getpixel((4, 4)) == (255, 0, 0)


def test_damaged_exif_does_not_make_an_image_unusable(encoded: Callable[..., bytes]) -> None:
    data = encoded("JPEG")
    segment = b"Exif\0\0" + b"II*\0" + b"\xff" * 40
    damaged = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    assert decode_image(damaged).size == (40, 32)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an image"),
        (b"hello, world", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (png_of_size(100_000, 100_000), "megapixels"),
        (png_of_size(12_000, 12_000), "megapixels, found 12000 x 12000"),
        (png_of_size(9_600, 9_600), "damaged"),
        (png_of_size(50, 50), "damaged"),
    ],
    ids=["empty", "text", "eps", "svg", "bomb", "over our limit", "within it", "no pixels"],
)
def test_what_is_no_usable_image_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(UnusableImage, match=reason) as caught:
        decode_image(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("image_format", [name for name in FORMATS if name != "PPM"])
def test_a_truncated_image_is_refused(image_format: str, encoded: Callable[..., bytes]) -> None:
    data = encoded(image_format)
    with pytest.raises(UnusableImage):
        decode_image(data[: len(data) // 2])


@pytest.fixture(scope="module")
def samples() -> list[bytes]:
    image = gradient("RGB").resize((16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6
    options: list[tuple[str, dict[str, object]]] = [
        ("JPEG", {"exif": exif}),
        ("PNG", {"exif": exif}),
        ("GIF", {}),
        ("TIFF", {}),
        ("WEBP", {}),
        ("BMP", {}),
        ("PPM", {}),
        ("JPEG2000", {}),
        ("AVIF", {}),
    ]
    return [save(image, image_format, **extra) for image_format, extra in options]


@settings(max_examples=400)
@given(choices=st.data())
def test_mutated_images_decode_or_are_refused_and_nothing_else(
    choices: st.DataObject, samples: list[bytes]
) -> None:
    data = bytearray(choices.draw(st.sampled_from(samples)))
    positions = st.integers(0, len(data) - 1)
    for position, value in choices.draw(
        st.lists(st.tuples(positions, st.integers(0, 255)), min_size=1, max_size=6)
    ):
        data[position] = value
    if choices.draw(st.booleans()):
        data = data[: choices.draw(positions)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            image = decode_image(bytes(data))
        except UnusableImage as exc:
            assert str(exc)
            assert "\n" not in str(exc)
        else:
            assert image.mode == "RGB"


def test_what_libtiff_says_of_a_damaged_file_is_not_on_stderr(capfd):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(4800, dtype=np.uint8).reshape(40, 40, 3)).save(
        buffer, "TIFF", compression="tiff_deflate"
    )
    data = bytearray(buffer.getvalue())
    data[20:24] = b"\0\0\0\0"
    with pytest.raises(UnusableImage):
        decode_image(bytes(data))
    assert capfd.readouterr().err == ""
