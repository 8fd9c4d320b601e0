from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from eightbit.models import (
    InputError,
    Interpolation,
    Preprocessing,
    Wanted,
    load_source,
    preprocess,
)
from eightbit.models.doors.vision_guard import import_torchvision

import_torchvision()
timm = pytest.importorskip("timm", reason="the extra timm is not installed")

NAME = "resnet10t"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("timm") / "weights.pth"
    torch.save(timm.create_model(NAME, num_classes=7).state_dict(), path)
    return path


def test_its_configuration_says_the_preprocessing_and_its_file_the_classes(weights: Path) -> None:
    found = load_source(f"timm:{NAME}", Wanted(weights=str(weights)))
    # resnet10t.c3_in1k: 176 px, crop_pct 0.875.
    assert found.spec.preprocessing == Preprocessing(
        resize=201, crop=176, interpolation=Interpolation.BICUBIC
    )
    assert (found.spec.architecture, found.spec.num_classes) == (f"timm:{NAME}", 7)
    assert found.spec.labels is None


@pytest.mark.parametrize("mode", ["center", "squash"])
def test_the_height_and_width_of_its_configuration_are_prepared_as_timm_does_it(
    mode: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = timm.data.resolve_data_config

    def wide(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**asked(*args, **kwargs), "input_size": (3, 96, 160), "crop_mode": mode}

    monkeypatch.setattr(timm.data, "resolve_data_config", wide)
    found = load_source(f"timm:{NAME}", Wanted(weights=str(weights))).spec.preprocessing
    assert (found.resize, found.crop) == ((109, 182), (96, 160))
    theirs = timm.data.create_transform(**wide({}, model=timm.create_model(NAME)))
    for seed, (width, height) in enumerate([(300, 200), (200, 300), (320, 192), (50, 40)]):
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        np.testing.assert_array_equal(preprocess(image, found), theirs(image).numpy())


def test_what_timm_has_not_is_refused(weights: Path) -> None:
    with pytest.raises(InputError, match="a network that timm has, found 'resnet10x'"):
        load_source("timm:resnet10x", Wanted(weights=str(weights)))
    with pytest.raises(InputError, match="expected --weights: a file, or DEFAULT"):
        load_source(f"timm:{NAME}", Wanted())
    with pytest.raises(InputError, match=r"conv1.weight: expected shape \(64, 3, 7, 7\)"):
        load_source("timm:resnet18", Wanted(weights=str(weights)))


def test_what_cannot_be_done_is_refused_until_options_say_what_to_do(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = timm.data.resolve_data_config

    def squashed(*args: Any, **kwargs: Any) -> dict[str, Any]:
        return {**asked(*args, **kwargs), "crop_mode": "border", "interpolation": "lanczos"}

    monkeypatch.setattr(timm.data, "resolve_data_config", squashed)
    given = str(weights)
    with pytest.raises(InputError, match="found crop_mode border; give --resize and --crop"):
        load_source(f"timm:{NAME}", Wanted(weights=given, resize=200))
    with pytest.raises(InputError, match="found lanczos; give --interpolation"):
        load_source(f"timm:{NAME}", Wanted(weights=given, resize=200, crop=176))
    said = Preprocessing(resize=200, crop=176, interpolation=Interpolation.BILINEAR)
    wanted = Wanted(weights=given, resize=200, crop=176, interpolation=Interpolation.BILINEAR)
    assert load_source(f"timm:{NAME}", wanted).spec.preprocessing == said
    wanted = Wanted(weights=given, preprocessing=said)
    assert load_source(f"timm:{NAME}", wanted).spec.preprocessing == said
