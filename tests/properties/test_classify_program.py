"""The program that travels with a bundle sees the very pixels that eightbit sees, in any image."""

import importlib.util
import io
import json
import sys
import warnings
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.special import softmax

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.artifact.model_input import InputFormat, ModelInput
from eightbit.benchmarks.runtimes.feed import Feed
from eightbit.models import Architecture, Decode, Interpolation, ModelSpec, Preprocessing, Task
from eightbit.models.errors import UnusableImage
from eightbit.models.images.decoding import FORMATS, MAX_PIXELS
from eightbit.models.images.preprocessing import file_pixels
from eightbit.models.spec import Size
from eightbit.quantize.cli.classification import Guess, _guesses

PROGRAM = Path(__file__).resolve().parents[2] / "quantize" / "deploy" / "assets" / "classify.py"
MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "TIFF": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16", "I", "F", "CMYK", "LAB", "YCbCr"),
    "GIF": ("P", "L", "RGB"),
    "BMP": ("RGB", "L", "1", "P"),
    "WEBP": ("RGB", "RGBA"),
    "PPM": ("RGB", "L", "1", "I"),
    "TGA": ("RGB",),  # which is not among those that are read
}
KINDS = [(kind, mode) for kind, modes in MODES.items() for mode in modes]
DTYPES = {"I;16": np.uint16, "I": np.int32, "F": np.float32}
side = st.integers(1, 70)
size = st.one_of(side, st.tuples(side, side))


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("classify", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@st.composite
def image_files(draw: st.DrawFn, kind: str, mode: str) -> bytes:
    """A file of any size and orientation; some are cut short or changed."""
    width, height = draw(side), draw(side)
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    if mode in DTYPES:
        largest = draw(st.sampled_from((255, 65535, 70_000 if mode == "I" else 65535)))
        lowest = draw(st.sampled_from((0, -1))) if mode == "I" and kind == "TIFF" else 0
        values = rng.integers(0, largest + 1, (height, width))
        values[0, 0] = draw(st.sampled_from((lowest, largest)))
        image = Image.fromarray(values.astype(DTYPES[mode]))
    else:
        pixels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
        image = Image.fromarray(pixels).convert("RGB").convert(mode if mode != "LAB" else "RGB")
    options: dict[str, Any] = {}
    orientation = draw(st.sampled_from((*range(2, 9), None, 0, 1, 9, 1000)))
    if orientation is not None and kind in ("JPEG", "PNG", "TIFF", "WEBP"):
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    data = bytearray(buffer.getvalue())
    damage = draw(st.sampled_from(("none", "none", "none", "cut", "changed")))
    if damage == "cut":
        del data[draw(st.integers(0, len(data))) :]
    if damage == "changed":
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    return bytes(data)


@pytest.mark.parametrize(("kind", "mode"), KINDS)
@settings(max_examples=30)
@given(
    drawn=st.data(),
    resize=size,
    crop=size,
    kernel=st.sampled_from(Interpolation),
    squash=st.booleans(),
    decode=st.sampled_from(Decode),
)
def test_it_sees_the_same_pixels_or_refuses_the_same_images(
    program: ModuleType,
    kind: str,
    mode: str,
    drawn: st.DataObject,
    resize: Size,
    crop: Size,
    kernel: Interpolation,
    squash: bool,
    decode: Decode,
) -> None:
    data = drawn.draw(image_files(kind, mode))
    preprocessing = Preprocessing(
        resize=resize, crop=crop, interpolation=kernel, squash=squash, decode=decode
    )
    try:
        expected = file_pixels(data, preprocessing)
    except UnusableImage:
        expected = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as the program itself does
        try:
            said = preprocessing.model_dump(mode="json")
            how = (said["resize"], said["crop"], program.KERNELS[kernel], squash)
            how += (decode is Decode.SCALED,)
            found = program.pixels_of(data, *how)
        except Exception:
            found = None
    assert (found is None) == (expected is None)
    if expected is not None:
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected)


number = st.floats(-3, 3, width=32)
triples = st.tuples(number, number, number)


@given(
    mean=triples,
    std=st.tuples(*[st.floats(2**-10, 300, width=32)] * 3),
    taken=st.sampled_from(InputFormat),
    crop=st.sampled_from((16, (12, 20))),
    decode=st.sampled_from(Decode),
    seed=st.integers(0, 2**16),
)
def test_it_feeds_the_model_the_same_numbers(
    program: ModuleType,
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    taken: InputFormat,
    crop: Size,
    decode: Decode,
    seed: int,
) -> None:
    preprocessing = Preprocessing(resize=20, crop=crop, mean=mean, std=std, decode=decode)
    metadata = ArtifactMetadata(
        precision=Precision.INT8,
        spec=ModelSpec(
            architecture=Architecture.RESNET18, num_classes=10, preprocessing=preprocessing
        ),
        input=ModelInput.of(taken),
    )
    model = program.Model.__new__(program.Model)
    graph = SimpleNamespace(
        type="tensor(float)" if metadata.input.dtype == "float32" else "tensor(uint8)",
        shape=["batch", *metadata.input.image_shape(crop)],
    )
    model.session = SimpleNamespace(get_inputs=lambda: [graph])
    model.read(json.loads(metadata.to_json()))
    shape = (*preprocessing.crop_size, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    expected = Feed(input=metadata.input, preprocessing=preprocessing).of_pixels(pixels[None])
    found = model.batch(pixels)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.flags.c_contiguous
    assert found.tobytes() == expected.tobytes()
    said = preprocessing.model_dump(mode="json")
    assert model.how == (20, said["crop"], program.BILINEAR, False, decode is Decode.SCALED)
    assert model.classes == 10


def test_it_accepts_what_eightbit_accepts(program: ModuleType) -> None:
    assert program.FORMATS == FORMATS
    assert program.MAX_PIXELS == MAX_PIXELS


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=20))
def test_its_probabilities_are_those_of_the_logits_in_double_precision(
    program: ModuleType, values: list[float]
) -> None:
    logits = np.array(values, np.float32)
    found = program.softmax(logits)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, softmax(logits.astype(np.float64)), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("task", list(Task))
@given(values=st.lists(st.floats(-30, 30, width=32), min_size=2, max_size=7))
@settings(max_examples=20)
def test_every_task_says_what_eightbit_says(
    program: ModuleType, task: Task, values: list[float]
) -> None:
    outputs = 1 if task is Task.BINARY else len(values)
    threshold = 0.3 if task.has_threshold else 0.5
    spec = ModelSpec(
        architecture=Architecture.RESNET18, num_classes=outputs, task=task, threshold=threshold
    )
    logits = np.array(values[:outputs], np.float32)
    model = object.__new__(program.Model)
    model.task, model.threshold = task.value, spec.threshold_logit
    names = [str(index) for index in range(spec.class_count)]
    expected = [_line(guess, task) for guess in _guesses(logits, spec, top=len(values))]
    assert model.lines(logits, names) == expected


def _line(guess: Guess, task: Task) -> str:
    if guess.probability is None:
        return f"{guess.value:>12.6g}  {guess.label}"
    no = "no " if task is Task.MULTI_LABEL and not guess.chosen else ""
    return f"{guess.probability:8.1%}  {no}{guess.label}"


def test_of_equal_logits_the_lowest_class_comes_first(
    program: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    logits = np.zeros(300, np.float32)
    logits[[7, 19, 150, 299]] = 1.0
    model = MagicMock(how=(8, 8), classes=300, task="single-label", return_value=logits)
    model.lines = partial(program.Model.lines, model)
    monkeypatch.setattr(program, "Model", lambda _: model)
    monkeypatch.setattr(program, "HERE", tmp_path)  # where there are no names of classes
    Image.new("RGB", (9, 8)).save(tmp_path / "photo.png")
    monkeypatch.setattr(sys, "argv", ["classify.py", str(tmp_path / "photo.png"), "--top", "6"])
    assert program.main() == 0
    _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == ["7", "19", "150", "299", "0", "1"]
