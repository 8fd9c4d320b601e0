"""What each rounding costs the logits by itself: of a tensor, and of a layer's weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from eightbit.quantize.algorithms.simulation import Pair, PairedNetwork
from eightbit.quantize.network.graph import input_names, trace
from eightbit.quantize.network.placement import float_candidates
from eightbit.quantize.partial import partly_float
from eightbit.quantize.recipe.recipe import Recipe

# More images change the order by a place or two.
SENSITIVITY_IMAGES: Final = 64

_NO_SIGNAL: Final = 1e-30


@dataclass(frozen=True, kw_only=True)
class Sensitivities:
    """Squared relative noise of the logits: noise of different origin adds up.

    Attributes:
        tensors: Where one tensor alone is rounded, by its name.
        weights: Where the weights of one layer alone are rounded, by its name.
    """

    tensors: Mapping[str, float]
    weights: Mapping[str, float]


def sensitivities(
    fused: nn.Module,
    recipe: Recipe,
    images: torch.Tensor,
    *,
    advance: Callable[[int], None] = lambda _: None,
) -> Sensitivities:
    """Simulate the network once for each tensor and for each layer of a recipe.

    A layer in integers rounds its input and mostly its output as well; what these cost by
    themselves is taken off again.

    Args:
        fused: The float network after fusion.
        recipe: With everything in integers.
        images: float32, shape (N, 3, H, W); the first of them are used.
        advance: Called with 1 after every tensor and every layer.
    """
    traced = trace(fused)
    candidates, inputs = float_candidates(traced), input_names(traced)
    few = images[:SENSITIVITY_IMAGES]
    tensors: dict[str, float] = {}
    for name, params in recipe.activations.items():
        alone = recipe.model_copy(update={"activations": {name: params}, "layers": {}})
        tensors[name] = _squared_noise(fused, alone, few)
        advance(1)
    weights: dict[str, float] = {}
    for name in recipe.layers:
        others = [other for other in candidates if other != name]
        noise = _squared_noise(fused, partly_float(fused, recipe, others, few), few)
        weights[name] = max(noise - tensors[inputs[name]] - tensors.get(name, 0.0), 0.0)
        advance(1)
    return Sensitivities(tensors=tensors, weights=weights)


def relative_noise(logits: Pair) -> float:
    """Mean over the images of the norm of the error relative to that of the image's own logits.

    What all logits of an image share is no signal and no noise: it changes no prediction. No
    image counts for more than an error as large as its signal, so a few outliers cannot rule.

    Args:
        logits: Each float32, shape (N, classes).
    """
    exact = _centred(logits.exact)
    error = _centred(logits.rounded - logits.exact)
    ratios = error.norm(dim=1) / exact.norm(dim=1).clamp(min=_NO_SIGNAL)
    return float(ratios.clamp(max=1.0).mean())


def _squared_noise(fused: nn.Module, recipe: Recipe, images: torch.Tensor) -> float:
    return relative_noise(PairedNetwork(fused, recipe).propagate(images)) ** 2


def _centred(logits: torch.Tensor) -> torch.Tensor:
    return logits.double() - logits.double().mean(dim=1, keepdim=True)
