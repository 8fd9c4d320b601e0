"""A network of images that are not square: one command, and the same answers from every door."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from tests.onnx_models import numbers, saved, written
from tests.quantize.conftest import Eightbit

from eightbit.benchmarks import read_report
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.models import Preprocessing, preprocess
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.deploy.archive import archive_of, bundle_files
from eightbit.quantize.recipe.recipe import read_recipe

HEIGHT, WIDTH = 24, 40

# What reads every position takes no other size, nor its transpose.
BODY = (
    "c = Conv<strides = [2, 2], pads = [1, 1, 1, 1]>(x, w) h = Relu(c) "
    "a = AveragePool<kernel_shape = [3, 5], strides = [3, 5]>(h) f = Flatten(a) y = MatMul(f, v)"
)
WEIGHTS = {"w": numbers(8, 3, 3, 3), "v": numbers(8 * 4 * 4, 10)}


@pytest.fixture(scope="module")
def folder(eightbit: Eightbit, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wide")
    path = saved(written(BODY, WEIGHTS, shape=f"N,3,{HEIGHT},{WIDTH}"), place, "wide.onnx")
    made = eightbit(
        *("quantize", "--weights", path, "--calibrate", photos, "--out", place / "bundle"),
        *("--samples", 8, "--threads", 1, "--formats", "onnx,torchscript"),
    )
    assert made.code == 0, made
    return place / "bundle"


def test_its_file_says_height_and_width(folder: Path) -> None:
    recipe = json.loads((folder / bundle.RECIPE).read_text())
    assert recipe["spec"]["preprocessing"]["crop"] == [HEIGHT, WIDTH]
    assert recipe["spec"]["preprocessing"]["resize"] == [HEIGHT, WIDTH]
    report = read_report(folder / "report.json")
    assert report.model.spec.preprocessing.crop_size == (HEIGHT, WIDTH)
    assert report.parity
    assert all(pair.max_lsb == 0 for pair in report.parity.values())
    (taken,) = onnx.load(folder / bundle.ONNX).graph.input
    sizes = [axis.dim_value for axis in taken.type.tensor_type.shape.dim]
    assert sizes[1:] == [3, HEIGHT, WIDTH]


def test_the_archive_the_command_line_and_the_board_answer_the_same(
    folder: Path, eightbit: Eightbit, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    photo = tmp_path / "photo.png"
    Image.fromarray(pixels).resize((70, 90)).save(photo)
    model = tmp_path / "model.zip"
    report = read_report(folder / "report.json")
    model.write_bytes(archive_of(bundle_files(open_bundle(folder), report)))
    with zipfile.ZipFile(model) as archive:
        assert f"the {HEIGHT} x {WIDTH} pixels (height x width) in the centre" in archive.read(
            "README.md"
        ).decode("utf-8")
    board = _run(model, "--self-test", "--json")
    (tmp_path / "board.json").write_text(board)
    verified = eightbit("verify", folder, "--self-test", tmp_path / "board.json", "--threads", 1)
    assert verified.code == 0, verified
    assert "at most 0 last bits apart" in " ".join(verified.out.split())
    # Both print the probabilities of the classes in tenths of a percent, the highest first.
    shown = [line.split() for line in _run(model, photo).splitlines()[1:]]
    listed = eightbit("classify", folder / bundle.ONNX, photo).out
    assert all(share in listed for share, _ in shown)
    how = read_recipe(folder / bundle.RECIPE).spec.preprocessing
    batch = preprocess(Image.open(photo).convert("RGB"), how)[None]
    (logits,) = OnnxRunner(folder / bundle.ONNX, threads=1)(batch)
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert [int(name) for _, name in shown] == np.argsort(-logits, kind="stable")[:5].tolist()
    assert [share for share, _ in shown] == [f"{share:.1%}" for share in -np.sort(-shares)[:5]]


def _run(*command: object) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("text", ["0x5", "224x", "3x-4", "x", "", "9000", "1x8193", "1e3", "²"])
@pytest.mark.parametrize("option", ["--crop", "--resize"])
def test_what_is_no_size_is_refused(
    option: str, text: str, eightbit: Eightbit, quick: tuple[object, ...], tmp_path: Path
) -> None:
    error = eightbit(*quick, "--out", tmp_path / "out", f"{option}={text}").error
    assert f"{option}: expected a side in pixels such as 224, or height and width as HxW" in error
    assert f"found {text!r}" in error
    assert list(tmp_path.iterdir()) == []


def test_another_size_than_the_files_is_refused(
    eightbit: Eightbit, photos: Path, tmp_path: Path
) -> None:
    path = saved(written(BODY, WEIGHTS, shape="N,3,24,40"), tmp_path)
    command = ("quantize", "--weights", path, "--calibrate", photos, "--out", tmp_path / "out")
    error = eightbit(*command, "--crop", "40x24").error
    assert "--crop: expected 24x40, the height and width of the images" in error
    assert "found 40x24" in error


def test_the_command_line_says_height_and_width(
    eightbit: Eightbit, folder: Path, tmp_path: Path
) -> None:
    shown = " ".join(eightbit("inspect", folder / bundle.ONNX).out.split())
    assert "covering 24x40 px (height x width), centre 24x40 px" in shown
    assert Preprocessing(resize=(HEIGHT, WIDTH), crop=(HEIGHT, WIDTH)).resized in shown
