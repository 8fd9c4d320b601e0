"""Which tensor loses what: the debugger for a quantized network."""

import math
from collections import defaultdict
from typing import Final

import numpy as np
import torch
from torch import nn

from eightbit.benchmarks.report.diagnosis import TensorDiagnosis
from eightbit.calibration import QuantParams, dequantize
from eightbit.calibration.fake_quantization import fake_quantize
from eightbit.quantize.algorithms.simulation import Pair, PairedNetwork
from eightbit.quantize.distributions import with_histograms
from eightbit.quantize.network.fusion import float_parameters, integer_layers
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.recipe import Recipe

# More images change the decibels by tenths only.
DIAGNOSIS_IMAGES: Final = 16

_BATCH: Final = 8
_SHOWN: Final = 6  # so many have histograms


def diagnose(fused: nn.Module, recipe: Recipe, images: torch.Tensor) -> tuple[TensorDiagnosis, ...]:
    """Look at every quantized tensor on the given images.

    Args:
        fused: The float network.
        recipe: Its integers.
        images: float32, shape (N, 3, H, W).

    Returns:
        One entry per tensor of the recipe, the lowest SQNR of its own first: that is where a
        wider or narrower range, or float, helps. A low accumulated SQNR behind a high one of its
        own is inherited. The first six have histograms.
    """
    meter = _Meter(fused, recipe)
    for batch in images.split(_BATCH):
        meter.propagate(batch)
    weights = _weight_sqnr(fused, recipe)
    tensors = [
        sums.result(name, recipe.activations[name], weights.get(name), position)
        for position, (name, sums) in enumerate(meter.sums.items())
    ]
    tensors.sort(key=lambda t: math.inf if t.sqnr_alone_db is None else t.sqnr_alone_db)
    worst = with_histograms(tensors[:_SHOWN], fused, recipe, images.split(_BATCH))
    return (*worst, *tensors[_SHOWN:])


class _Sums:
    """What is added up over the batches of one tensor."""

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf
        self.signal = self.alone = self.accumulated = 0.0
        self.outside = self.elements = 0

    def add(self, exact: torch.Tensor, rounded: torch.Tensor, params: QuantParams) -> None:
        low, high = _limits(params)
        half = params.scale[0] / 2
        self.low = min(self.low, float(exact.min()))
        self.high = max(self.high, float(exact.max()))
        self.signal += _energy(exact)
        self.alone += _energy(exact - fake_quantize(exact, params))
        self.accumulated += _energy(exact - rounded)
        self.outside += int(((exact < low - half) | (exact > high + half)).sum())
        self.elements += exact.numel()

    def result(
        self, name: str, params: QuantParams, weight: float | None, position: int
    ) -> TensorDiagnosis:
        low, high = _limits(params)
        return TensorDiagnosis(
            name=name,
            low=low,
            high=high,
            observed_low=self.low,
            observed_high=self.high,
            saturated_fraction=self.outside / self.elements,
            sqnr_alone_db=_decibels(self.signal, self.alone),
            sqnr_accumulated_db=_decibels(self.signal, self.accumulated),
            weight_sqnr_db=weight,
            position=position,
        )


class _Meter(PairedNetwork):
    """Adds up signal and noise of every tensor that is rounded."""

    def __init__(self, fused: nn.Module, recipe: Recipe) -> None:
        super().__init__(fused, recipe)
        self.sums: dict[str, _Sums] = defaultdict(_Sums)

    def on_tensor(self, name: str, tensor: Pair) -> None:
        """Add its signal and its noise."""
        self.sums[name].add(tensor.exact, tensor.rounded, self.recipe.activations[name])


def _limits(params: QuantParams) -> tuple[float, float]:
    """Smallest and largest real number that the integers stand for."""
    ends = np.array([params.dtype.qmin, params.dtype.qmax])
    low, high = dequantize(ends, params)
    return float(low), float(high)


def _weight_sqnr(fused: nn.Module, recipe: Recipe) -> dict[str, float | None]:
    """Decibels of the rounded weights, by layer."""
    found = {}
    for name, layer in integer_layers(fused).items():
        if name in recipe.layers:
            weight, _ = float_parameters(layer)
            params = recipe.layers[name]
            rounded = dequantize(weight_integers(layer, params), params.weight)
            exact = weight.astype(np.float64)
            noise = float(np.square(exact - rounded).sum())
            found[name] = _decibels(float(np.square(exact).sum()), noise)
    return found


def _energy(x: torch.Tensor) -> float:
    return float(x.square().sum(dtype=torch.float64))


def _decibels(signal: float, noise: float) -> float | None:
    return 10 * math.log10(signal / noise) if signal and noise else None
