"""From the batches that the program hands out to what a model takes."""

import json

import numpy as np
import pytest
from pydantic import ValidationError

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata, parse_metadata
from eightbit.benchmarks.artifact.model_input import PREPROCESSED, InputFormat, ModelInput
from eightbit.benchmarks.runtimes.feed import Feed, feed_of, fitted
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.models.errors import InputError
from eightbit.models.images.preprocessing import normalise
from eightbit.models.spec import Preprocessing

PREPROCESSING = Preprocessing(mean=(0.4, 0.5, 0.6), std=(0.1, 0.2, 0.3))


@pytest.fixture
def pixels() -> np.ndarray:
    """Channels last: uint8, shape (2, 5, 4, 3)."""
    return np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)


@pytest.fixture
def images(pixels: np.ndarray) -> np.ndarray:
    return normalise(pixels, PREPROCESSING).transpose(0, 3, 1, 2)


def feed(name: InputFormat) -> Feed:
    return Feed(input=ModelInput.of(name), preprocessing=PREPROCESSING)


def test_a_model_of_floats_is_handed_the_batch_itself(images: np.ndarray) -> None:
    assert feed(InputFormat.FLOAT32)(images) is images
    assert feed_of(None)(images) is images


def test_a_model_of_pixels_is_fed_the_pixels_in_its_layout(
    pixels: np.ndarray, images: np.ndarray
) -> None:
    last = feed(InputFormat.UINT8_NHWC)(images)
    assert np.array_equal(last, pixels)
    first = feed(InputFormat.UINT8)(images)
    assert np.array_equal(first, pixels.transpose(0, 3, 1, 2))
    for found in (first, last):
        assert found.dtype == np.uint8
        assert found.flags.c_contiguous


@pytest.mark.parametrize("name", list(InputFormat))
def test_from_the_pixels_themselves_it_makes_the_same(
    name: InputFormat, pixels: np.ndarray, images: np.ndarray
) -> None:
    direct = feed(name).of_pixels(pixels)
    expected = feed(name)(images)
    assert (direct.dtype, direct.shape) == (expected.dtype, expected.shape)
    assert direct.flags.c_contiguous
    assert np.array_equal(direct, expected)


def test_pixels_are_handed_on(pixels: np.ndarray) -> None:
    assert feed(InputFormat.UINT8_NHWC)(pixels) is pixels


def test_numbers_that_no_pixel_gives_are_refused_unless_any_will_do(images: np.ndarray) -> None:
    for wrong in (np.nextafter(images, np.float32(9)), np.full_like(images, np.nan)):
        with pytest.raises(InputError, match="expected images that were made of pixels"):
            feed(InputFormat.UINT8)(wrong)
        assert feed(InputFormat.UINT8)(wrong, exact=False).shape == images.shape


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        (InputFormat.FLOAT32, np.zeros((1, 3, 8, 8), np.uint8), r"float32 of shape \(N, 3, H, W\)"),
        (InputFormat.UINT8, np.zeros((1, 8, 8, 3), np.uint8), r"uint8 of shape \(N, 3, H, W\)"),
        (InputFormat.UINT8, np.zeros((1, 3, 8, 8), np.int64), r"uint8 of shape \(N, 3, H, W\)"),
        (InputFormat.UINT8, np.zeros((1, 8, 8, 3), np.float32), r"float32 of shape \(N, 3, H, W\)"),
        (InputFormat.UINT8_NHWC, np.zeros((8, 8, 3), np.uint8), r"uint8 of shape \(N, H, W, 3\)"),
        (InputFormat.UINT8_NHWC, np.zeros((1, 3, 8, 8), np.uint8), r"uint8 .*\(N, H, W, 3\)"),
        (InputFormat.UINT8_NHWC, np.zeros((0, 8, 8, 3), np.uint8), r"uint8 .*\(N, H, W, 3\)"),
    ],
    ids=lambda value: f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else None,
)
def test_a_batch_of_another_type_or_layout_is_refused_in_one_line(
    name: InputFormat, wrong: np.ndarray, message: str
) -> None:
    for exact in (True, False):
        with pytest.raises(InputError, match=f"batch: expected {message}, found") as caught:
            feed(name)(wrong, exact=exact)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", InputFormat)
def test_an_artefact_says_what_it_takes(name: InputFormat, metadata: ArtifactMetadata) -> None:
    described = metadata.model_copy(update={"input": ModelInput.of(name)})
    found = parse_metadata(described.to_json().encode(), "tiny")
    assert found == described
    assert feed_of(found).input.name is name
    assert feed_of(found).preprocessing == metadata.spec.preprocessing


def test_a_graph_may_be_fixed_to_a_height_and_a_width(metadata: ArtifactMetadata) -> None:
    how = Preprocessing(resize=(6, 9), crop=(4, 8))
    spec = metadata.spec.model_copy(update={"preprocessing": how})
    said = feed_of(metadata.model_copy(update={"spec": spec}))
    for shape in (("N", 3, 4, 8), ("N", 3, "H", 8), ("N", 3, "H", "W")):
        assert fitted(said, shape, "m.onnx") == said
    with pytest.raises(InputError, match=r"m.onnx: expected a graph for images of 4x8 px, .* 8x4"):
        fitted(said, ("N", 3, 8, 4), "m.onnx")
    with pytest.raises(InputError, match=r"expected float32 of shape \(N, 3, 4, 8\), found"):
        said(np.zeros((1, 3, 8, 4), np.float32))
    silent = fitted(Feed(), ("N", 3, 4, "W"), "m.onnx")
    assert (silent.height, silent.width) == (4, None)
    with pytest.raises(InputError, match=r"expected float32 of shape \(N, 3, 4, W\), found"):
        silent(np.zeros((1, 3, 8, 4), np.float32))


def test_an_older_artefact_takes_preprocessed_images(metadata: ArtifactMetadata) -> None:
    content = json.loads(metadata.to_json())
    del content["input"]
    assert parse_metadata(json.dumps(content).encode(), "tiny").input == PREPROCESSED


def test_an_input_that_contradicts_its_name_is_refused(metadata: ArtifactMetadata) -> None:
    with pytest.raises(ValidationError):
        ModelInput(name=InputFormat.UINT8, dtype="float32")
    content = json.loads(metadata.to_json())
    content["input"] = {"name": "uint8-nhwc", "dtype": "uint8", "layout": "NCHW"}
    with pytest.raises(InputError, match=r"tiny: .*uint8-nhwc: expected uint8 NHWC"):
        parse_metadata(json.dumps(content).encode(), "tiny")


def test_a_model_that_does_not_take_what_it_says_is_refused(
    write_model, tmp_path, metadata: ArtifactMetadata
) -> None:
    lying = metadata.model_copy(update={"input": ModelInput.of(InputFormat.UINT8)})
    path = write_model(ONNX.runtime, tmp_path, lying.to_json())
    with pytest.raises(InputError, match="expected a model with one uint8 input"):
        open_runner(path, threads=1)
