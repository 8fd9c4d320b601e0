"""Noise that each rounding alone adds to the logits: per tensor, and per layer's weights."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import fx, nn

from eightbit.benchmarks.processes.crew import Executor, Task
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.torch_state import own_state
from eightbit.quantize.algorithms.bias_correction import correct_biases
from eightbit.quantize.algorithms.simulation import Pair, RoundedNetwork
from eightbit.quantize.network.graph import operation_kind, sources, tensor_name
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.placement import BETWEEN, float_candidates
from eightbit.quantize.recipe.recipe import Recipe, leave_float
from eightbit.quantize.torch_settings import torch_threads


def partly_float(
    network: Network, recipe: Recipe, names: Collection[str], images: torch.Tensor
) -> Recipe:
    """The recipe for the same network with the named operations in float.

    Scales and weights of the integer layers do not depend on each other and stay; biases are
    corrected anew for the remaining noise, if they were before, on `images`: float32, shape
    (N, 3, H, W).
    `recipe` has everything in integers; its biases need not be corrected. `names` are tensor names
    of convolutions, linear layers and residual adds.
    """
    partly = leave_float(recipe, network, names)
    return correct_biases(network, partly, images) if recipe.decided.bias_correction else partly


# More images change the order by a place or two.
SENSITIVITY_IMAGES: Final = 64

_NO_SIGNAL: Final = 1e-30


@dataclass(frozen=True, kw_only=True)
class Sensitivities:
    """Squared relative noise of the logits; independent noise adds up.

    Attributes:
        tensors: With only this tensor rounded.
        weights: With only this layer's weights rounded.
    """

    tensors: Mapping[str, float]
    weights: Mapping[str, float]


def sensitivities(
    network: Network,
    recipe: Recipe,
    images: torch.Tensor,
    *,
    advance: Callable[[int], None] = lambda _: None,
    executor: Executor | None = None,
) -> Sensitivities:
    """Simulate the network once per tensor and once per layer of an all-integer recipe.

    The noise of a layer's input and output tensors is subtracted from its own. `images` are
    float32, shape (N, 3, H, W), of which the first `SENSITIVITY_IMAGES` are used. `advance` is
    called with 1 after each tensor and layer. `executor` has workers, each of which simulates one
    tensor or layer at a time; None for this process.
    """
    few = images[:SENSITIVITY_IMAGES]
    names = [
        *((name, False) for name in recipe.activations),
        *((name, True) for name in recipe.layers),
    ]
    alone: dict[tuple[str, bool], float] = {}
    for key, noise in zip(names, _noises(network, recipe, few, names, executor), strict=True):
        alone[key] = noise
        advance(1)
    tensors = {name: alone[name, False] for name in recipe.activations}
    weights = {
        name: max(alone[name, True] - tensors[network.inputs[name]] - tensors.get(name, 0.0), 0.0)
        for name in recipe.layers
    }
    return Sensitivities(tensors=tensors, weights=weights)


def _noises(
    network: Network,
    recipe: Recipe,
    images: torch.Tensor,
    names: Sequence[tuple[str, bool]],
    executor: Executor | None,
) -> Iterator[float]:
    """The noise of each tensor alone, or of each layer's weights, in their order."""
    if executor is None:
        yield from map(_Simulation(network, recipe, images), names)
        return
    opening = _OpenSimulation(
        module=network.module, recipe=recipe, images=images.numpy(), threads=executor.threads
    )
    tasks = (Task(content=name, named=f"the rounding of {name[0]}") for name in names)
    with executor.crew(opening, most=len(names), where="rank operations") as crew:
        yield from crew.map(tasks)


@dataclass(frozen=True, kw_only=True)
class _OpenSimulation:
    """What a worker does first: it runs the float network once."""

    module: nn.Module
    recipe: Recipe
    images: FloatArray
    threads: int

    def __call__(self) -> Callable[[tuple[str, bool]], float]:
        network = Network(module=self.module, spec=self.recipe.spec)
        with own_state(), torch_threads(self.threads):
            simulation = _Simulation(network, self.recipe, torch.from_numpy(self.images.copy()))

        def serve(name: tuple[str, bool]) -> float:
            with own_state(), torch_threads(self.threads):
                return simulation(name)

        return serve


class _Simulation:
    """Noise of one rounding after another; the float network runs once for all of them."""

    def __init__(self, network: Network, recipe: Recipe, images: torch.Tensor) -> None:
        self._network, self._recipe, self._images = network, recipe, images
        self._exact = RoundedNetwork(network, {}).answers(images)[0]

    def __call__(self, name: tuple[str, bool]) -> float:
        """Squared noise of a tensor, or of the weights of the layer that computes it."""
        tensor, of_weights = name
        if of_weights:
            others = [other for other in self._network.float_candidates if other != tensor]
            partly = partly_float(self._network, self._recipe, others, self._images)
            rounded = RoundedNetwork(self._network, partly.activations, partly)
        else:
            rounded = RoundedNetwork(self._network, {tensor: self._recipe.activations[tensor]})
        logits = Pair(exact=self._exact, rounded=rounded.answers(self._images)[0])
        return relative_noise(logits) ** 2


def relative_noise(logits: Pair) -> float:
    """Mean over images of |error| / |logits|, each at most 1; logits float32, shape (N, classes).

    Both are centred per image: what all its logits share changes no prediction. The limit of 1
    keeps a few outliers from dominating.
    """
    exact = _centred(logits.exact)
    error = _centred(logits.rounded - logits.exact)
    ratios = error.norm(dim=1) / exact.norm(dim=1).clamp(min=_NO_SIGNAL)
    return float(ratios.clamp(max=1.0).mean())


def _centred(logits: torch.Tensor) -> torch.Tensor:
    return logits.double() - logits.double().mean(dim=1, keepdim=True)


def float_order(graph: fx.Graph, noise: Sensitivities) -> tuple[tuple[str, ...], ...]:
    """All operations that may stay in float, in greedy steps of most noise saved per operation.

    An operation in float saves the rounding of its weights. A tensor's rounding is saved only if
    its producer and all of its readers are in float: a step is one operation, or as many as free
    one more tensor. So steps grow along a residual stream. Each name occurs once.
    """
    order = float_candidates(graph)
    around = _around(graph, order)
    touched: dict[str, list[str]] = defaultdict(list)
    for tensor, names in around.items():
        for name in names:
            touched[name].append(tensor)
    moves = [frozenset((name,)) for name in order] + [around[name] for name in noise.tensors]
    floats: set[str] = set()

    def saved(new: Iterable[str]) -> float:
        """Noise saved in addition."""
        after = floats.union(new)
        tensors = dict.fromkeys(tensor for name in new for tensor in touched[name])
        freed = sum(noise.tensors.get(tensor, 0.0) for tensor in tensors if around[tensor] <= after)
        return freed + sum(noise.weights.get(name, 0.0) for name in new)

    steps: list[tuple[str, ...]] = []
    while len(floats) < len(order):
        # In order of execution, so that sums and ties come out the same every time.
        open_moves = [tuple(name for name in order if name in move - floats) for move in moves]
        best = max((move for move in open_moves if move), key=lambda move: saved(move) / len(move))
        steps.append(best)
        floats.update(best)
    return tuple(steps)


def _around(graph: fx.Graph, order: tuple[str, ...]) -> dict[str, frozenset[str]]:
    """For each tensor the operations that must be in float for it not to be rounded.

    A pool, concatenation or product is in float where all of its neighbours are, so those count
    instead.
    """
    touching: dict[str, set[str]] = defaultdict(set)
    between: list[str] = []
    for node in graph.nodes:
        name = tensor_name(node)
        if name is None:
            continue
        touching[name].add(name)
        for source in sources(node):
            touching[source].add(name)
        if operation_kind(node) in BETWEEN:
            between.append(name)
    for operation in between:
        near = {name for names in touching.values() if operation in names for name in names}
        for names in touching.values():
            if operation in names:
                names |= near
    return {name: frozenset(names.intersection(order)) for name, names in touching.items()}
