"""Adaptive rounding: the layer's output comes closer to float, by integers beside each weight."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from eightbit.calibration import collect
from eightbit.models import Architecture, Pretrained
from eightbit.quantize import QuantConfig, Recipe, fuse, make_recipe, observe
from eightbit.quantize.adaptive_rounding import (
    _round_columns,
    _sampled_inputs,
    round_adaptively,
)
from eightbit.quantize.config import Mode
from eightbit.quantize.conversion import check_fit
from eightbit.quantize.fusion import integer_layers
from eightbit.quantize.simulation import Pair, PairedNetwork

Images = Callable[..., np.ndarray]


@pytest.fixture(scope="module", params=[Architecture.CIFAR_RESNET20, Architecture.RESNEXT50_32X4D])
def pretrained(
    request: pytest.FixtureRequest, random_network: Callable[..., Pretrained]
) -> Pretrained:
    return random_network(request.param, side=32)


@pytest.fixture(scope="module")
def recipe(pretrained: Pretrained, noise_images: Images) -> Recipe:
    fused = fuse(pretrained.model)
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, noise_images(16, 32))
    return make_recipe(fused, collected, pretrained, QuantConfig())


def test_every_weight_stays_with_an_integer_beside_it(
    pretrained: Pretrained, recipe: Recipe, noise_images: Images
) -> None:
    fused = fuse(pretrained.model)
    done: list[str] = []
    images = torch.from_numpy(noise_images(16, 32))
    rounded = round_adaptively(fused, recipe, images, done.append)
    assert sorted(done) == sorted(recipe.layers)
    check_fit(fused, rounded)
    for name, layer in integer_layers(fused).items():
        scale, _ = recipe.layers[name].weight.broadcast(layer.weight.ndim)
        exact = layer.weight.detach().numpy() / scale
        chosen = np.clip(np.rint(exact), -127, 127) + rounded.layers[name].rounding.values
        assert (np.abs(chosen - exact) <= 1).all(), name
    again = round_adaptively(fused, recipe, images)
    assert again == rounded, "the same images give the same choices"


class _FirstError(PairedNetwork):
    """Mean squared error of the second convolution's sums, whose input both roundings share."""

    error = 0.0

    def on_layer(self, name: str, sums: Pair) -> Pair:
        if name == "layer1.0.conv1":
            self.error = float((sums.exact - sums.rounded).square().mean())
        return sums


def test_a_layer_comes_closer_to_float_on_images_that_it_has_not_seen(
    random_network: Callable[..., Pretrained], noise_images: Images
) -> None:
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=32)
    fused = fuse(pretrained.model)
    # Neighbouring pixels alike, as in photos: white noise leaves nothing to make up for.
    smooth = noise_images(64, 32).cumsum(axis=2).cumsum(axis=3) / 32
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, smooth)
    nearest = make_recipe(fused, collected, pretrained, QuantConfig())
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
    assert errors[1] < errors[0]


def test_columns_are_rounded_to_nearest_if_inputs_are_uncorrelated() -> None:
    target = torch.linspace(-3, 3, 64).reshape(4, 16)
    chosen = _round_columns(target, target.floor(), target.floor() + 1, torch.eye(16))
    assert torch.equal(chosen, target.round())


def test_a_later_column_makes_up_for_an_earlier_one() -> None:
    target = torch.tensor([[0.4, 0.4]])
    together = torch.ones(8, 2)
    chosen = _round_columns(target, target.floor(), target.floor() + 1, together)
    assert chosen.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 2, "dilation": 2, "stride": 2},
        {"kernel_size": (1, 5), "padding": (0, 2), "groups": 2},
    ],
    ids=["3x3", "dilated and strided", "grouped and oblong"],
)
def test_the_sampled_inputs_are_those_of_single_outputs(arguments: dict[str, object]) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, bias=False, **arguments)
    x = torch.randn(3, 4, 9, 8)
    inputs = _sampled_inputs(layer, x, torch.Generator().manual_seed(0))
    kernels = layer.weight.reshape(layer.groups, 6 // layer.groups, -1)
    outputs = torch.einsum("gok,gpk->pgo", kernels, inputs).reshape(-1, 6)
    expected = layer(x).permute(0, 2, 3, 1).reshape(-1, 6)
    # There are fewer positions than are sampled, so each comes once, in another order.
    assert torch.allclose(outputs.sort(0).values, expected.sort(0).values, atol=1e-5)
