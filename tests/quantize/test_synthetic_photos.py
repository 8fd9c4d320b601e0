"""Pictures for those who have none: made of pixels, like photographs, and always the same."""

import numpy as np
import pytest

from eightbit.benchmarks.artifact.model_input import InputFormat, ModelInput
from eightbit.benchmarks.runtimes.feed import Feed
from eightbit.models.spec import Preprocessing
from eightbit.quantize.photos import synthetic_pixels


@pytest.fixture(params=[32, 48, 224, (48, 96), (224, 100)], ids=str)
def preprocessing(request: pytest.FixtureRequest) -> Preprocessing:
    return Preprocessing(resize=request.param, crop=request.param)


def test_they_are_preprocessed_pixels_and_the_same_every_time(preprocessing: Preprocessing) -> None:
    pictures = synthetic_pixels(preprocessing, 3)
    assert (pictures.dtype, pictures.shape) == (
        np.float32,
        (3, 3, *preprocessing.crop_size),
    )
    np.testing.assert_array_equal(pictures, synthetic_pixels(preprocessing, 3))
    assert not np.array_equal(pictures[0], pictures[1])
    feed = Feed(input=ModelInput.of(InputFormat.UINT8), preprocessing=preprocessing)
    pixels = feed(pictures)  # refuses what was not made of pixels
    assert 30 < pixels.std() < 90


def test_neighbours_are_alike_as_in_a_photograph(preprocessing: Preprocessing) -> None:
    picture = synthetic_pixels(preprocessing, 1)[0, 0]
    assert np.corrcoef(picture[:, 1:].ravel(), picture[:, :-1].ravel())[0, 1] > 0.8
