import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eightbit.models.errors import UnusableImage
from eightbit.models.images.decoding import ScaledImage, decode_image
from eightbit.models.images.preprocessing import decode_for, file_pixels
from eightbit.models.spec import Decode, Interpolation, Preprocessing, Size

# 48 x 40 grey pixels: a bright quarter. Written by libjpeg-turbo as a JPEG without loss, which has
# no frequencies to leave out.
LOSSLESS_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALCAAoADABAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAAf/2gAIAQEAAQAApAAAAIiA"
    "AAAAAACIgAAAAAAAiIAAAAAAAIiAAAAAAACIgAAAAAAAiIAAAAAAAIiAAAAAAACIgAAAAAAAiIAAAAAAAIiAAAAAAACIgAAA"
    "AAAAiIAAAAAAAIiAAAAAAACIgAAAAAAAiIAAAAAAAIiAAAAAAACIgAAAAAAAiIAAAAAAAIiAAAAAAACIgAAAiIAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAP/Z"
)


def photo(width: int, height: int) -> Image.Image:
    """Smooth colours of which no two places are alike, with an edge."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / width * a + y / height * b) for a, b in ((3, 1), (1, 4), (5, 2))]
    pixels = (np.stack(waves, -1) * 100 + 128).astype(np.uint8)
    pixels[: height // 5, : width // 3] = (250, 20, 60)
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **{"quality": 95, **options} if kind in ("JPEG", "MPO") else options)
    return file.getvalue()


def turned_by_exif(image: Image.Image, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(image, exif=exif)


def of(resize: Size, **fields: Any) -> Preprocessing:
    return Preprocessing(**{"resize": resize, "crop": resize, "decode": Decode.SCALED, **fields})


def whole(preprocessing: Preprocessing) -> Preprocessing:
    return preprocessing.model_copy(update={"decode": Decode.EXACT})


def assert_close(data: bytes, preprocessing: Preprocessing) -> None:
    """Scaled decoding happens, and hardly differs from the whole."""
    assert isinstance(decode_for(data, preprocessing), ScaledImage)
    found = file_pixels(data, preprocessing).astype(int)
    difference = np.abs(found - file_pixels(data, whole(preprocessing)))
    assert found.shape == (*preprocessing.crop_size, 3)
    assert difference.mean() < 0.5
    assert np.quantile(difference, 0.99) <= 6


def assert_every_bit(data: bytes, preprocessing: Preprocessing) -> None:
    assert isinstance(decode_for(data, preprocessing), Image.Image)
    expected = file_pixels(data, whole(preprocessing))
    np.testing.assert_array_equal(file_pixels(data, preprocessing), expected)


@pytest.mark.parametrize(
    ("size", "resize", "squash", "decoded"),
    [
        ((800, 600), 32, False, (100, 75)),  # 600 / 8 = 75 >= 2 * 32
        ((800, 600), 38, False, (200, 150)),  # 75 < 2 * 38
        ((600, 800), 38, False, (150, 200)),
        ((512, 512), 32, False, (64, 64)),  # just twice
        ((511, 512), 32, False, (128, 128)),  # sides are rounded up
        ((256, 256), 64, False, (128, 128)),
        ((800, 300), (64, 64), True, (400, 150)),  # 300 / 4 < 2 * 64
        ((800, 300), (30, 100), False, (400, 150)),  # becomes 100 x 38: 300 / 4 < 2 * 38
        ((800, 300), (30, 60), False, (200, 75)),  # becomes 80 x 30
    ],
)
def test_the_smallest_of_at_least_twice_the_resized_sides_is_decoded(
    size: tuple[int, int], resize: Size, squash: bool, decoded: tuple[int, int]
) -> None:
    preprocessing = of(resize, squash=squash)
    found = decode_for(saved(photo(*size)), preprocessing)
    assert isinstance(found, ScaledImage)
    assert found.image.size == decoded
    assert found.size == size
    assert_close(saved(photo(*size)), preprocessing)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("size", "resize"), [((255, 255), 64), ((500, 255), (64, 100)), ((30, 20), 64)]
)
def test_a_photo_too_small_for_half_keeps_every_bit(
    size: tuple[int, int], resize: Size, orientation: int
) -> None:
    assert_every_bit(turned_by_exif(photo(*size), orientation), of(resize))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "GIF"])
def test_another_format_keeps_every_bit(kind: str) -> None:
    assert_every_bit(saved(photo(400, 300), kind), of(32))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("resize", [32, (32, 20), (20, 32)])
@pytest.mark.parametrize("squash", [False, True])
def test_an_exif_orientation_is_applied(orientation: int, resize: Size, squash: bool) -> None:
    data = turned_by_exif(photo(397, 283), orientation)
    assert_close(data, of(resize, squash=squash, interpolation=Interpolation.BICUBIC))
    found = decode_for(data, of(resize))
    assert found.size == decode_image(data).size


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_every_kind_of_jpeg_is_scaled(mode: str, progressive: bool, subsampling: int) -> None:
    image = photo(400, 300).convert(mode)
    options = {} if mode == "L" else {"subsampling": subsampling}
    assert_close(saved(image, progressive=progressive, **options), of(32))


def test_a_jpeg_of_several_pictures_is_scaled() -> None:
    first, second = photo(400, 300), photo(300, 400)
    data = saved(first, "MPO", save_all=True, append_images=[second])
    assert Image.open(io.BytesIO(data)).format == "MPO"
    assert_close(data, of(32))


def test_what_the_decoder_adds_to_a_side_is_not_part_of_the_photo() -> None:
    """Of 513 columns an eighth are 65: the last is a column and seven that repeat it."""
    ramp = np.linspace(0, 255, 513)[None].repeat(513, 0).astype(np.uint8)
    data = saved(Image.fromarray(ramp).convert("RGB"), subsampling=0)
    preprocessing = of(32)
    difference = file_pixels(data, preprocessing).astype(int) - file_pixels(
        data, whole(preprocessing)
    )
    assert np.abs(difference).max() <= 2  # a column more would be 4 levels in the end


def test_a_jpeg_without_loss_is_decoded_whole() -> None:
    pixels = file_pixels(LOSSLESS_JPEG, of(8))
    np.testing.assert_array_equal(pixels, file_pixels(LOSSLESS_JPEG, whole(of(8))))
    assert (pixels[:4, :4].max(), pixels.min()) == (200, 90)


def test_a_damaged_photo_is_refused_as_when_decoded_whole() -> None:
    data = saved(photo(400, 300))
    for damaged in (data[: len(data) // 2], data[:100], b"", b"\xff\xd8\xff\xe0"):
        with pytest.raises(UnusableImage) as exact:
            file_pixels(damaged, whole(of(32)))
        with pytest.raises(UnusableImage) as scaled:
            file_pixels(damaged, of(32))
        assert str(scaled.value) == str(exact.value)


def test_a_photo_too_narrow_is_refused() -> None:
    with pytest.raises(UnusableImage, match="too narrow"):
        file_pixels(saved(Image.new("RGB", (60000, 1))), of(2048))


def test_exact_is_the_default_and_not_written() -> None:
    assert Preprocessing().decode is Decode.EXACT
    assert "decode" not in Preprocessing().model_dump(mode="json")
    said = Preprocessing(decode=Decode.SCALED).model_dump_json()
    assert '"decode":"scaled"' in said
    assert Preprocessing.model_validate_json(said).decode is Decode.SCALED
    assert Preprocessing.model_validate_json(Preprocessing().model_dump_json()) == Preprocessing()
