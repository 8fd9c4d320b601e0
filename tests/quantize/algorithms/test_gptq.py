"""Adaptive rounding: the layer's output comes closer to float, by integers beside each weight."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from eightbit.calibration import collect
from eightbit.calibration.saturation import channels_at_risk
from eightbit.models import Architecture, Pretrained
from eightbit.quantize import QuantConfig, Recipe, correct_biases, fuse, make_recipe, observe
from eightbit.quantize.algorithms.gptq import round_adaptively
from eightbit.quantize.algorithms.simulation import Pair, PairedNetwork
from eightbit.quantize.config import Mode, Target
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import with_tables
from eightbit.quantize.recipe.tables import Tables

Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]


def recipe_of(pretrained: Pretrained, images: np.ndarray, config: QuantConfig) -> Recipe:
    fused = fuse(pretrained)
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, images)
    return make_recipe(fused, collected, pretrained, config)


@pytest.mark.parametrize(
    ("architecture", "target"),
    [
        (Architecture.CIFAR_RESNET20, Target.PORTABLE),
        (Architecture.CIFAR_RESNET20, Target.X86_VNNI),
        (Architecture.RESNEXT50_32X4D, Target.PORTABLE),
    ],
)
def test_every_weight_stays_with_an_integer_beside_it(
    architecture: Architecture, target: Target, random_network: Networks, noise_images: Images
) -> None:
    pretrained = random_network(architecture, side=32)
    fused, images = fuse(pretrained), noise_images(16, 32)
    recipe = recipe_of(pretrained, images, QuantConfig(target=target))
    done: list[str] = []
    rounded = round_adaptively(fused, recipe, torch.from_numpy(images), done.append)
    assert sorted(done) == sorted(recipe.layers)
    Quantized(network=fused, recipe=rounded)
    at_risk = 0
    for name, layer in fused.layers.items():
        scale, _ = recipe.layers[name].weight.broadcast(layer.weight.ndim)
        exact = layer.weight.detach().numpy() / scale
        chosen = weight_integers(layer, rounded.layers[name])
        beside = np.abs(chosen - exact) <= 1 + 1e-5
        if target is Target.PORTABLE:
            # Where the bound leaves no such integer, the nearest that keeps it, or one beside it.
            nearest = weight_integers(layer, recipe.layers[name])
            beside |= (np.abs(nearest - exact) > 0.5) & (np.abs(chosen - nearest) <= 1)
        assert beside.all(), name
        at_risk += int(channels_at_risk(chosen).sum())
    assert (at_risk > 0) == (target is not Target.PORTABLE)


class _FirstError(PairedNetwork):
    """Mean squared error of the second convolution's sums, whose input both roundings share."""

    error = 0.0

    def on_layer(self, name: str, sums: Pair) -> Pair:
        if name == "layer1.0.conv1":
            self.error = float((sums.exact - sums.rounded).square().mean())
        return sums


# Inputs in another order than the weights would leave 0.56 and 0.79.
@pytest.mark.parametrize(("target", "left"), [(Target.PORTABLE, 0.5), (Target.X86_VNNI, 0.75)])
def test_a_layer_comes_closer_to_float_on_images_that_it_has_not_seen(
    target: Target, left: float, random_network: Networks, noise_images: Images
) -> None:
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=32)
    fused = fuse(pretrained)
    # Neighbouring pixels alike, as in photos: white noise leaves nothing to make up for.
    smooth = noise_images(64, 32).cumsum(axis=2).cumsum(axis=3) / 32
    nearest = recipe_of(pretrained, smooth, QuantConfig(target=target))
    adapted = round_adaptively(fused, nearest, torch.from_numpy(smooth[:32]))
    errors = []
    for recipe in (nearest, adapted):
        # Only the weights of this layer differ, and its input is float's own.
        alone = recipe.model_copy(
            update={"layers": {"layer1.0.conv1": recipe.layers["layer1.0.conv1"]}}
        )
        network = _FirstError(
            fused, alone.model_copy(update={"activations": {"conv1": recipe.activations["conv1"]}})
        )
        network.propagate(torch.from_numpy(smooth[32:]))
        errors.append(network.error)
    assert errors[1] < left * errors[0]


@pytest.fixture(scope="module")
def small(random_network: Networks) -> Pretrained:
    return random_network(Architecture.CIFAR_RESNET20, side=32)


def test_biases_are_corrected_in_the_same_pass_if_that_is_wanted(
    small: Pretrained, noise_images: Images
) -> None:
    fused, images = fuse(small), torch.from_numpy(noise_images(16, 32))
    plain, adjusted = (
        round_adaptively(
            fused,
            recipe_of(small, images.numpy(), QuantConfig()),
            images,
            corrected=corrected,
        )
        for corrected in (False, True)
    )
    uncorrected = recipe_of(small, images.numpy(), QuantConfig())
    for name, params in plain.layers.items():
        assert params.bias == uncorrected.layers[name].bias
    # What a pass of its own would do to these weights has been done.
    alone = correct_biases(fused, with_biases_of(adjusted, uncorrected), images)
    for name, params in adjusted.layers.items():
        steps = np.subtract(params.bias, uncorrected.layers[name].bias)
        assert np.abs(np.subtract(params.bias, alone.layers[name].bias)).max() <= 1
        assert np.abs(steps).max() >= 1, name


def with_biases_of(recipe: Recipe, other: Recipe) -> Recipe:
    layers = {
        name: params.model_copy(update={"bias": other.layers[name].bias})
        for name, params in recipe.layers.items()
    }
    return recipe.model_copy(update={"layers": layers})


def test_the_same_images_give_the_same_choices_whatever_was_chosen_before(
    small: Pretrained, noise_images: Images
) -> None:
    fused, images = fuse(small), torch.from_numpy(noise_images(16, 32))
    recipe = recipe_of(small, images.numpy(), QuantConfig())
    once = round_adaptively(fused, recipe, images, corrected=False)
    assert round_adaptively(fused, recipe, images, corrected=False) == once
    assert round_adaptively(fused, once, images, corrected=False) == once
    plain = with_tables(once, Tables())
    assert plain.model_copy(update={"decided": recipe.decided}) == with_tables(recipe, Tables())
