"""A batch that a model does not take is refused with what to do, by every runtime alike."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.benchmarks.refused_models import change_onnx, fixed

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.feed import FileRunner
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.models.errors import InputError

SIDE = 8

WriteModel = Callable[..., Path]


@pytest.fixture(scope="module")
def runner(
    execution: Execution,
    write_model: WriteModel,
    small_metadata: ArtifactMetadata,
    tmp_path_factory: pytest.TempPathFactory,
) -> FileRunner:
    """Of images of 8 px, once per runtime."""
    folder = tmp_path_factory.mktemp("small")
    path = write_model(execution.runtime, folder, small_metadata.to_json())
    return open_runner(path, 1, execution)


NOT_A_NUMBER = np.full((1, 3, SIDE, SIDE), np.nan, np.float32)
INFINITE = np.pad(np.full((1, 1, 1, 1), -np.inf, np.float32), ((0, 0), (0, 2), (0, 7), (0, 7)))


@pytest.mark.parametrize(
    ("batch", "expected"),
    [
        (np.zeros((3, 8, 8), np.float32), "one image is a batch of one: image[None]"),
        (np.zeros((0, 3, 8, 8), np.float32), "give at least one image"),
        (np.zeros((2, 8, 8, 3), np.float32), "transpose it to NCHW"),
        (np.zeros((2, 1, 8, 8), np.float32), "preprocess the images as the model's metadata says"),
        (np.zeros((2, 3, 9, 8), np.float32), "preprocess the images as the model's metadata says"),
        (np.zeros((2, 3, 8, 8)), "preprocess the images as the model's metadata says"),
        (np.zeros((2, 3, 8, 8), np.uint8), "preprocess the images as the model's metadata says"),
        (np.zeros(8, np.float32), "preprocess the images as the model's metadata says"),
        (NOT_A_NUMBER, "found 192 of 192 NaN or infinite; look at what preprocessed the images"),
        (INFINITE, "found 1 of 192 NaN or infinite; look at what preprocessed the images"),
        (-INFINITE, "found 1 of 192 NaN or infinite; look at what preprocessed the images"),
    ],
    ids=[
        "rank",
        "none",
        "layout",
        "channels",
        "side",
        "float64",
        "uint8",
        "one axis",
        "nan",
        "minus inf",
        "inf",
    ],
)
def test_a_batch_that_does_not_fit_is_refused_with_what_to_do(
    batch: np.ndarray, expected: str, runner: FileRunner
) -> None:
    with pytest.raises(InputError) as caught:
        runner(batch)
    sentence = str(caught.value)
    assert sentence.endswith(expected)
    if "infinite" not in expected:
        found = f"found {batch.dtype} of shape {batch.shape}"
        assert f": batch: expected float32 of shape (N, 3, 8, 8), {found}; " in sentence


def test_a_model_of_one_batch_size_says_so(write_model: WriteModel, tmp_path: Path) -> None:
    path = change_onnx(write_model(ONNX.runtime, tmp_path), fixed(4, SIDE))
    runner = open_runner(path, 1)
    assert runner(np.zeros((4, 3, SIDE, SIDE), np.float32)).shape == (4, 7)
    with pytest.raises(InputError, match=r"\(4, 3, 8, 8\), .* as many images at once as it was"):
        runner(np.zeros((1, 3, SIDE, SIDE), np.float32))


def test_other_classes_than_the_metadata_has_are_refused(
    execution: Execution, write_model: WriteModel, small_metadata: ArtifactMetadata, tmp_path: Path
) -> None:
    spec = small_metadata.spec.model_copy(update={"num_classes": 12})
    other = small_metadata.model_copy(update={"spec": spec})
    path = write_model(execution.runtime, tmp_path, other.to_json())
    runner = open_runner(path, 1, execution)
    with pytest.raises(InputError) as caught:
        runner(np.zeros((1, 3, SIDE, SIDE), np.float32))
    assert str(caught.value) == (
        f"{path}: expected 12 logits as its metadata says, found 7; do not trust this file"
    )
