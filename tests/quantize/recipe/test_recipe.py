"""The recipe: complete, strict, and the same bytes for the same numbers."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eightbit.calibration import Method, collect
from eightbit.models import Architecture, InputError, Pretrained
from eightbit.quantize import QuantConfig, Recipe, fuse, make_recipe, observe, read_recipe
from eightbit.quantize.config import Mode
from eightbit.quantize.recipe.recipe import check_origin

Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]


@pytest.fixture(scope="module")
def pretrained(random_network: Networks) -> Pretrained:
    return random_network(Architecture.CIFAR_RESNET20, side=32)


@pytest.fixture(scope="module")
def make(pretrained: Pretrained, noise_images: Images) -> Callable[..., Recipe]:
    fused = fuse(pretrained)

    def make(images: np.ndarray | None = None, method: Method = Method.MINMAX) -> Recipe:
        observed = observe(fused, Mode.EAGER)
        pixels = noise_images(12, 32) if images is None else images
        collected = collect(observed.module, observed.observers, pixels)
        return make_recipe(fused, collected, pretrained, QuantConfig(method=method))

    return make


@pytest.fixture(scope="module")
def recipe(make: Callable[..., Recipe]) -> Recipe:
    return make()


def test_it_survives_the_disk(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(recipe.to_json())
    assert read_recipe(path) == recipe
    assert read_recipe(path).sha256 == recipe.sha256


def test_the_same_images_give_the_same_bytes(recipe: Recipe, make: Callable[..., Recipe]) -> None:
    assert make().to_json() == recipe.to_json()


def test_the_order_of_the_images_does_not_matter(
    recipe: Recipe, make: Callable[..., Recipe], noise_images: Images
) -> None:
    assert make(noise_images(12, 32)[::-1]).to_json() == recipe.to_json()


@pytest.mark.parametrize("method", [Method.PERCENTILE, Method.MSE])
def test_the_method_changes_activations_and_what_depends_on_them(
    recipe: Recipe, make: Callable[..., Recipe], method: Method
) -> None:
    other = make(method=method)
    assert other.activations != recipe.activations
    assert other.layers != recipe.layers
    assert other.config.method is method


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format_version 1 or lower, found 2"),
        ({"extra": 1}, "extra: expected no such key"),
        ({"activations": {"input": {"scale": [0.0]}}}, "activations"),
    ],
    ids=["newer version", "unknown key", "broken numbers"],
)
def test_a_strange_recipe_is_refused(
    recipe: Recipe, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(json.loads(recipe.to_json()) | change))
    with pytest.raises(InputError, match=message):
        read_recipe(path)


def test_other_weights_are_refused(recipe: Recipe, pretrained: Pretrained) -> None:
    check_origin(recipe, pretrained)
    other = Pretrained(
        model=pretrained.model, spec=pretrained.spec, weights_sha256="1" * 64, source="other.pth"
    )
    with pytest.raises(InputError, match=r"other.pth: expected the weights of the recipe"):
        check_origin(recipe, other)


def test_a_key_stands_in_the_recipe_only_where_it_was_given(recipe: Recipe) -> None:
    assert "weights_key" not in recipe.to_json()
    assert "weights_notes" not in recipe.to_json()
    origin = recipe.provenance.model_copy(update={"weights_key": "ema", "weights_notes": ("a",)})
    keyed = recipe.model_copy(update={"provenance": origin})
    found = Recipe.model_validate_json(keyed.to_json()).provenance
    assert (found.weights_key, found.weights_notes) == ("ema", ("a",))


@pytest.mark.parametrize("key", [None, "state_dict", "ema"])
def test_other_weights_of_the_same_file_are_refused(
    key: str | None, recipe: Recipe, pretrained: Pretrained
) -> None:
    origin = recipe.provenance.model_copy(update={"weights_key": "ema"})
    keyed = recipe.model_copy(update={"provenance": origin})
    taken = replace(pretrained, weights_key=key)
    if key == "ema":
        check_origin(keyed, taken)
    else:
        with pytest.raises(InputError, match=r"those under ema, .*give --weights-key ema"):
            check_origin(keyed, taken)
    check_origin(recipe, taken)  # the file has one network alone


def test_damaged_weights_are_named(
    random_network: Networks, make: Callable[..., Recipe], noise_images: Images
) -> None:
    damaged = random_network(Architecture.CIFAR_RESNET20, side=32)
    fused = fuse(damaged)
    observed = observe(fused, Mode.EAGER)
    collected = collect(observed.module, observed.observers, noise_images(2, 32))
    fused.layers["layer2.1.conv2"].weight.data[0] = float("nan")
    with pytest.raises(InputError, match=r"layer2.1.conv2: expected finite weights"):
        make_recipe(fused, collected, damaged, QuantConfig())
