"""Which pictures a self-test takes, and that it says what the model says."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eightbit.benchmarks.accuracy.heads import Head
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.models import Preprocessing, Task
from eightbit.models.images.preprocessing import cropped_pixels, normalised_images
from eightbit.models.spec import Size, height_and_width
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.deploy.self_test import clearest, make_self_test, synthetic_candidate
from eightbit.quantize.recipe.recipe import read_recipe


def logits(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_the_widest_margins_are_taken_of_distinct_classes_first() -> None:
    found = logits((9, 0, 0), (8, 0, 0), (0, 3, 0), (0, 0, 2), (0, 7, 0), (7, 0, 0))
    assert clearest(found, last_bit=0.1) == (0, 3, 4)


def test_a_close_call_is_not_taken_for_the_sake_of_another_class() -> None:
    found = logits((9, 0, 0), (8, 0, 0), (0, 0.5, 0), (7, 0, 0))
    assert clearest(found, last_bit=0.1) == (0, 1, 3)


def test_where_all_are_close_calls_the_widest_are_taken() -> None:
    found = logits((0.1, 0, 0), (0, 0.3, 0), (0.2, 0, 0), (0, 0, 0.4))
    assert clearest(found, last_bit=0.1) == (1, 2, 3)


def test_one_logit_has_its_distance_from_the_threshold() -> None:
    binary = Head(task=Task.BINARY)
    assert clearest(logits((1,), (3,), (-2,), (0,), (4,)), 0.1, binary) == (1, 2, 4)
    assert clearest(logits((0.1,), (-9,), (0.2,), (-8,)), 0.1, binary) == (1, 2, 3)


def test_of_a_regression_the_first_are_taken() -> None:
    found = logits((1,), (3,), (-2,), (0,))
    assert clearest(found, 0.1, Head(task=Task.REGRESSION)) == (0, 1, 2)


def test_few_pictures_are_all_taken() -> None:
    assert clearest(logits((1, 0), (0, 1)), last_bit=0.1) == (0, 1)


@pytest.mark.parametrize(
    ("resize", "crop"), [(32, 32), (256, 224), (20, 48), ((30, 20), (24, 16)), (24, (16, 48))]
)
def test_pictures_have_to_be_resized_and_cropped(resize: Size, crop: Size) -> None:
    preprocessing = Preprocessing(resize=resize, crop=crop)
    sizes = [synthetic_candidate(preprocessing, seed).size for seed in range(2)]
    for width, height in sizes:
        assert min(width, height) > max(*height_and_width(resize), *height_and_width(crop))
        assert width != height
    assert sizes[0] == sizes[1][::-1]


def test_a_huge_model_has_pictures_of_bearable_size() -> None:
    width, height = synthetic_candidate(Preprocessing(resize=8192, crop=8192), 0).size
    assert width * height < 2_000_000


def test_it_holds_what_the_model_answers_to_its_pictures(bundle_folder: Path) -> None:
    made = make_self_test(open_bundle(bundle_folder))
    document = json.loads(made.document)
    recipe = read_recipe(bundle_folder / "recipe.json")
    assert document["last_bit"] == recipe.output_scale
    runner = OnnxRunner(bundle_folder / "model.int8.onnx", threads=1)
    for image in document["images"]:
        picture = Image.open(io.BytesIO(made.pictures[image["file"]]))
        assert picture.format == "PNG"
        pixels = cropped_pixels(picture, recipe.spec.preprocessing)
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == image["pixels_sha256"]
        (answer,) = runner(normalised_images(pixels[None], recipe.spec.preprocessing))
        assert answer.tolist() == image["logits"]
    assert make_self_test(open_bundle(bundle_folder)) == made
