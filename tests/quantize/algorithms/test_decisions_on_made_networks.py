"""What `decide` chooses for networks that nobody tuned for, judged by images that it never saw.

Tensors alone do not tell which ranges are right: to one of these networks rare large values are
all that matters, to another they are a few odd images that stretch every range.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pytest
import torch
from PIL import Image

from eightbit.benchmarks.accuracy.fidelity import FidelityMeter
from eightbit.benchmarks.studies.made_networks import Kind, make_network
from eightbit.benchmarks.studies.made_photos import dithered, stamped
from eightbit.calibration import Method, collect
from eightbit.models import Architecture, Pretrained, preprocess
from eightbit.quantize import QuantConfig, fuse, make_recipe, observe
from eightbit.quantize.algorithms.decisions import decide
from eightbit.quantize.algorithms.equalization import Equalized
from eightbit.quantize.algorithms.simulation import RoundedNetwork
from eightbit.quantize.config import Mode
from eightbit.quantize.photos import synthetic_picture
from eightbit.quantize.recipe.recipe import Recipe

FITTING, HELD_OUT, UNSEEN = 16, 8, 32
STAMP = 4

# By so much ten outputs of 32 images differ between roundings that are equally good.
CHANCE_DB: Final = 1.0

Picture = Callable[[Image.Image, int], Image.Image]


def plain(picture: Image.Image, number: int) -> Image.Image:
    return picture


def one_dithered(picture: Image.Image, number: int) -> Image.Image:
    """One image of those that calibrate."""
    return dithered(picture) if number == 0 else picture


def all_stamped(picture: Image.Image, number: int) -> Image.Image:
    return stamped(picture, STAMP, number)


SINGLE: Final = (Method.MINMAX, Method.MSE, Method.WEIGHTED_MSE, Method.PERCENTILE)

CIFAR = Kind(architecture=Architecture.CIFAR_RESNET20, side=32, seed=1)
NETWORKS: Final[Mapping[str, tuple[Kind, Picture]]] = {
    "outlier channels": (replace(CIFAR, outlier_gain=20.0), plain),
    "heavy tails": (replace(CIFAR, tail=2.5), plain),
    "an outlier image": (replace(CIFAR, flat_stem=True), one_dithered),
    "stamped images": (
        Kind(architecture=Architecture.RESNET18, side=64, seed=1, flat_stem=True),
        all_stamped,
    ),
}


@dataclass(frozen=True)
class Quantized:
    """SQNR of the median unseen image in decibels: as decided, and by single methods."""

    decided: float
    nearest: Mapping[Method, float]


@pytest.fixture(scope="module", params=NETWORKS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def quantized() -> Callable[[str], Quantized]:
    """Calibrate, decide and judge a network, once."""
    done: dict[str, Quantized] = {}

    def once(name: str) -> Quantized:
        if name not in done:
            done[name] = _quantized(*NETWORKS[name])
        return done[name]

    return once


def _quantized(kind: Kind, odd: Picture) -> Quantized:
    pixels = np.stack(
        [
            preprocess(
                odd(synthetic_picture(kind.side, kind.side, number), number),
                kind.spec.preprocessing,
            )
            for number in range(FITTING + HELD_OUT + UNSEEN)
        ]
    )
    usual, unseen = pixels[1 : FITTING + HELD_OUT], torch.from_numpy(pixels[FITTING + HELD_OUT :])
    seen = torch.from_numpy(pixels[: FITTING + HELD_OUT])
    pretrained = Pretrained(
        model=make_network(kind, usual), spec=kind.spec, weights_sha256="0" * 64, source="made"
    )
    network = fuse(pretrained)
    observed = observe(network, Mode.FX)
    collected = collect(observed.module, observed.observers, seen.numpy())
    exact = RoundedNetwork(network, {}).answers(unseen)[0].numpy()

    def median_db(recipe: Recipe) -> float:
        meter = FidelityMeter()
        answers = RoundedNetwork(network, recipe.activations, recipe).answers(unseen)
        meter.update(exact, answers[0].numpy())
        found = meter.result().median_image_sqnr_db
        assert found is not None
        return found

    decided = decide(
        *(Equalized(network=network, exponents={}), collected, pretrained, QuantConfig()),
        fitting=seen[:FITTING],
        held_out=seen[FITTING:],
    )
    single = {
        method: median_db(make_recipe(network, collected, pretrained, QuantConfig(), method))
        for method in SINGLE
    }
    return Quantized(decided=median_db(decided.recipe), nearest=single)


def test_the_default_is_as_good_as_every_single_method(
    name: str, quantized: Callable[[str], Quantized]
) -> None:
    found = quantized(name)
    assert found.decided >= max(found.nearest.values()) - CHANCE_DB, found


def test_extremes_are_kept_where_clipping_them_costs_the_answer(
    quantized: Callable[[str], Quantized],
) -> None:
    found = quantized("stamped images")
    assert found.nearest[Method.MINMAX] > found.nearest[Method.MSE] + 3, found
    assert found.decided > found.nearest[Method.MSE] + 3, found


def test_extremes_are_clipped_where_an_odd_image_stretches_every_range(
    quantized: Callable[[str], Quantized],
) -> None:
    found = quantized("an outlier image")
    assert found.nearest[Method.MSE] > found.nearest[Method.MINMAX] + 2, found
    assert found.nearest[Method.WEIGHTED_MSE] > found.nearest[Method.MINMAX] + 6, found
    assert found.decided > found.nearest[Method.MINMAX] + 6, found
