"""A photo's bytes become the class that the model gives to the preprocessed photo."""

import io

import numpy as np
import pytest
from PIL import Image

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.artifact.model_input import InputFormat, ModelInput
from eightbit.benchmarks.processes.calls import Steps, median_steps, walk
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.runtimes.feed import Feed
from eightbit.models.errors import InputError
from eightbit.models.images.preprocessing import preprocess
from eightbit.models.spec import Preprocessing

PREPROCESSING = Preprocessing(resize=20, crop=16)


@pytest.fixture
def photo():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Noting:
    """A model that notes what it is handed."""

    def __init__(self, feed):
        self.feed = feed

    def __call__(self, batch):
        self.batch = batch
        return np.zeros((1, 3), np.float32)


def test_the_model_gets_the_preprocessed_photo(photo):
    model = Noting(Feed(preprocessing=PREPROCESSING))
    steps = walk(photo, model)
    expected = preprocess(Image.open(io.BytesIO(photo)), PREPROCESSING)[None]
    np.testing.assert_array_equal(model.batch, expected)
    assert len(steps) == 4
    assert all(seconds > 0 for seconds in steps)


def test_a_model_that_takes_pixels_gets_pixels(photo):
    taken = ModelInput.of(InputFormat.UINT8_NHWC)
    model = Noting(Feed(input=taken, preprocessing=PREPROCESSING))
    walk(photo, model)
    assert (model.batch.dtype, model.batch.shape) == (np.uint8, (1, 16, 16, 3))


def test_each_step_is_timed_alone(photo, monkeypatch):
    clock = iter([0, 1_000_000, 3_000_000, 6_000_000, 10_000_000])
    monkeypatch.setattr("eightbit.benchmarks.processes.calls.perf_counter_ns", lambda: next(clock))
    steps = walk(photo, Noting(Feed(preprocessing=PREPROCESSING)))
    assert steps == Steps(decode=0.001, resize=0.002, normalise=0.003, infer=0.004)


def test_what_is_no_photo_is_an_input_error():
    with pytest.raises(InputError, match="photo: expected one that can be classified"):
        walk(b"garbage", Noting(Feed()))


def test_medians_are_taken_step_by_step():
    walks = [Steps(1, 5, 3, 4), Steps(2, 2, 9, 4), Steps(3, 1, 1, 4)]
    assert median_steps(walks) == Steps(2, 2, 3, 4)


def test_in_a_process_of_its_own(photo, write_model, tmp_path):
    with IsolatedRunner(write_model(ONNX.runtime, tmp_path), threads=1) as runner:
        assert all(seconds > 0 for seconds in runner.walk(photo))
        with pytest.raises(InputError, match="photo"):
            runner.walk(b"garbage")
        assert all(seconds > 0 for seconds in runner.walk(photo))
