from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.errors import UnusableImage
from eightbit.models.images.preprocessing import (
    cropped_pixels,
    nearest_pixels,
    normalise,
    preprocess,
)
from eightbit.models.spec import Interpolation, Preprocessing, Size, height_and_width

import_torchvision()
from torchvision.transforms import CenterCrop, InterpolationMode, Resize  # noqa: E402
from torchvision.transforms._presets import ImageClassification  # noqa: E402


def noise(width: int, height: int, seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def of_torchvision(image: Image.Image, preprocessing: Preprocessing) -> np.ndarray:
    preset = ImageClassification(
        crop_size=preprocessing.crop,
        resize_size=preprocessing.resize,
        mean=preprocessing.mean,
        std=preprocessing.std,
        interpolation=InterpolationMode(preprocessing.interpolation),
    )
    return preset(image).numpy()


def assert_bit_for_bit_torchvisions(image: Image.Image, preprocessing: Preprocessing) -> None:
    found = preprocess(image, preprocessing)
    expected = of_torchvision(image, preprocessing)
    assert (found.dtype, found.shape) == (np.float32, (3, preprocessing.crop, preprocessing.crop))
    assert found.flags.c_contiguous
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize(
    "size",
    [
        (500, 375),
        (375, 500),
        (256, 256),
        (224, 224),
        (32, 32),
        (1, 1),
        (1, 90),
        (2000, 9),
        (257, 256),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(),
        Preprocessing(interpolation=Interpolation.BICUBIC),
        Preprocessing(resize=232, crop=224),
        Preprocessing(resize=32, crop=32),
        Preprocessing(resize=100, crop=161),
        Preprocessing(resize=64, crop=63, mean=(0.5, 0.1, 0.9), std=(0.3, 1.7, 0.01)),
    ],
    ids=lambda p: f"resize {p.resize} crop {p.crop}",
)
def test_known_sizes_equal_torchvisions_preset_bit_for_bit(
    size: tuple[int, int], preprocessing: Preprocessing
) -> None:
    assert_bit_for_bit_torchvisions(noise(*size, seed=1), preprocessing)


sides = st.one_of(st.integers(1, 60), st.integers(1, 400))


@settings(max_examples=150)
@given(
    width=sides,
    height=sides,
    resize=st.integers(1, 90),
    crop=st.integers(1, 120),
    seed=st.integers(0, 99),
)
def test_any_size_equals_torchvisions_preset_bit_for_bit(
    width: int, height: int, resize: int, crop: int, seed: int
) -> None:
    assert_bit_for_bit_torchvisions(
        noise(width, height, seed), Preprocessing(resize=resize, crop=crop)
    )


@settings(max_examples=100)
@given(
    width=sides,
    height=sides,
    resize=st.integers(1, 90),
    crop=st.integers(1, 120),
    kernel=st.sampled_from(Interpolation),
    seed=st.integers(0, 99),
)
def test_both_sides_are_resized_alike_where_images_are_squashed(
    width: int, height: int, resize: int, crop: int, kernel: Interpolation, seed: int
) -> None:
    how = Preprocessing(resize=resize, crop=crop, interpolation=kernel, squash=True)
    image = noise(width, height, seed)
    squashed = Resize((resize, resize), InterpolationMode(kernel))(image)
    expected = preprocess(squashed, Preprocessing(resize=resize, crop=crop))
    found = preprocess(image, how)
    assert np.array_equal(found.view(np.uint32), expected.view(np.uint32))


either = st.one_of(st.integers(1, 90), st.tuples(st.integers(1, 90), st.integers(1, 90)))


@settings(max_examples=150)
@given(width=sides, height=sides, crop=either, resize=st.integers(1, 90), seed=st.integers(0, 99))
def test_a_crop_of_any_height_and_width_is_torchvisions_centre(
    width: int, height: int, crop: Size, resize: int, seed: int
) -> None:
    image, how = noise(width, height, seed), Preprocessing(resize=resize, crop=crop)
    expected = CenterCrop(height_and_width(crop))(Resize(resize)(image))
    np.testing.assert_array_equal(cropped_pixels(image, how), np.asarray(expected))


@settings(max_examples=300)
@given(
    width=sides,
    height=sides,
    resize=st.tuples(st.integers(1, 90), st.integers(1, 90)).filter(lambda size: len({*size}) > 1),
    crop=either,
    seed=st.integers(0, 99),
)
def test_a_resize_to_cover_height_and_width_is_timms(
    width: int, height: int, resize: tuple[int, int], crop: Size, seed: int
) -> None:
    transforms = pytest.importorskip("timm.data.transforms", reason="timm is not installed")
    image, how = noise(width, height, seed), Preprocessing(resize=resize, crop=crop)
    resized = transforms.ResizeKeepRatio(resize)(image)
    assert (resized.height >= resize[0], resized.width >= resize[1]) == (True, True)
    expected = CenterCrop(height_and_width(crop))(resized)
    np.testing.assert_array_equal(cropped_pixels(image, how), np.asarray(expected))


def test_halves_fall_as_they_do_in_timm() -> None:
    transforms = pytest.importorskip("timm.data.transforms", reason="timm is not installed")
    halves = [
        ((w, h), size)
        for w, h in ((4, 10), (8, 10), (12, 10), (10, 4), (14, 20))
        for size in ((5, 1), (1, 5), (15, 2), (25, 3), (3, 25), (7, 5))
    ]
    odd = 0
    for (width, height), size in halves:
        image = noise(width, height, seed=3)
        expected = transforms.ResizeKeepRatio(size)(image)
        ratio = min(height / size[0], width / size[1])
        odd += 0.5 in ((width / ratio) % 1, (height / ratio) % 1)
        found = cropped_pixels(image, Preprocessing(resize=size, crop=expected.size[::-1]))
        np.testing.assert_array_equal(found, np.asarray(expected))
    assert odd > 5


@settings(max_examples=100)
@given(width=sides, height=sides, resize=either, crop=either, seed=st.integers(0, 99))
def test_a_squashed_image_has_exactly_the_height_and_width(
    width: int, height: int, resize: Size, crop: Size, seed: int
) -> None:
    image, how = noise(width, height, seed), Preprocessing(resize=resize, crop=crop, squash=True)
    squashed = Resize(height_and_width(resize))(image)
    expected = np.asarray(CenterCrop(height_and_width(crop))(squashed))
    np.testing.assert_array_equal(cropped_pixels(image, how), expected)


def test_rows_are_the_height_and_columns_the_width() -> None:
    image = noise(50, 40, seed=2)
    assert preprocess(image, Preprocessing(resize=(12, 20), crop=(10, 15))).shape == (3, 10, 15)


def test_what_is_usual_is_not_in_the_json() -> None:
    assert set(Preprocessing().model_dump()) == {"resize", "crop", "mean", "std"}
    squashed = Preprocessing(squash=True, interpolation=Interpolation.BICUBIC)
    assert Preprocessing.model_validate_json(squashed.model_dump_json()) == squashed
    assert squashed.model_dump()["squash"] is True


def test_every_pixel_value_is_scaled_and_normalised_as_torchvision_does_it() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(np.stack([values, values[::-1], values.T], axis=2))
    preprocessing = Preprocessing(resize=16, crop=16)
    assert_bit_for_bit_torchvisions(image, preprocessing)
    first = preprocess(image, preprocessing)[0, 0, 0]
    assert first == np.float32(-0.485) / np.float32(0.229)


def every_value_in_every_channel() -> np.ndarray:
    return np.stack([np.roll(np.arange(256, dtype=np.uint8), shift) for shift in (0, 1, 2)], axis=1)


IN_USE = [
    Preprocessing(),
    Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2023, 0.1994, 0.2010)),
    Preprocessing(mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616)),
    Preprocessing(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    Preprocessing(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
]


@pytest.mark.parametrize("preprocessing", IN_USE, ids=lambda p: f"mean {p.mean} std {p.std}")
def test_normalised_pixels_lead_back_to_the_very_pixels(preprocessing: Preprocessing) -> None:
    pixels = every_value_in_every_channel()
    found = nearest_pixels(normalise(pixels, preprocessing), preprocessing)
    assert found.dtype == np.uint8
    assert np.array_equal(found, pixels)


@settings(max_examples=200)
@given(mean=st.floats(-100, 100), std=st.floats(1e-6, 1e6))
def test_so_do_those_of_any_usual_statistics(mean: float, std: float) -> None:
    preprocessing = Preprocessing(mean=(mean, 0.5, -mean), std=(std, std, 1.0))
    pixels = every_value_in_every_channel()
    found = nearest_pixels(normalise(pixels, preprocessing), preprocessing)
    assert np.array_equal(found, pixels)


def test_numbers_that_no_pixel_gives_have_a_nearest_one() -> None:
    images = np.array([[-9.0, 9.0, 0.0], [np.nan, np.inf, -np.inf]], np.float32)
    expected = [[0, 255, round(0.406 * 255)], [0, 255, 0]]
    assert nearest_pixels(images, Preprocessing()).tolist() == expected


def test_a_strip_that_would_need_gigabytes_is_refused_before_it_is_resized() -> None:
    with pytest.raises(UnusableImage, match="too narrow: 30000 x 1 pixels"):
        preprocess(Image.new("RGB", (30000, 1)), Preprocessing())


def test_another_mode_than_rgb_is_a_mistake_of_the_caller(
    photo: Callable[..., Image.Image],
) -> None:
    with pytest.raises(ValueError, match="mode RGB, found L"):
        preprocess(photo(9, 9).convert("L"), Preprocessing())


@pytest.mark.parametrize(
    "fields",
    [
        {"std": (0.2, 0.0, 0.2)},
        {"std": (0.2, 1e-50, 0.2)},
        {"mean": (float("nan"), 0.0, 0.0)},
        {"mean": (1e300, 0.0, 0.0)},
        {"crop": 0},
        {"resize": 10**6},
        {"resize": "256"},
        {"colour": 1},
    ],
    ids=str,
)
def test_values_that_cannot_give_finite_pixels_cannot_be_built(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Preprocessing.model_validate(fields)
