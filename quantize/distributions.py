"""Histograms of the worst tensors, so that one sees what their ranges leave out."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import fx, nn

from eightbit.benchmarks.report.diagnosis import Histogram, TensorDiagnosis
from eightbit.calibration.qparams import DoubleArray
from eightbit.quantize.network.fusion import float_parameters, integer_layers
from eightbit.quantize.network.graph import tensor_name, trace
from eightbit.quantize.recipe.recipe import LayerParams, Recipe

BINS: Final = 64


def value_histograms(
    fused: nn.Module, batches: Iterable[torch.Tensor], tensors: Iterable[TensorDiagnosis]
) -> dict[str, Histogram]:
    """Histograms of float tensors over their observed ranges, by name.

    A second pass through the float network: its bins are known only after the first one.

    Args:
        fused: The float network.
        batches: The images that were observed: float32, each of shape (N, 3, H, W).
        tensors: Which, and between which values each of them lies; a constant one has none.
    """
    ranges = {
        tensor.name: (tensor.observed_low, tensor.observed_high)
        for tensor in tensors
        if tensor.observed_low < tensor.observed_high
    }
    counter = _Counter(fused, ranges)
    with torch.inference_mode():
        for batch in batches:
            counter.run(batch.contiguous(memory_format=torch.channels_last))
    return {
        name: Histogram(low=ranges[name][0], high=ranges[name][1], counts=tuple(counts.tolist()))
        for name, counts in counter.counts.items()
    }


def weight_histogram(weight: DoubleArray, params: LayerParams) -> Histogram:
    """Of a layer's weights, each in steps of its own channel's scale.

    Args:
        weight: The float weights, shape (O, ...).
        params: Their scales.
    """
    scale, _ = params.weight.broadcast(weight.ndim)
    steps = weight / scale
    # Symmetric about zero, and wide enough for both the weights and the integers.
    end = max(params.weight.dtype.qmax + 0.5, float(np.abs(steps).max()))
    counts, _ = np.histogram(steps, bins=BINS, range=(-end, end))
    return Histogram(low=-end, high=end, counts=tuple(counts.tolist()))


def with_histograms(
    worst: Iterable[TensorDiagnosis],
    fused: nn.Module,
    recipe: Recipe,
    batches: Iterable[torch.Tensor],
) -> tuple[TensorDiagnosis, ...]:
    """The same tensors with histograms of their values and of the weights that produce them."""
    tensors = tuple(worst)
    values = value_histograms(fused, batches, tensors)
    layers = integer_layers(fused)
    weights = {
        tensor.name: weight_histogram(
            float_parameters(layers[tensor.name])[0].astype(np.float64), recipe.layers[tensor.name]
        )
        for tensor in tensors
        if tensor.name in recipe.layers
    }
    return tuple(
        tensor.model_copy(
            update={"values": values.get(tensor.name), "weights": weights.get(tensor.name)}
        )
        for tensor in tensors
    )


class _Counter(fx.Interpreter):
    """Runs the float network and counts the elements of some of its tensors."""

    def __init__(self, fused: nn.Module, ranges: Mapping[str, tuple[float, float]]) -> None:
        self._traced = trace(fused)
        super().__init__(self._traced)
        self._ranges = ranges
        self.counts = {name: np.zeros(BINS, dtype=np.int64) for name in ranges}

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node, and count what it gives if its tensor is one of them."""
        result = super().run_node(n)
        name = tensor_name(self._traced, n)
        if name is not None and name in self._ranges:
            low, high = self._ranges[name]
            # The last bits of another pass may differ: an end stays in its bin.
            counts = torch.histc(result.clamp(low, high).float(), BINS, low, high)
            self.counts[name] += counts.numpy().astype(np.int64)
        return result
