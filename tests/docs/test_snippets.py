"""Every Python snippet of the pages runs, in the order of its page."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser
from tests.docs.pages import CLASSES, DOCS, PAGES, name_of

from eightbit.benchmarks import OnnxRunner, TorchScriptRunner, read_metadata, read_report
from eightbit.benchmarks.artifact.formats import LITERT, PROGRAM
from eightbit.models import (
    Architecture,
    Decode,
    Preprocessing,
    Pretrained,
    load_pretrained,
    preprocess,
)
from eightbit.models.images.preprocessing import file_pixels
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize import Delivery, QuantConfig, Quantized, read_recipe, rebuild
from eightbit.quantize.artifacts.float_baseline import read_float_network
from eightbit.quantize.artifacts.open_bundle import open_bundle
from eightbit.quantize.artifacts.write import write_litert, write_program
from eightbit.quantize.deploy.archive import archive_of, bundle_files

Names = dict[str, Any]

PYTHON = PythonCodeBlockParser()


def snippets(page: Path) -> Document:
    return Document.parse(str(page), PYTHON)


WITH_SNIPPETS = [page for page in PAGES if list(snippets(page))]


@pytest.fixture(scope="module")
def run(desk: Path) -> Iterator[Callable[[Path], Names]]:
    """Run a page's snippets one after the other, once; what they leave in their names."""
    done: dict[Path, Names] = {}

    def run_page(page: Path) -> Names:
        if page not in done:
            document = snippets(page)
            with expected_deprecations():  # the pages say that torch warns
                for example in document:
                    example.evaluate()
            done[page] = document.namespace
        return done[page]

    threads, engine = torch.get_num_threads(), torch.backends.quantized.engine
    made = run_page(DOCS / "checkpoint.md")  # build/r20, which other pages speak of
    _write_pixel_bundle(made["pretrained"])
    shutil.copy("build/r20/model.int8.onnx", "model.onnx")
    _write_on_demand(Path("build/r20"))
    _write_board()
    yield run_page
    torch.set_num_threads(threads)
    torch.backends.quantized.engine = engine


def _write_pixel_bundle(network: Pretrained) -> None:
    """The bundle of docs/input.md: the same integers, with raw pixels as input."""
    recipe = read_recipe(Path("build/r20/recipe.json"))
    config = QuantConfig.model_validate({**recipe.config.model_dump(), "input": "uint8-nhwc"})
    changed = recipe.model_copy(update={"config": config})
    rebuild(network, changed, Delivery(out=Path("build/pixels")))


def _write_on_demand(folder: Path) -> None:
    """The files of docs/deployment.md that are not written by default."""
    recipe = read_recipe(folder / "recipe.json")
    network = read_float_network(folder / "model.fp32.onnx", recipe)
    quantized = Quantized(network=network, recipe=recipe)
    write_litert(quantized, folder / LITERT.file())
    write_program(quantized, folder / PROGRAM.file())


def _write_board() -> None:
    """The self-test of docs/arm64.md, as this machine answers it."""
    folder = Path("build/r20")
    members = bundle_files(open_bundle(folder), read_report(folder / "report.json"))
    Path("model.zip").write_bytes(archive_of(members))
    command = [sys.executable, "model.zip", "--self-test", "--json"]
    done = subprocess.run(command, check=True, capture_output=True)
    Path("board.json").write_bytes(done.stdout)


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=name_of)
def test_the_snippets_of_a_page_run(page: Path, run: Callable[[Path], Names]) -> None:
    assert run(page)


def test_there_are_snippets_where_a_reader_needs_them() -> None:
    assert {"contract", "checkpoint", "deployment", "doctor", "input", "report"} <= {
        page.stem for page in WITH_SNIPPETS
    }


def test_loading_without_eightbit_gives_what_eightbit_gives(
    desk: Path, run: Callable[[Path], Names]
) -> None:
    found = run(DOCS / "deployment.md")
    path = desk / "build" / "r20" / "model.int8.onnx"
    metadata = read_metadata(path)
    assert metadata is not None
    with Image.open(desk / "photo.png") as photo:
        pixels = preprocess(photo.convert("RGB"), metadata.spec.preprocessing)
    assert np.array_equal(found["pixels"].transpose(2, 0, 1), pixels)
    assert np.array_equal(found["logits"], OnnxRunner(path, 1)(pixels[None]))
    torchscript = TorchScriptRunner(path.with_suffix(".pt"), 1)(pixels[None])
    assert np.array_equal(found["same_logits"].numpy(), torchscript)
    assert np.array_equal(found["program_logits"].numpy(), found["logits"])
    assert np.array_equal(found["batch_logits"], np.repeat(found["logits"], 2, axis=0))
    scale = read_recipe(path.with_name("recipe.json")).output_scale
    assert np.abs(found["lite_logits"] - found["logits"]).max() < 1e-3 * scale
    assert found["label"] == CLASSES[found["logits"].argmax()]
    # A large photo as the page's own lines decode it.
    large = Preprocessing(resize=256, crop=256, decode=Decode.SCALED)
    expected = file_pixels((desk / "photo.jpg").read_bytes(), large)
    assert found["box"] == (0, 0, 1000, 750)
    assert np.array_equal(np.asarray(found["small"])[:, 42:298], expected)


def test_a_network_for_grey_photos_answers_them_as_it_did(
    desk: Path, run: Callable[[Path], Names]
) -> None:
    run(DOCS / "checkpoint.md")
    path = str(desk / "flowers.safetensors")
    network = load_pretrained(Architecture.CIFAR_RESNET20, path, resize=32, crop=32)
    grey = torch.load(desk / "grey.pth", weights_only=True)
    photo = torch.rand(2, 1, 32, 32)
    with torch.inference_mode():
        found = network.model.conv1(photo.expand(2, 3, 32, 32))
        expected = torch.nn.functional.conv2d(photo, grey["conv1.weight"], padding=1)
    torch.testing.assert_close(found, expected)
