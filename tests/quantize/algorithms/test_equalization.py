"""Equalisation: a badly scaled checkpoint quantizes like a well scaled one, computing the same."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from eightbit.calibration import collect
from eightbit.models import Architecture, InputError, Pretrained, load_pretrained
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import open_source
from eightbit.models.networks.resnet import Bottleneck
from eightbit.quantize import QuantConfig, fuse, make_recipe, observe
from eightbit.quantize.algorithms.equalization import apply_exponents, equalize
from eightbit.quantize.algorithms.equalization_trial import AS_IT_WAS, EQUALIZED, equalization_helps
from eightbit.quantize.algorithms.simulation import PairedNetwork
from eightbit.quantize.config import Equalize, Mode
from eightbit.quantize.images import UsableImages
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.tables import Int8Table

Images = Callable[..., np.ndarray]
Networks = Callable[..., Pretrained]


def scrambled(pretrained: Pretrained, seed: int = 0) -> Pretrained:
    """The same function, with every channel inside a block scaled by its own 2^-4 to 2^4."""
    rng = np.random.default_rng(seed)
    copied = copy.deepcopy(pretrained.model)
    for block in copied.modules():
        if hasattr(block, "skip_add"):
            _scale(block.bn1, block.conv2, rng)
        if isinstance(block, Bottleneck):
            _scale(block.bn2, block.conv3, rng)
    return replace(pretrained, model=copied)


def _scale(norm: nn.BatchNorm2d, reader: nn.Conv2d, rng: np.random.Generator) -> None:
    factors = torch.from_numpy(2.0 ** rng.integers(-4, 5, norm.num_features)).float()
    norm.weight.data *= factors
    norm.bias.data *= factors
    per_group = len(reader.weight) // reader.groups
    for row, kernels in enumerate(reader.weight.data):
        first = row // per_group * len(kernels)
        kernels /= factors[first : first + len(kernels)].reshape(-1, 1, 1)


def logits(network: Network, images: np.ndarray) -> torch.Tensor:
    with torch.inference_mode():
        return network.module(torch.from_numpy(images))


@pytest.fixture(
    scope="module",
    params=[Architecture.CIFAR_RESNET20, Architecture.RESNET50, Architecture.RESNEXT50_32X4D],
)
def pretrained(request: pytest.FixtureRequest, random_network: Networks) -> Pretrained:
    return random_network(request.param, side=32)


@pytest.mark.parametrize("choice", Equalize)
def test_the_float_function_stays_the_same_to_the_bit(
    pretrained: Pretrained, noise_images: Images, choice: Equalize
) -> None:
    images = noise_images(2, 32)
    fused = fuse(scrambled(pretrained))
    equalized = equalize(fused, choice)
    assert bool(equalized.exponents) == (choice is not Equalize.OFF)
    assert torch.equal(logits(equalized.network, images), logits(fused, images))


def test_how_the_channels_were_scaled_before_does_not_matter(pretrained: Pretrained) -> None:
    once = equalize(fuse(pretrained), Equalize.ON).network
    again = equalize(fuse(scrambled(pretrained)), Equalize.ON).network
    others = again.layers
    for name, layer in once.layers.items():
        other = others[name].weight
        # A factor that all channels of a layer share costs integers nothing.
        ratio = layer.weight.abs().max() / other.abs().max()
        assert torch.equal(layer.weight, other * ratio), name


def test_an_ordinary_network_is_left_alone(pretrained: Pretrained) -> None:
    fused = fuse(pretrained)
    equalized = equalize(fused, Equalize.AUTO)
    assert equalized.network is fused
    assert not equalized.exponents


def test_the_exponents_alone_give_the_same_network(pretrained: Pretrained) -> None:
    fused = fuse(scrambled(pretrained))
    equalized = equalize(fused, Equalize.AUTO)
    expected = equalized.network.module.state_dict()
    rebuilt = apply_exponents(fused, equalized.exponents).module.state_dict()
    assert all(torch.equal(rebuilt[name], tensor) for name, tensor in expected.items())


def test_a_dead_channel_stays_as_it_is(random_network: Networks) -> None:
    fused = fuse(scrambled(random_network(Architecture.CIFAR_RESNET20, side=32)))
    layer = fused.layers["layer1.0.conv1"]
    before = equalize(fused, Equalize.ON).exponents["layer1.0.conv1"].values
    layer.weight.data[3] = 0
    layer.bias.data[3] = 0
    after = equalize(fused, Equalize.ON)
    weight = after.network.layers["layer1.0.conv1"].weight
    assert not weight[3].any()
    exponents = np.delete(after.exponents["layer1.0.conv1"].values - before, 3)
    assert len(set(exponents.tolist())) == 1, "the others are scaled as before"


def test_a_shut_off_channel_is_not_blown_up(random_network: Networks) -> None:
    fused = fuse(random_network(Architecture.CIFAR_RESNET20, side=32))
    layer = fused.layers["layer1.0.conv1"]
    layer.weight.data[3] *= 2.0**-20
    layer.bias.data[3] = 1.0
    exponents = equalize(fused, Equalize.ON).exponents.get("layer1.0.conv1")
    assert exponents is None or exponents.values[3] <= 1


def test_damaged_weights_are_left_for_the_recipe_to_name(random_network: Networks) -> None:
    fused = fuse(random_network(Architecture.CIFAR_RESNET20, side=32))
    fused.layers["layer1.0.conv1"].weight.data[3] = float("nan")
    assert "layer1.0.conv1" not in equalize(fused, Equalize.ON).exponents


@pytest.mark.parametrize(
    ("name", "length", "message"),
    [
        ("layer1.0.conv2", 16, "expected a convolution before another, found none"),
        ("nothing", 16, "expected a convolution before another, found none"),
        ("layer1.0.conv1", 15, "expected 16 numbers, found 15"),
    ],
    ids=["before a residual add", "unknown layer", "other length"],
)
def test_exponents_of_another_network_are_refused(
    random_network: Networks, name: str, length: int, message: str
) -> None:
    fused = fuse(random_network(Architecture.CIFAR_RESNET20, side=32))
    with pytest.raises(InputError, match=message):
        apply_exponents(fused, {name: Int8Table(np.ones(length, dtype=np.int8))})


def sqnr_db(pretrained: Pretrained, fused: Network, images: np.ndarray) -> float:
    observed = observe(fused, Mode.FX)
    collected = collect(observed.module, observed.observers, images[:64])
    recipe = make_recipe(fused, collected, pretrained, QuantConfig())
    pair = PairedNetwork(fused, recipe).propagate(torch.from_numpy(images))
    signal, noise = pair.exact.square().sum(), (pair.exact - pair.rounded).square().sum()
    return float(10 * torch.log10(signal / noise))


def test_a_badly_scaled_checkpoint_quantizes_like_the_well_scaled_one(
    shared_file: Callable[[str], Path],
) -> None:
    weights = str(shared_file("weights/cifar_resnet20.pth"))
    pretrained = load_pretrained(Architecture.CIFAR_RESNET20, weights, resize=32, crop=32)
    with open_source(shared_file("data/cifar10-calibration.tar")) as source:
        order = balanced_order(source.items, seed=0)
        usable = UsableImages(source, order, pretrained.spec.preprocessing, limit=250)
        images = np.stack([image.pixels for image in usable])
    well = sqnr_db(pretrained, fuse(pretrained), images)
    bad = fuse(scrambled(pretrained))
    assert sqnr_db(pretrained, bad, images) < well - 20, "the test scrambles too little"
    mended = equalize(bad, QuantConfig().equalize).network
    assert sqnr_db(pretrained, mended, images) == pytest.approx(well, abs=1)


@pytest.mark.parametrize("rescaling_helps", [True, False])
def test_the_network_whose_integers_answer_better_is_kept(
    rescaling_helps: bool, random_network: Networks, noise_images: Images
) -> None:
    pretrained = random_network(Architecture.CIFAR_RESNET20, side=32)
    bad = fuse(scrambled(pretrained))
    good = equalize(bad, Equalize.AUTO).network
    before, after = (bad, good) if rescaling_helps else (good, bad)
    images = torch.from_numpy(noise_images(16, 32))
    helps, trials = equalization_helps(
        *(before, after, pretrained, QuantConfig()), fitting=images[:8], held_out=images[8:]
    )
    assert helps is rescaling_helps
    scores = {trial.candidate: trial.score_db for trial in trials}
    better, worse = (EQUALIZED, AS_IT_WAS) if helps else (AS_IT_WAS, EQUALIZED)
    assert scores[better] > scores[worse] + 3
    assert {trial.candidate for trial in trials if trial.chosen} == {better}
