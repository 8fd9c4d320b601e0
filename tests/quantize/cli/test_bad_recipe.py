"""Recipes that `eightbit quantize --recipe` does not follow, and options that one determines."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tests.quantize.cli.refusal import Case, Eightbit, Place, cases, check_refused

from eightbit.quantize import bundle


def _fallback_with_recipe(place: Place) -> tuple[object, ...]:
    recipe = place.bundle / bundle.RECIPE
    return place.rebuild(recipe, fallback=True, max_drop=1, evaluate=place.photos)


def _changed_recipe(place: Place, change: Callable[[dict[str, Any]], object]) -> Path:
    content = json.loads((place.bundle / bundle.RECIPE).read_text())
    change(content)
    Path(bundle.RECIPE).write_text(json.dumps(content))
    shutil.copy(place.bundle / bundle.TABLES, bundle.TABLES)
    return Path(bundle.RECIPE)


def _recipe_for_other_weights(place: Place) -> tuple[object, ...]:
    state = torch.load(place.checkpoint)
    state["fc.bias"] += 1
    torch.save(state, "other.pth")
    return place.rebuild(place.bundle / bundle.RECIPE, weights="other.pth")


def _recipe_of_a_newer_version(place: Place) -> tuple[object, ...]:
    return place.rebuild(_changed_recipe(place, lambda recipe: recipe.update(format_version=99)))


def _recipe_with_an_unknown_key(place: Place) -> tuple[object, ...]:
    return place.rebuild(_changed_recipe(place, lambda recipe: recipe.update(temperature=1)))


def _recipe_without_an_activation(place: Place) -> tuple[object, ...]:
    return place.rebuild(_changed_recipe(place, lambda recipe: recipe["activations"].pop("conv1")))


def _recipe_without_a_layer(place: Place) -> tuple[object, ...]:
    def change(recipe: dict[str, Any]) -> None:
        recipe["layers"].pop("conv1")
        # Else a table of a layer that is not there is what is refused.
        recipe["tables_sha256"] = None

    return place.rebuild(_changed_recipe(place, change))


def _recipe_with_a_bias_beyond_int32(place: Place) -> tuple[object, ...]:
    def change(recipe: dict[str, Any]) -> None:
        recipe["layers"]["conv1"]["bias"][0] = 2**40

    return place.rebuild(_changed_recipe(place, change))


def _recipe_with_another_output(place: Place) -> tuple[object, ...]:
    return place.rebuild(_changed_recipe(place, lambda recipe: recipe.update(output="conv1")))


def _recipe_with_too_few_scales(place: Place) -> tuple[object, ...]:
    def change(recipe: dict[str, Any]) -> None:
        for numbers in ("scale", "zero_point"):
            recipe["layers"]["conv1"]["weight"][numbers].pop()

    return place.rebuild(_changed_recipe(place, change))


def _recipe_is_garbage(place: Place) -> tuple[object, ...]:
    Path("recipe.json").write_bytes(b"\xff\xfe garbage")
    return place.rebuild(Path("recipe.json"))


def _recipe_is_missing(place: Place) -> tuple[object, ...]:
    return place.rebuild(Path("gone.json"))


def _recipe_of_another_architecture(place: Place) -> tuple[object, ...]:
    recipe = place.bundle / bundle.RECIPE
    return place.quantize(architecture="resnet18", calibrate=None, recipe=recipe)


def _resize_with_recipe(place: Place) -> tuple[object, ...]:
    return place.rebuild(place.bundle / bundle.RECIPE, resize=32)


def _calibrate_with_recipe(place: Place) -> tuple[object, ...]:
    return (*place.rebuild(place.bundle / bundle.RECIPE), "--calibrate", place.photos)


def _samples_with_recipe(place: Place) -> tuple[object, ...]:
    return place.rebuild(place.bundle / bundle.RECIPE, samples=8)


def _rounding_with_recipe(place: Place) -> tuple[object, ...]:
    return place.rebuild(place.bundle / bundle.RECIPE, rounding="gptq")


def _weight_method_with_recipe(place: Place) -> tuple[object, ...]:
    return place.rebuild(place.bundle / bundle.RECIPE, weight_method="mse")


# What the line must say, besides beginning with the program's name.
CASES: Mapping[Case, tuple[str, ...]] = {
    _fallback_with_recipe: ("--fallback", "leave it out"),
    _recipe_for_other_weights: ("other.pth", "tiny.pth", "give the same file"),
    _recipe_of_a_newer_version: ("recipe.json", "found 99", "upgrade eightbit"),
    _recipe_with_an_unknown_key: ("recipe.json", "temperature"),
    _recipe_without_an_activation: ("recipe: activations: conv1: expected parameters",),
    _recipe_without_a_layer: ("recipe: conv1: expected 16 output channels, found 0",),
    _recipe_with_a_bias_beyond_int32: ("recipe.json: layers.conv1.bias.0", "2147483647"),
    _recipe_with_another_output: ("recipe: output: expected fc, found conv1",),
    _recipe_with_too_few_scales: ("recipe.json: layers.conv1", "found 16 and 15"),
    _recipe_is_garbage: ("recipe.json", "JSON"),
    _recipe_is_missing: ("gone.json", "found no such file"),
    _recipe_of_another_architecture: ("recipe for resnet18", "cifar_resnet20"),
    _resize_with_recipe: ("--resize", "leave it out"),
    _calibrate_with_recipe: ("--calibrate", "leave it out"),
    _samples_with_recipe: ("--samples", "leave it out"),
    _rounding_with_recipe: ("--rounding", "leave it out"),
    _weight_method_with_recipe: ("--weight-method", "leave it out"),
}


@cases(CASES)
def test_bad_input_is_refused_in_one_line_and_nothing_is_left_behind(
    case: Case, said: tuple[str, ...], place: Place, eightbit: Eightbit
) -> None:
    check_refused(case, said, place, eightbit)
