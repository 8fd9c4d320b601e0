"""Portable recipes against the emulated instructions of x86 without VNNI: nothing saturates."""

import numpy as np
import pytest
from tests.golden.x86_pairs import ORDERS, saturates

from eightbit.models import Architecture
from eightbit.quantize.config import Target
from eightbit.quantize.recipe.integers import weight_integers

SIDE = 64

ARCHITECTURES = (
    Architecture.CIFAR_RESNET20,
    Architecture.RESNET18,
    Architecture.RESNEXT50_32X4D,
)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def saturating(request, random_network, noise_images, recipe_for):
    """How many output channels of a target's recipe can saturate, by layer and order."""

    def count(target: Target) -> dict[tuple[str, str], int]:
        pretrained = random_network(request.param, side=SIDE)
        fused, recipe = recipe_for(pretrained, noise_images(4, SIDE), target=target)
        found = {}
        for name, layer in fused.layers.items():
            integers = weight_integers(layer, recipe.layers[name])
            assert np.abs(integers).max() <= 127
            for order_name, order in ORDERS.items():
                wrong = saturates(integers.astype(np.int8), order)
                found[name, order_name] = int(wrong.sum())
        return found

    return count


def test_no_layer_of_a_portable_recipe_saturates(saturating):
    found = saturating(Target.PORTABLE)
    # The first layer has three channels, the last is linear.
    assert {("conv1", name) for name in ORDERS} <= found.keys()
    assert {("fc", name) for name in ORDERS} <= found.keys()
    assert set(found.values()) == {0}


def test_layers_of_an_unprotected_recipe_do(saturating):
    found = saturating(Target.X86_VNNI)
    assert sum(found.values()) > 0.1 * len(found)
