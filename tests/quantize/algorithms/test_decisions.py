"""What a config leaves open is decided by answers; what it says is done."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from eightbit.benchmarks.report.choices import ChoiceTrial
from eightbit.calibration import CalibrationResult, collect
from eightbit.calibration.range_methods import CANDIDATES, Method
from eightbit.models import Architecture
from eightbit.models.doors.pretrained import Pretrained
from eightbit.quantize import Network, QuantConfig, fuse
from eightbit.quantize.algorithms import decisions
from eightbit.quantize.algorithms.decisions import DecidedRecipe, decide
from eightbit.quantize.algorithms.equalization import Equalized
from eightbit.quantize.algorithms.gptq import round_adaptively
from eightbit.quantize.algorithms.simulation import PairedNetwork, RoundedNetwork
from eightbit.quantize.config import Correction, Mode, Rounding
from eightbit.quantize.front_ends.front_ends import observe
from eightbit.quantize.recipe.choose import make_recipe
from eightbit.quantize.recipe.recipe import Decided, Recipe

Images = Callable[..., np.ndarray]


def _collected(fused: Network, images: torch.Tensor) -> CalibrationResult:
    observed = observe(fused, Mode.FX)
    return collect(observed.module, observed.observers, images.numpy())


@pytest.fixture(scope="module")
def network(random_network: Callable[..., Pretrained]) -> Pretrained:
    return random_network(Architecture.CIFAR_RESNET20, side=32)


@pytest.fixture(scope="module")
def run(network: Pretrained, noise_images: Images) -> Callable[..., DecidedRecipe]:
    """Decide for one network and the same images, with any config."""
    fused = fuse(network)
    images = torch.from_numpy(noise_images(24, 32))
    collected = _collected(fused, images)

    def decided(**config: Any) -> DecidedRecipe:
        return decide(
            *(Equalized(network=fused, exponents={}), collected, network, QuantConfig(**config)),
            fitting=images[:16],
            held_out=images[16:],
        )

    return decided


def _chosen(trials: tuple[ChoiceTrial, ...]) -> str:
    (chosen,) = [trial.candidate for trial in trials if trial.chosen]
    return chosen


def test_the_default_tries_every_candidate_and_takes_the_best(
    run: Callable[..., DecidedRecipe],
) -> None:
    found = run()
    ranges, rounding = found.choices.ranges, found.choices.rounding
    # All octaves are ordinary ones here: then the weights change nothing.
    assert {trial.candidate for trial in ranges} == set(CANDIDATES) - {Method.WEIGHTED_MSE}
    assert {trial.candidate for trial in rounding} >= {"gptq, corrected biases", "gptq", "nearest"}
    chosen = _chosen(rounding)
    assert found.recipe.decided == Decided(
        method=Method(_chosen(ranges)),
        rounding=Rounding(chosen.partition(",")[0]),
        bias_correction="corrected" in chosen,
    )
    assert found.recipe.config == QuantConfig()


@pytest.mark.parametrize("rounding", [Rounding.NEAREST, Rounding.GPTQ])
@pytest.mark.parametrize("correction", [Correction.ON, Correction.OFF])
def test_what_is_asked_for_is_done_and_not_judged(
    rounding: Rounding,
    correction: Correction,
    run: Callable[..., DecidedRecipe],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(decisions, "compare")
    found = run(method=Method.MSE, rounding=rounding, bias_correction=correction)
    assert (found.choices.ranges, found.choices.rounding) == ((), ())
    corrected = correction is Correction.ON
    assert found.recipe.decided == Decided(
        method=Method.MSE, rounding=rounding, bias_correction=corrected
    )
    assert bool(found.recipe.tables.rounding) == (rounding is Rounding.GPTQ)
    plain = run(method="mse", rounding="nearest", bias_correction="off").recipe
    same = all(found.recipe.layers[name].bias == plain.layers[name].bias for name in plain.layers)
    assert same is not corrected


def test_where_gptq_does_not_help_biases_are_corrected_without_it(
    run: Callable[..., DecidedRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(network: Network, recipe: Recipe, *_: Any, **__: Any) -> Recipe:
        return badly_scaled(round_adaptively(network, recipe, torch.ones(1, 3, 32, 32)))

    monkeypatch.setattr(decisions, "round_adaptively", spoiled)
    found = run(method="mse")
    assert found.recipe.decided.rounding is Rounding.NEAREST
    candidates = [trial.candidate for trial in found.choices.rounding]
    assert sorted(candidates) == [
        *("gptq", "gptq, corrected biases", "nearest", "nearest, corrected biases"),
    ]
    assert sum(trial.chosen for trial in found.choices.rounding) == 1
    kept_off = run(method="mse", bias_correction="off")
    assert kept_off.recipe.decided == Decided(method=Method.MSE)


def badly_scaled(recipe: Recipe) -> Recipe:
    """A recipe that answers badly."""
    layers = {
        name: params.model_copy(
            update={
                "weight": params.weight.model_copy(update={"scale": (1e-3,) * len(params.bias)})
            }
        )
        for name, params in recipe.layers.items()
    }
    return recipe.model_copy(update={"layers": layers})


def test_half_a_choice_is_judged_among_its_two(run: Callable[..., DecidedRecipe]) -> None:
    found = run(method="mse", rounding="nearest")
    assert {trial.candidate for trial in found.choices.rounding} == {
        "nearest, corrected biases",
        "nearest",
    }


def test_the_same_images_give_the_same_recipe(run: Callable[..., DecidedRecipe]) -> None:
    first, second = run(), run()
    assert first.recipe == second.recipe
    assert first.choices == second.choices


def test_alone_the_integers_are_those_of_both_networks_together(
    network: Pretrained, noise_images: Images
) -> None:
    fused = fuse(network)
    images = torch.from_numpy(noise_images(6, 32))
    collected = _collected(fused, images)
    recipe = make_recipe(fused, collected, network, QuantConfig(), Method.MINMAX)
    recipe = round_adaptively(fused, recipe, images)
    both = PairedNetwork(fused, recipe).propagate(images)
    rounded = RoundedNetwork(fused, recipe.activations, recipe).answers(images)
    exact = RoundedNetwork(fused, {}).answers(images)
    assert torch.equal(rounded[0], both.rounded)
    assert torch.equal(exact[0], both.exact)
    assert [one.shape for one in exact] == [(6, 10), (6, 64)]  # what the classifier reads, too
