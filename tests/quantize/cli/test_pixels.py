"""`--input`: a bundle whose models take pixels, through every command."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.quantize.conftest import DELIVERED

from eightbit.benchmarks import IsolatedRunner, open_runner, read_metadata
from eightbit.benchmarks.artifact.formats import TORCHSCRIPT
from eightbit.benchmarks.latency import launches
from eightbit.benchmarks.latency.launches import Effort
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.preprocessing import preprocess
from eightbit.quantize import bundle, read_recipe
from eightbit.quantize.measure.latency import time_bundle
from eightbit.quantize.stages import Stages

Eightbit = Callable[..., Any]


@pytest.fixture(scope="module")
def command(checkpoint: Path, photos: Path) -> tuple[object, ...]:
    return (
        *("quantize", "cifar_resnet20", "--weights", checkpoint, "--calibrate", photos),
        *("--threads", 1),
    )


@pytest.fixture(scope="module")
def pixel_bundle(
    eightbit: Eightbit, command: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("pixels") / "bundle"
    outcome = eightbit(*command, "--input", "uint8-nhwc", "--out", out)
    assert outcome.code == 0, outcome
    return out


def test_every_model_takes_pixels_and_has_the_integers_of_one_that_does_not(
    bundle_folder: Path, pixel_bundle: Path, photos: Path
) -> None:
    folders = (bundle_folder, pixel_bundle)
    recipes = [read_recipe(folder / bundle.RECIPE) for folder in folders]
    assert recipes[0].activations == recipes[1].activations
    assert recipes[0].layers == recipes[1].layers
    images = [decode_image(path.read_bytes()) for path in sorted(photos.rglob("*.png"))]
    x = np.stack([preprocess(image, recipes[0].spec.preprocessing) for image in images])
    for name in DELIVERED:
        metadata = read_metadata(pixel_bundle / name)
        assert metadata is not None
        assert (metadata.input.dtype, metadata.input.layout) == ("uint8", "NHWC")
        logits = [open_runner(folder / name, threads=1)(x) for folder in folders]
        assert np.array_equal(*logits), name


def test_the_recipe_rebuilds_the_same_bytes_with_the_same_input(
    eightbit: Eightbit, checkpoint: Path, pixel_bundle: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    rebuild = ("quantize", "--recipe", pixel_bundle / bundle.RECIPE, "--weights", checkpoint)
    outcome = eightbit(*rebuild, "--out", again)
    assert outcome.code == 0, outcome
    for name in (*DELIVERED, bundle.RECIPE):
        assert (again / name).read_bytes() == (pixel_bundle / name).read_bytes(), name


def test_beside_a_recipe_it_is_refused(
    eightbit: Eightbit, checkpoint: Path, pixel_bundle: Path, tmp_path: Path
) -> None:
    rebuild = ("quantize", "--recipe", pixel_bundle / bundle.RECIPE, "--weights", checkpoint)
    outcome = eightbit(*rebuild, "--input", "uint8", "--out", tmp_path / "x")
    assert "--input: expected only --weights beside --recipe" in outcome.error


def test_another_word_is_refused(
    eightbit: Eightbit, command: tuple[object, ...], tmp_path: Path
) -> None:
    outcome = eightbit(*command, "--input", "nhwc", "--out", tmp_path / "x")
    assert "--input" in outcome.error
    assert "uint8-nhwc" in outcome.error


@pytest.mark.parametrize("name", DELIVERED)
def test_inspect_names_type_and_layout(eightbit: Eightbit, pixel_bundle: Path, name: str) -> None:
    outcome = eightbit("inspect", pixel_bundle / name)
    assert outcome.code == 0, outcome
    assert "uint8 NHWC, RGB pixels, normalised inside" in outcome.out


@pytest.mark.parametrize("name", [bundle.ONNX, TORCHSCRIPT.file()])
def test_classify_says_what_the_logits_say(
    eightbit: Eightbit, pixel_bundle: Path, photos: Path, name: str
) -> None:
    photo = photos / "4" / "1.png"
    outcome = eightbit("classify", pixel_bundle / name, photo, "--top", 1, "--threads", 1)
    assert outcome.code == 0, outcome
    preprocessing = read_recipe(pixel_bundle / bundle.RECIPE).spec.preprocessing
    x = preprocess(decode_image(photo.read_bytes()), preprocessing)[None]
    (logits,) = open_runner(pixel_bundle / name, threads=1)(x)
    assert outcome.out.split()[-1] == str(int(np.argmax(logits)))


def test_evaluate_runs_on_it(eightbit: Eightbit, pixel_bundle: Path, photos: Path) -> None:
    outcome = eightbit("evaluate", pixel_bundle, "--data", photos, "--threads", 1)
    assert outcome.code == 0, outcome
    assert "Accuracy on 40 images" in outcome.out


def test_float_and_int8_are_timed_on_the_same_input(
    pixel_bundle: Path, brief: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []

    class Noted(IsolatedRunner):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            taken.append(self.feed.input.name)

    def no_turns(runners: Sequence[object], *_: object) -> list[tuple[tuple[float, ...], ...]]:
        return [((1.0,),) for _ in runners]

    monkeypatch.setattr(launches, "IsolatedRunner", Noted)
    monkeypatch.setattr(launches, "take_turns", no_turns)
    recipe = read_recipe(pixel_bundle / bundle.RECIPE)
    found = time_bundle(pixel_bundle, recipe, Stages(), threads=(1,), effort=brief)
    assert found.benchmark is not None
    assert found.benchmark.whole_path
    assert len(taken) >= 4
    assert set(taken) == {"uint8-nhwc"}
