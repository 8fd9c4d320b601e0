"""Which operations go to float first."""

import random
from collections.abc import Callable

import pytest
import torch
from tests.in_line import InLine
from torch import fx

from eightbit.calibration import collect
from eightbit.models import Architecture, Pretrained
from eightbit.quantize import QuantConfig, Recipe, fuse, make_recipe, observe
from eightbit.quantize.algorithms.simulation import Pair, PairedNetwork
from eightbit.quantize.config import Mode, Target
from eightbit.quantize.fallback.ranking import (
    Sensitivities,
    float_order,
    relative_noise,
    sensitivities,
)
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.placement import float_candidates, quantized_tensors


@pytest.fixture(scope="module")
def pretrained(random_network: Callable[..., Pretrained]) -> Pretrained:
    return random_network(Architecture.CIFAR_RESNET20, side=32)


@pytest.fixture(scope="module")
def fused(pretrained: Pretrained) -> Network:
    return fuse(pretrained)


@pytest.fixture(scope="module")
def graph(fused: Network) -> fx.Graph:
    return fused.graph


@pytest.fixture(scope="module")
def images(noise_images: Callable[..., object]) -> torch.Tensor:
    return torch.from_numpy(noise_images(8, 32))


@pytest.fixture(scope="module")
def recipe(pretrained: Pretrained, fused: Network, images: torch.Tensor) -> Recipe:
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, images.numpy())
    config = QuantConfig(target=Target.X86_VNNI)
    return make_recipe(fused, collected, pretrained, config)


def _first(graph: fx.Graph, **noise: dict[str, float]) -> tuple[str, ...]:
    return float_order(graph, Sensitivities(**{"tensors": {}, "weights": {}, **noise}))[0]


def test_bad_weights_take_one_layer(graph: fx.Graph) -> None:
    assert _first(graph, weights={"layer2.1.conv1": 1.0}) == ("layer2.1.conv1",)


def test_a_bad_tensor_takes_its_producer_and_every_reader(graph: fx.Graph) -> None:
    inside, stream = "layer2.1.conv1", "layer2.1.skip_add"
    assert _first(graph, tensors={inside: 1.0}) == (inside, "layer2.1.conv2")
    assert _first(graph, tensors={stream: 1.0}) == (
        stream,
        "layer2.2.conv1",
        "layer2.2.skip_add",
    )


def test_a_bad_pool_takes_what_is_around_it(graph: fx.Graph) -> None:
    assert _first(graph, tensors={"avgpool": 1.0}) == ("layer3.2.skip_add", "fc")


def test_what_saves_more_for_each_operation_goes_first(graph: fx.Graph) -> None:
    order = float_order(
        graph,
        Sensitivities(tensors={"layer1.0.conv1": 1.0}, weights={"fc": 0.6, "layer3.0.conv1": 0.4}),
    )
    assert order[:3] == (("fc",), ("layer1.0.conv1", "layer1.0.conv2"), ("layer3.0.conv1",))


@pytest.mark.parametrize("seed", range(3))
def test_every_operation_comes_once_and_saves_what_is_no_longer_rounded(
    graph: fx.Graph, seed: int
) -> None:
    draw = random.Random(seed)
    names = float_candidates(graph)
    tensors = quantized_tensors(graph)
    bad = draw.choice(tensors)
    order = float_order(graph, Sensitivities(tensors={bad: 1.0}, weights={}))
    assert sorted(name for step in order for name in step) == sorted(names)
    freed = set(tensors) - set(quantized_tensors(graph, order[0]))
    assert bad in freed
    for name in order[0]:
        fewer = [other for other in order[0] if other != name]
        assert bad in quantized_tensors(graph, fewer)


def test_a_tensor_with_a_coarse_grid_is_found(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    name = "layer2.0.conv1"
    params = recipe.activations[name]
    coarse = params.model_copy(update={"scale": (params.scale[0] * 30,)})
    reader = recipe.layers["layer2.0.conv2"]
    # Biases are in units of the input's scale.
    same = reader.model_copy(update={"bias": tuple(round(bias / 30) for bias in reader.bias)})
    worse = recipe.model_copy(
        update={
            "activations": {**recipe.activations, name: coarse},
            "layers": {**recipe.layers, "layer2.0.conv2": same},
        }
    )
    told: list[int] = []
    found = sensitivities(fused, worse, images, advance=told.append)
    assert max(found.tensors, key=lambda tensor: found.tensors[tensor]) == name
    assert found.tensors.keys() == recipe.activations.keys()
    assert found.weights.keys() == recipe.layers.keys()
    assert sum(told) == len(found.tensors) + len(found.weights)
    assert float_order(fused.graph, found)[0] == (name, "layer2.0.conv2")


def test_a_layer_with_coarse_weights_is_found(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    name = "layer2.0.conv1"
    layer = recipe.layers[name]
    scale = tuple(scale * 20 for scale in layer.weight.scale)
    coarse = layer.model_copy(
        update={
            "weight": layer.weight.model_copy(update={"scale": scale}),
            "bias": tuple(round(bias / 20) for bias in layer.bias),
        }
    )
    worse = recipe.model_copy(update={"layers": {**recipe.layers, name: coarse}})
    found = sensitivities(fused, worse, images)
    assert max(found.weights, key=lambda each: found.weights[each]) == name
    assert float_order(fused.graph, found)[0] == (name,)


def test_workers_find_the_noise_of_one_process(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    executor = InLine(threads=torch.get_num_threads())
    assert sensitivities(fused, recipe, images, executor=executor) == sensitivities(
        fused, recipe, images
    )
    assert len(executor.tasks) == len(recipe.activations) + len(recipe.layers)


def test_noise_is_that_of_both_networks_side_by_side(
    fused: Network, recipe: Recipe, images: torch.Tensor
) -> None:
    found = sensitivities(fused, recipe, images)
    for name, noise in found.tensors.items():
        update = {"activations": {name: recipe.activations[name]}, "layers": {}}
        pair = PairedNetwork(fused, recipe.model_copy(update=update)).propagate(images)
        assert noise == relative_noise(pair) ** 2


def test_noise_is_relative_to_each_image_and_one_outlier_cannot_rule() -> None:
    exact = torch.tensor([[1.0, -1.0], [100.0, -100.0], [1.0, -1.0], [1.0, -1.0]])
    error = torch.tensor([[0.1, -0.1], [10.0, -10.0], [0.1, -0.1], [1e6, -1e6]])
    found = relative_noise(Pair(exact=exact, rounded=exact + error))
    assert found == pytest.approx((0.1 + 0.1 + 0.1 + 1.0) / 4, abs=1e-6)


def test_what_all_logits_share_is_no_noise() -> None:
    exact = torch.tensor([[1.0, -1.0]])
    assert relative_noise(Pair(exact=exact, rounded=exact + 3)) == pytest.approx(0.0, abs=1e-12)
