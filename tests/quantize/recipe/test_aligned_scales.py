"""Every place of a network where real numbers are rounded, looked at in its recipe."""

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest
from torch import fx

from eightbit.calibration import collect
from eightbit.models import Architecture, Pretrained
from eightbit.quantize import Network, QuantConfig, Recipe, fuse, make_recipe, observe
from eightbit.quantize.config import Mode, Target
from eightbit.quantize.network.graph import INPUT, operation_kind, sources, tensor_name

Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]

SIDE = 64
ARCHITECTURES = [
    Architecture.CIFAR_RESNET20,
    Architecture.RESNET18,
    Architecture.RESNET50,
    Architecture.RESNEXT50_32X4D,
]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def made(
    request: pytest.FixtureRequest, random_network: Networks, noise_images: Images
) -> tuple[Network, Recipe]:
    pretrained = random_network(request.param, side=SIDE)
    fused = fuse(pretrained)
    observed = observe(fused, Mode.EAGER)
    collected = collect(observed.module, observed.observers, noise_images(4, SIDE))
    recipe = make_recipe(fused, collected, pretrained, QuantConfig(target=Target.X86_VNNI))
    return fused, recipe


def assert_tie_free(ratio: float, where: str) -> None:
    """The ratio is a fraction with a small odd denominator, as exactly as float32 scales say."""
    found = Fraction(ratio).limit_denominator(20_000)
    assert float(found) == pytest.approx(ratio, rel=3e-7), where
    assert found.denominator % 2 == 1, where


def scale_of(recipe: Recipe, name: str) -> float:
    return recipe.activations[name].scale[0]


def nodes_of(graph: fx.Graph, kind: str) -> Iterator[tuple[str, fx.Node]]:
    for node in graph.nodes:
        name = tensor_name(node)
        if name is not None and operation_kind(node) == kind:
            yield name, node


def test_residual_adds(made: tuple[Network, Recipe]) -> None:
    network, recipe = made
    adds = list(nodes_of(network.graph, "add"))
    assert adds
    for name, node in adds:
        for source in sources(node):
            assert_tie_free(scale_of(recipe, source) / scale_of(recipe, name), name)


def test_convolutions(made: tuple[Network, Recipe]) -> None:
    network, recipe = made
    inputs = network.inputs
    for name, _ in nodes_of(network.graph, "conv"):
        unit = scale_of(recipe, inputs[name]) / scale_of(recipe, name)
        for scale in recipe.layers[name].weight.scale:
            assert_tie_free(scale * unit, name)


def test_the_global_average_pool(made: tuple[Network, Recipe]) -> None:
    network, recipe = made
    ((name, node),) = nodes_of(network.graph, "pool")
    (source,) = sources(node)
    positions = 256 if recipe.spec.architecture is Architecture.CIFAR_RESNET20 else 4
    assert_tie_free(scale_of(recipe, source) / scale_of(recipe, name) / positions, name)


def test_the_input(made: tuple[Network, Recipe]) -> None:
    _, recipe = made
    preprocessing = recipe.spec.preprocessing
    pixels = np.arange(256, dtype=np.float32)[:, np.newaxis] / np.float32(255)
    levels = (pixels - np.float32(preprocessing.mean)) / np.float32(preprocessing.std)
    steps = levels.astype(np.float64) / scale_of(recipe, INPUT)
    assert np.abs(steps % 1.0 - 0.5).min() > 1e-3
