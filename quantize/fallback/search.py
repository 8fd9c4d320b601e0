"""Search for the fewest operations in float that meet an accuracy target.

Operations go to float in the order of `float_order`; `fewest` searches their number, evaluating
real artefacts on all images each time. So the result is deterministic and measured.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import torch

from eightbit.benchmarks.accuracy.paired import drop_interval_pp, images_needed
from eightbit.benchmarks.processes.crew import Executor
from eightbit.benchmarks.report.fallback import FallbackSection, FallbackStep
from eightbit.benchmarks.report.stage import Stage
from eightbit.quantize.config import Delivery
from eightbit.quantize.fallback.ranking import float_order, partly_float, sensitivities
from eightbit.quantize.fallback.trials import Outcome, Trials
from eightbit.quantize.images import LabelledSource
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.staging import scratch


def fewest(met: Callable[[int], bool], most: int, *, questions: int) -> int | None:
    """The smallest number from 0 to ``most`` found to satisfy ``met``; None if none does.

    Zero is tried first, then the range is bisected by ratio, so small numbers take few questions:
    eight find numbers up to 40 exactly and up to 200 to within a tenth. ``questions``, at least 2,
    limits them; the last one is for ``most`` if there was no yes yet.

    ``met`` need not be monotone (measurements are noisy), and is called once per number: the result
    got a yes and the next smaller number asked a no; one never asked might have got a yes too.
    """
    if met(0):
        return 0
    low, high = 0, most + 1  # a no, and a yes or the end
    for left in range(questions - 1, 0, -1):
        if high - low == 1:
            break
        middle = most if left == 1 and high > most else _between(low, high)
        if met(middle):
            high = middle
        else:
            low = middle
    return high if high <= most else None


def _between(low: int, high: int) -> int:
    """The geometric mean, strictly between both ends."""
    middle = round(math.sqrt((low + 1) * high))
    return min(max(middle, low + 1), high - 1)


MAX_EVALUATIONS: Final = 8

_LABEL: Final = "{} in float"


@dataclass(frozen=True, kw_only=True)
class _Step:
    """A recipe that was tried, with the outcome of its worst artefact."""

    recipe: Recipe
    outcome: Outcome
    met: bool
    latency_ratio: float


def fall_back(
    network: Network,
    recipe: Recipe,
    images: torch.Tensor,
    data: LabelledSource,
    delivery: Delivery,
    stages: Stages,
    *,
    executor: Executor | None = None,
) -> tuple[Recipe, FallbackSection]:
    """Leave as few operations in float as the target allows.

    `recipe` has everything in integers. Operations are ranked and biases corrected on `images`,
    float32, shape (N, 3, H, W); every step is evaluated on all labelled images of `data`.
    `executor` has workers for both; None for this machine's own processes.

    Returns:
        The recipe to deliver, and all steps tried. If none meets the target, the recipe whose
        interval ends lowest; only the all-integer one is tried if there are too few images for any
        to meet it.

    Raises:
        InputError: No image is usable, or a logit is not finite.
    """
    with scratch() as folder:
        trials = Trials(
            network,
            data,
            formats=delivery.formats,
            threads=executor.threads if executor else delivery.thread_count,
            folder=folder,
            executor=executor,
        )
        search = _Search(
            *(network, recipe, images, trials, delivery.max_drop_pp, stages), executor=executor
        )
        chosen = search.run()
    return search.steps[chosen].recipe, search.section(chosen)


class _Search:
    """Evaluates numbers of steps of the order, each once."""

    def __init__(
        self,
        network: Network,
        recipe: Recipe,
        images: torch.Tensor,
        trials: Trials,
        target_pp: float | None,
        stages: Stages,
        *,
        executor: Executor | None = None,
    ) -> None:
        if target_pp is None:
            raise ValueError("fallback: expected a target, found none")
        self.steps: dict[int, _Step] = {}
        self._network, self._recipe, self._images = network, recipe, images
        self._trials, self._target_pp, self._stages = trials, target_pp, stages
        self._order: tuple[tuple[str, ...], ...] = ()
        self._executor = executor

    def run(self) -> int:
        """The key in ``steps`` to deliver."""
        with self._stages.stage(f"{Stage.TRY} float", total=self._trials.images) as watcher:
            self._trials.measure_float(self._recipe, watcher)
        found: int | None = 0
        if not self._met(0):
            found = None
            lossless = drop_interval_pp(0, 0, self.steps[0].outcome.images)
            if lossless[1] <= self._target_pp:
                self._order = self._ranked()
                found = fewest(self._met, len(self._order), questions=MAX_EVALUATIONS)
        if found is not None:
            return found
        return min(self.steps, key=lambda k: (self.steps[k].outcome.drop_ci95_pp[1], k))

    def _ranked(self) -> tuple[tuple[str, ...], ...]:
        total = len(self._recipe.activations) + len(self._recipe.layers)
        with self._stages.stage(Stage.RANK_OPERATIONS, total=total) as watcher:
            noise = sensitivities(
                *(self._network, self._recipe, self._images),
                advance=watcher.advance,
                executor=self._executor,
            )
            return float_order(self._network.graph, noise)

    def _met(self, count: int) -> bool:
        """Whether the first ``count`` steps in float meet the target; measured once."""
        if count not in self.steps:
            self.steps[count] = self._tried(self._names(count))
        return self.steps[count].met

    def _names(self, count: int) -> tuple[str, ...]:
        return tuple(chain.from_iterable(self._order[:count]))

    def _tried(self, names: Sequence[str]) -> _Step:
        recipe = partly_float(self._network, self._recipe, names, self._images)
        label = _LABEL.format(len(names))
        total = self._trials.images * len(self._trials.formats)
        with self._stages.stage(f"{Stage.TRY} {label}", total=total) as watcher:
            outcomes = self._trials.outcomes(recipe, label, watcher, enough=self._enough)
            ratio = 1.0
            if names:
                ratio = self._trials.latency_ratio(label, _LABEL.format(0), recipe)
                self._trials.discard(label)
        return _Step(
            recipe=recipe,
            outcome=max(outcomes, key=lambda outcome: outcome.drop_ci95_pp[1]),
            met=all(self._enough(outcome) for outcome in outcomes),
            latency_ratio=ratio,
        )

    def _enough(self, outcome: Outcome) -> bool:
        return outcome.drop_ci95_pp[1] <= self._target_pp

    def section(self, chosen: int) -> FallbackSection:
        """All steps tried, for the report."""
        step = self.steps[chosen]
        before: tuple[str, ...] = ()
        rows: list[FallbackStep] = []
        for count in sorted(self.steps):
            names, tried = self._names(count), self.steps[count]
            rows.append(_row(tried, names, names[len(before) :], chosen=count == chosen))
            before = names
        return FallbackSection(
            target_pp=self._target_pp,
            met=step.met,
            evaluations=len(self.steps),
            candidates=len(self._network.float_candidates),
            images_needed=None if step.met else _images_needed(step.outcome, self._target_pp),
            steps=tuple(rows),
        )


def _row(
    step: _Step, names: Sequence[str], added: tuple[str, ...], *, chosen: bool
) -> FallbackStep:
    outcome = step.outcome
    return FallbackStep(
        float_layers=len(names),
        added=added,
        artifact=outcome.artifact,
        drop_pp=outcome.drop_pp,
        drop_ci95_pp=outcome.drop_ci95_pp,
        top1_agreement=outcome.agreeing / outcome.images,
        latency_ratio=step.latency_ratio,
        met=step.met,
        chosen=chosen,
    )


def _images_needed(outcome: Outcome, target_pp: float) -> int | None:
    """Images with which this drop, or else a drop of zero, would meet the target."""
    images = outcome.images
    needed = images_needed(outcome.broke, outcome.fixed, images, target_pp)
    if needed is None:
        lossless = images_needed(0, 0, images, target_pp)
        # With as many as there are, it is not for want of images.
        needed = lossless if lossless is not None and lossless > images else None
    return needed
