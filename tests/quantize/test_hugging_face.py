"""A folder of Hugging Face's through the command line, and rebuilt from its recipe."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from safetensors.torch import save_file
from tests.quantize.conftest import Eightbit

from eightbit.models import Architecture, InputError, ModelSpec, Wanted
from eightbit.models.doors.foreign.hf_files import HubResNet
from eightbit.models.doors.foreign.hf_network import build, their_key
from eightbit.models.spec import ChannelOrder
from eightbit.quantize import bundle
from eightbit.quantize.cli.inputs import load_recorded
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages

VARIANT: dict[str, Any] = {
    "model_type": "resnet",
    "layer_type": "bottleneck",
    "downsample_in_bottleneck": True,
    "embedding_size": 8,
    "hidden_sizes": [16, 32],
    "depths": [1, 1],
    "id2label": {str(index): f"class {index}" for index in range(10)},
}
RESNET18: dict[str, Any] = {
    "model_type": "resnet",
    "layer_type": "basic",
    "hidden_sizes": [64, 128, 256, 512],
    "depths": [2, 2, 2, 2],
}


def saved(folder: Path, config: dict[str, Any], classes: int) -> str:
    torch.manual_seed(2)
    network = build(HubResNet.model_validate_json(json.dumps(config)), classes)
    folder.mkdir()
    state = {their_key(key): value for key, value in network.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    processor = {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 28, "resample": 2}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return f"hf:{folder}"


def test_a_folder_becomes_a_bundle_that_says_what_the_folder_says(
    eightbit: Eightbit, photos: Path, tmp_path: Path
) -> None:
    source = saved(tmp_path / "net", VARIANT, classes=10)
    made = eightbit(
        *("quantize", source, "--calibrate", photos, "--out", tmp_path / "out"),
        *("--samples", 4, "--formats", "onnx", "--method", "minmax", "--rounding", "nearest"),
        *("--equalize", "off", "--bias-correction", "off", "--threads", 1),
    )
    assert made.code in (0, 1), made.err
    assert "images are prepared with Pillow" in made.err + made.out
    spec = json.loads((tmp_path / "out" / bundle.RECIPE).read_text())["spec"]
    assert spec["architecture"] == "hf:net"
    assert spec["labels"] == [f"class {index}" for index in range(10)]
    sizes = {"resize": 32, "crop": 28}
    assert spec["preprocessing"] == {**sizes, "mean": [0.5] * 3, "std": [0.5] * 3}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["coverage"]["integer_multiplications"] == 1


def recipe_of(**spec: Any) -> Recipe:
    """What `load_recorded` reads of a recipe."""
    provenance = SimpleNamespace(weights_key=None, channels=ChannelOrder.RGB)
    return cast(Recipe, SimpleNamespace(spec=ModelSpec(**spec), provenance=provenance))


def test_a_recipe_of_one_of_our_networks_takes_the_folder_again(tmp_path: Path) -> None:
    source = saved(tmp_path / "net", RESNET18, classes=3)
    recipe = recipe_of(architecture=Architecture.RESNET18, num_classes=3)
    found = load_recorded(tmp_path / "recipe.json", recipe, source, Wanted(), Stages())
    assert found.spec == recipe.spec  # its preprocessing, too, is the recipe's
    other = recipe_of(architecture=Architecture.RESNET34, num_classes=3)
    with pytest.raises(InputError, match="expected a recipe for resnet18, found one for resnet34"):
        load_recorded(tmp_path / "recipe.json", other, source, Wanted(), Stages())


def test_another_network_in_the_folder_ends_in_one_line(
    eightbit: Eightbit, photos: Path, tmp_path: Path
) -> None:
    source = saved(tmp_path / "net", VARIANT, classes=10)
    (tmp_path / "net" / "config.json").write_text('{"model_type": "vit"}')
    end = ("--calibrate", photos, "--out", tmp_path / "out")
    assert (
        "model_type: Input should be 'resnet', found vit"
        in eightbit("quantize", source, *end).error
    )
    assert not (tmp_path / "out").exists()
