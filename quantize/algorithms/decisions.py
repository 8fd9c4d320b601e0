"""Every number of a recipe, decided by what the quantized network answers on calibration images.

No rule that looks at tensors alone is right for every network: the range of least squared error
wins 26 dB on one and loses 3 on another, and a stage that helps with many images can hurt with
few. So whole networks are simulated and compared (`trials.compare`), first with the ranges of each
method, then with and without each stage, on images that the stages were not fitted to.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import torch

from eightbit.benchmarks.report.choices import ChoicesSection, ChoiceTrial
from eightbit.benchmarks.report.stage import Stage
from eightbit.calibration import CalibrationResult, QuantParams
from eightbit.calibration.range_methods import CANDIDATES, Method, candidate_params
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.torch_state import own_state
from eightbit.quantize.algorithms.bias_correction import correct_biases
from eightbit.quantize.algorithms.equalization import Equalized
from eightbit.quantize.algorithms.gptq import round_adaptively
from eightbit.quantize.algorithms.simulation import RoundedNetwork
from eightbit.quantize.algorithms.trials import Answers, FloatAnswers, compare
from eightbit.quantize.config import Correction, QuantConfig, Rounding
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.placement import quantized_tensors
from eightbit.quantize.recipe.choose import make_recipe
from eightbit.quantize.recipe.recipe import Recipe, with_tables
from eightbit.quantize.recipe.tables import Tables
from eightbit.quantize.stages import Stages

CORRECTED: Final = "{}, corrected biases"


@dataclass(frozen=True, kw_only=True)
class DecidedRecipe:
    """A recipe, and what was tried before it was settled."""

    recipe: Recipe
    choices: ChoicesSection


@own_state()
def decide(
    equalized: Equalized,
    collected: CalibrationResult,
    pretrained: Pretrained,
    config: QuantConfig,
    *,
    fitting: torch.Tensor,
    held_out: torch.Tensor,
    stages: Stages | None = None,
    equalization: tuple[ChoiceTrial, ...] = (),
) -> DecidedRecipe:
    """Choose ranges and roundings; what the config leaves open, the network's answers decide.

    Args:
        equalized: The network.
        collected: Statistics of its tensors.
        pretrained: Where it comes from.
        config: The intent.
        fitting: Images for the stages to fit to: float32, shape (N, 3, H, W), held at once.
        held_out: Other images, on which candidates are judged: the same, of any number.
        stages: Gets the progress.
        equalization: What was tried before, for the record.

    Raises:
        InputError: A weight is not finite.
    """
    stages = stages or Stages()
    network = equalized.network
    # Ranges are fitted to all images alike: what later stages are fitted to can judge them, too.
    images = torch.cat([held_out, fitting])
    exact = FloatAnswers(RoundedNetwork(network, {}).answers, images)
    method, ranges = config.method, tuple[ChoiceTrial, ...]()
    if method is Method.AUTO:
        with stages.stage(Stage.TRY_RANGES):
            candidates = _with_ranges(network, collected)
            chosen, ranges = compare(candidates, exact, len(images), halving=True)
            method = Method(chosen)
    with stages.stage(Stage.CHOOSE_PARAMETERS):
        recipe = make_recipe(network, collected, pretrained, config, method)
        recipe = with_tables(recipe, Tables(exponents=equalized.exponents))
    roundings = _Roundings(network, recipe, fitting, stages)
    recipe, rounding = roundings.best(config, exact, min(2 * exact.first, len(held_out)))
    choices = ChoicesSection(equalization=equalization, ranges=ranges, rounding=rounding)
    return DecidedRecipe(recipe=recipe, choices=choices)


def _with_ranges(network: Network, collected: CalibrationResult) -> dict[str, Answers]:
    """The network with nothing but its activations rounded, by each method; of equal ones one."""
    params = {
        name: candidate_params(collected.tensors[name]) for name in quantized_tensors(network.graph)
    }
    candidates: dict[Method, dict[str, QuantParams]] = {}
    for method in CANDIDATES:
        activations = {name: of_tensor[method] for name, of_tensor in params.items()}
        if activations not in candidates.values():
            candidates[method] = activations
    return {
        method: RoundedNetwork(network, activations).answers
        for method, activations in candidates.items()
    }


def _doubted(recipes: Mapping[str, Recipe]) -> Collection[str]:
    """Which recipes have to be better beyond chance: all others where GPTQ alone is among them.

    Ten outputs of eight images leave much to chance. On no network was rounding to nearest better
    but by chance, and correcting biases on top of GPTQ cost a decibel as often as it gained one.
    """
    return recipes.keys() - {Rounding.GPTQ} if Rounding.GPTQ in recipes else ()


class _Roundings:
    """Makes the recipes that a config leaves open."""

    def __init__(
        self, network: Network, recipe: Recipe, fitting: torch.Tensor, stages: Stages
    ) -> None:
        self._network, self._recipe, self._fitting = network, recipe, fitting
        self._stages = stages
        self._networks: dict[Rounding, RoundedNetwork] = {}

    def best(
        self, config: QuantConfig, exact: FloatAnswers, images: int
    ) -> tuple[Recipe, tuple[ChoiceTrial, ...]]:
        """The recipe whose answers are nearest to float, and all that were tried."""
        recipes = dict(self._candidates(config))
        if len(recipes) == 1:
            return next(iter(recipes.values())), ()
        chosen, trials = self._compared(recipes, exact, images)
        if chosen == Rounding.NEAREST and CORRECTED.format(chosen) not in recipes:
            if config.bias_correction is Correction.OFF:
                return recipes[chosen], trials
            # Where GPTQ helps, correcting biases without it never did better than with it.
            others = {CORRECTED.format(chosen): self._corrected(), chosen: recipes[chosen]}
            chosen, last = self._compared(others, exact, images)
            tried = [trial for trial in trials if trial.candidate not in others]
            return others[chosen], (*last, *tried)
        return recipes[chosen], trials

    def _compared(
        self, recipes: Mapping[str, Recipe], exact: FloatAnswers, images: int
    ) -> tuple[str, tuple[ChoiceTrial, ...]]:
        with self._stages.stage(Stage.TRY_ROUNDINGS):
            networks = {name: self._rounded_network(one).answers for name, one in recipes.items()}
            return compare(networks, exact, images, doubted=_doubted(recipes))

    def _rounded_network(self, recipe: Recipe) -> RoundedNetwork:
        """A recipe's network; those of one rounding share their weights."""
        rounding = recipe.decided.rounding
        known = self._networks.get(rounding)
        made = RoundedNetwork(self._network, recipe.activations, recipe, like=known)
        return self._networks.setdefault(rounding, made) if known is None else made

    def _candidates(self, config: QuantConfig) -> Iterator[tuple[str, Recipe]]:
        """Recipes by name, what usually helps most first."""
        without = config.bias_correction is not Correction.ON
        corrected = config.bias_correction is not Correction.OFF
        if config.rounding is not Rounding.NEAREST:
            rounded = self._rounded(corrected=corrected)
            if corrected:
                yield CORRECTED.format(Rounding.GPTQ), rounded
            if without:
                yield Rounding.GPTQ, self._uncorrected(rounded)
        if config.rounding is not Rounding.GPTQ:
            if corrected and (config.rounding is Rounding.NEAREST or not without):
                yield CORRECTED.format(Rounding.NEAREST), self._corrected()
            if without:
                yield Rounding.NEAREST, self._recipe

    def _rounded(self, *, corrected: bool) -> Recipe:
        total = len(self._recipe.layers)
        with self._stages.stage(Stage.ROUND_WEIGHTS, total=total) as watcher:
            return round_adaptively(
                self._network,
                self._recipe,
                self._fitting,
                lambda _: watcher.advance(1),
                corrected=corrected,
            )

    def _corrected(self) -> Recipe:
        with self._stages.stage(Stage.CORRECT_BIASES):
            return correct_biases(self._network, self._recipe, self._fitting)

    def _uncorrected(self, recipe: Recipe) -> Recipe:
        """The same weights with the biases of the float network, rounded."""
        layers = {
            name: params.model_copy(update={"bias": self._recipe.layers[name].bias})
            for name, params in recipe.layers.items()
        }
        decided = recipe.decided.model_copy(update={"bias_correction": False})
        return recipe.model_copy(update={"layers": layers, "decided": decided})
