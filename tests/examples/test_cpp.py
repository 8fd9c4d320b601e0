"""The programs of examples/cpp say what Python says of the same pixels, in the same runtime."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.examples.conftest import LABELS, ROOT, SIDE
from tests.examples.running import run
from tests.examples.synthetic_models import (
    LENGTH,
    described,
    model_that_onednn_refuses,
    onnx_model,
)

from eightbit.benchmarks import OnnxRunner, TorchScriptRunner
from eightbit.benchmarks.artifact.formats import TORCHSCRIPT_EXTRA_FILE
from eightbit.benchmarks.artifact.model_input import InputFormat
from eightbit.benchmarks.runtimes.runners.openvino_runner import OpenVinoRunner
from eightbit.models import Preprocessing, decode_image
from eightbit.models.images.preprocessing import cropped_pixels
from eightbit.quantize import classify
from eightbit.quantize.photos import synthetic_picture

RUNNERS = {
    "classify_onnxruntime": (OnnxRunner, "int8.onnx"),
    "classify_openvino": (OpenVinoRunner, "int8.onnx"),
    "classify_torchscript": (TorchScriptRunner, "int8.pt"),
}
PIXELS = np.stack(
    [
        np.asarray(synthetic_picture(SIDE, SIDE, seed=1)),
        np.asarray(synthetic_picture(SIDE, SIDE, seed=2)),
        np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8),
    ]
)
ENGINES = sorted(set(torch.backends.quantized.supported_engines) - {"none"})


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The pixels as raw files."""
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{index}.rgb" for index in range(len(PIXELS))]
    for path, pixels in zip(paths, PIXELS, strict=True):
        path.write_bytes(pixels.tobytes())
    return paths


@pytest.fixture
def agrees(
    program: Callable[[str], Path], images: list[Path], tmp_path: Path
) -> Callable[..., None]:
    """Compare a program's logits with Python's, number by number."""

    def check(name: str, model: Path, *, threads: int = 1, count: int = len(PIXELS)) -> None:
        runner = RUNNERS[name][0](model, threads)
        for path, pixels in zip(images[:count], PIXELS, strict=False):
            expected = runner(runner.feed.of_pixels(pixels[None]))[0]
            logits = tmp_path / path.name
            found = run(program(name), model, path, "--threads", threads, logits=logits)
            assert found.logits is not None, found
            np.testing.assert_array_equal(found.logits, expected)

    return check


@pytest.mark.parametrize("taken", [InputFormat.FLOAT32, InputFormat.UINT8_NHWC])
@pytest.mark.parametrize("name", RUNNERS)
def test_the_logits_are_those_of_python(
    name: str, taken: InputFormat, artefact: Callable[..., Path], agrees: Callable[..., None]
) -> None:
    agrees(name, artefact(RUNNERS[name][1], taken))


@pytest.mark.parametrize("name", ["classify_onnxruntime", "classify_openvino"])
@pytest.mark.parametrize(
    ("kind", "taken"),
    [("int8.onnx", InputFormat.UINT8), ("fp32.onnx", InputFormat.FLOAT32)],
    ids=["pixels, channels first", "the float model"],
)
def test_so_are_those_of_other_onnx_models(
    name: str,
    kind: str,
    taken: InputFormat,
    artefact: Callable[..., Path],
    agrees: Callable[..., None],
) -> None:
    agrees(name, artefact(kind, taken))


@pytest.mark.parametrize("name", RUNNERS)
def test_two_threads_change_nothing(
    name: str, artefact: Callable[..., Path], agrees: Callable[..., None]
) -> None:
    agrees(name, artefact(RUNNERS[name][1]), threads=2, count=1)


def with_engine(model: Path, engine: str, path: Path) -> Path:
    """A copy of a TorchScript artefact that names another of torch's engines."""
    with zipfile.ZipFile(model) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith(TORCHSCRIPT_EXTRA_FILE):
                content = json.dumps({**json.loads(content), "engine": engine}).encode()
            target.writestr(member, content)
    return path


@pytest.mark.parametrize("engine", ENGINES)
def test_torchscript_runs_under_the_engine_that_it_names(
    engine: str, artefact: Callable[..., Path], agrees: Callable[..., None], tmp_path: Path
) -> None:
    model = with_engine(artefact("int8.pt"), engine, tmp_path / "model.pt")
    agrees("classify_torchscript", model, count=1)


def test_an_engine_that_torch_lacks_is_named(
    artefact: Callable[..., Path],
    program: Callable[[str], Path],
    images: list[Path],
    tmp_path: Path,
) -> None:
    model = with_engine(artefact("int8.pt"), "neon9", tmp_path / "model.pt")
    refusal = run(program("classify_torchscript"), model, images[0]).refusal
    assert refusal.startswith(f"{model}: needs torch's quantized engine neon9, which torch ")
    assert all(engine in refusal for engine in ENGINES)


@pytest.mark.skipif(not {"onednn", "fbgemm"} <= set(ENGINES), reason="torch's engines for x86")
def test_the_engine_is_set_before_the_weights_are_packed(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    classify, image = program("classify_torchscript"), tmp_path / "image.rgb"
    image.write_bytes(bytes(LENGTH))
    for engine in ("fbgemm", "qnnpack"):
        model = model_that_onednn_refuses(tmp_path / "model.pt", described(engine=engine))
        assert run(classify, model, image).shown
    model = model_that_onednn_refuses(tmp_path / "model.pt", described(engine="onednn"))
    refusal = run(classify, model, image).refusal
    assert " cannot load it: " in refusal
    assert "ONEDNN" in refusal


def test_the_classes_are_those_that_classify_shows(
    artefact: Callable[..., Path],
    program: Callable[[str], Path],
    images: list[Path],
    tmp_path: Path,
) -> None:
    model = artefact("int8.onnx")
    Image.fromarray(PIXELS[0]).save(tmp_path / "0.png")
    ((_, guesses),) = classify(model, [tmp_path / "0.png"], threads=1)
    found = run(program("classify_onnxruntime"), model, images[0])
    assert found.shown == [f"{guess.probability:8.1%}  {guess.label}" for guess in guesses]
    assert {guess.label for guess in guesses} <= set(LABELS)


@pytest.mark.parametrize(
    ("logits", "spec", "shown"),
    [
        ([1.0], {}, ["   73.1%  1", "   26.9%  0"]),
        ([1.0], {"threshold": 0.8, "labels": ["cat", "dog"]}, ["   26.9%  cat", "   73.1%  dog"]),
        ([0.0, 2.0], {"task": "multi-label"}, ["   88.1%  1", "   50.0%  no 0"]),
        ([1.5, -2.0], {"task": "regression"}, ["         1.5  0", "          -2  1"]),
    ],
    ids=["one logit", "threshold", "several labels", "numbers"],
)
def test_every_task_is_answered_by_its_own_rule(
    logits: list[float],
    spec: dict[str, object],
    shown: list[str],
    program: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    model = onnx_model(tmp_path / "model.onnx", logits, described(len(logits), spec=spec))
    image = tmp_path / "photo.rgb"
    image.write_bytes(bytes(LENGTH))
    assert run(program("classify_onnxruntime"), model, image).shown == shown


@pytest.mark.parametrize("name", ["classify_onnxruntime", "classify_openvino"])
def test_a_shipped_folder_runs_wherever_it_is(
    name: str,
    built: Path,
    program: Callable[[str], Path],
    artefact: Callable[..., Path],
    images: list[Path],
    tmp_path: Path,
) -> None:
    model = artefact("int8.onnx")
    here = run(program(name), model, images[0])
    subprocess.run(
        ("cmake", "--install", built, "--prefix", tmp_path / "made", "--component", name),
        check=True,
        capture_output=True,
    )
    (tmp_path / "made").rename(tmp_path / "shipped")
    shipped = tmp_path / "shipped" / name
    assert run(shipped, model, images[0]) == here
    needed = subprocess.run(("ldd", shipped), capture_output=True, text=True, check=True).stdout
    assert str(tmp_path / "shipped") in needed
    assert os.fspath(Path(sys.prefix)) not in needed


def test_the_page_says_how_to_make_the_raw_file(
    artefact: Callable[..., Path], tmp_path: Path
) -> None:
    (line,) = (
        line
        for line in (ROOT / "examples/cpp/README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("python -c 'import classify")
    )
    shutil.copy(ROOT / "quantize/deploy/assets/classify.py", tmp_path)
    shutil.copy(artefact("int8.onnx"), tmp_path / "model.int8.onnx")
    synthetic_picture(61, 47, seed=3).save(tmp_path / "photo.jpg")
    code = line.removeprefix("python -c '").removesuffix("'")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    image = decode_image((tmp_path / "photo.jpg").read_bytes())
    expected = cropped_pixels(image, Preprocessing(resize=SIDE, crop=SIDE))
    assert (tmp_path / "photo.rgb").read_bytes() == expected.tobytes()
