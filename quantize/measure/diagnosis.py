"""The noise of each quantized tensor: the debugger for a quantized network."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import fx, nn

from eightbit.benchmarks.processes.crew import Executor, Task
from eightbit.benchmarks.report.diagnosis import Histogram, TensorDiagnosis
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.calibration import QuantParams, dequantize
from eightbit.calibration.fake_quantization import fake_quantize
from eightbit.calibration.qparams import DoubleArray
from eightbit.models.torch_state import own_state
from eightbit.quantize.algorithms.simulation import Pair, PairedNetwork
from eightbit.quantize.network.fusion import float_parameters
from eightbit.quantize.network.graph import tensor_name
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import LayerParams, Recipe
from eightbit.quantize.torch_settings import torch_threads

BINS: Final = 64


def value_histograms(
    network: Network, batches: Iterable[torch.Tensor], tensors: Iterable[TensorDiagnosis]
) -> dict[str, Histogram]:
    """Histograms by name of float tensors over their observed ranges; none for constant tensors.

    A second pass over the same batches, float32, shape (N, 3, H, W): the first one sets the bins.
    """
    ranges = {
        tensor.name: (tensor.observed_low, tensor.observed_high)
        for tensor in tensors
        if tensor.observed_low < tensor.observed_high
    }
    counter = _Counter(network, ranges)
    with torch.inference_mode():
        for batch in batches:
            counter.run(batch.contiguous(memory_format=torch.channels_last))
    return {
        name: Histogram(low=ranges[name][0], high=ranges[name][1], counts=tuple(counts.tolist()))
        for name, counts in counter.counts.items()
    }


def weight_histogram(weight: DoubleArray, params: LayerParams) -> Histogram:
    """Histogram of a layer's float weights, shape (O, ...), in steps of each channel's scale."""
    scale, _ = params.weight.broadcast(weight.ndim)
    steps = weight / scale
    # Symmetric about zero, and wide enough for both the weights and the integers.
    end = max(params.weight.dtype.qmax + 0.5, float(np.abs(steps).max()))
    counts, _ = np.histogram(steps, bins=BINS, range=(-end, end))
    return Histogram(low=-end, high=end, counts=tuple(counts.tolist()))


def with_histograms(
    worst: Iterable[TensorDiagnosis], quantized: Quantized, batches: Iterable[torch.Tensor]
) -> tuple[TensorDiagnosis, ...]:
    """The tensors with histograms of their values and of the weights that produce them."""
    tensors = tuple(worst)
    values = value_histograms(quantized.network, batches, tensors)
    layers, recipe = quantized.network.layers, quantized.recipe
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
    """Runs the float network and counts the elements of some of its tensors in bins."""

    def __init__(self, network: Network, ranges: Mapping[str, tuple[float, float]]) -> None:
        super().__init__(network.traced)
        self._ranges = ranges
        self.counts = {name: np.zeros(BINS, dtype=np.int64) for name in ranges}

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node, and bin its output if selected."""
        result = super().run_node(n)
        name = tensor_name(n)
        if name is not None and name in self._ranges:
            low, high = self._ranges[name]
            # The last bits of another pass may differ: an end stays in its bin.
            counts = torch.histc(result.clamp(low, high).float(), BINS, low, high)
            self.counts[name] += counts.numpy().astype(np.int64)
        return result


# Pixels of eight images of 224 px: more change the decibels by tenths only.
DIAGNOSIS_PIXELS: Final = 8 * 224**2
_BATCH: Final = 8
_SHOWN: Final = 6  # tensors with histograms


@own_state()
def diagnose(
    quantized: Quantized, images: torch.Tensor, executor: Executor | None = None
) -> tuple[TensorDiagnosis, ...]:
    """Measure the SQNR of every quantized tensor on images: float32, shape (N, 3, H, W).

    ``executor`` has workers, each of which takes eight images at a time; None for this process.

    Returns:
        One entry per tensor, the lowest SQNR alone first: there a wider or narrower range, or
        float, helps. A low accumulated SQNR with a high one alone is inherited. The first six have
        histograms.
    """
    recipe = quantized.recipe
    sums: dict[str, _Sums] = defaultdict(_Sums)
    weights: dict[str, float | None] = {}
    for measured in _measured(quantized, images.split(_BATCH), executor):
        weights |= measured.weights
        for name, part in measured.sums.items():
            sums[name].merge(part)
    tensors = [
        found.result(name, recipe.activations[name], weights.get(name), position)
        for position, (name, found) in enumerate(sums.items())
    ]
    tensors.sort(key=lambda t: math.inf if t.sqnr_alone_db is None else t.sqnr_alone_db)
    worst = with_histograms(tensors[:_SHOWN], quantized, images.split(_BATCH))
    return (*worst, *tensors[_SHOWN:])


class _Sums:
    """Statistics of one tensor over the batches."""

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf
        self.signal = self.alone = self.accumulated = 0.0
        self.outside = self.elements = 0

    def add(self, exact: torch.Tensor, rounded: torch.Tensor, params: QuantParams) -> None:
        low, high = _limits(params)
        half = params.scale[0] / 2
        smallest, largest = (float(end) for end in torch.aminmax(exact))
        self.low, self.high = min(self.low, smallest), max(self.high, largest)
        self.signal += _energy(exact)
        self.alone += _energy(exact - fake_quantize(exact, params))
        self.accumulated += _energy(exact - rounded)
        self.outside += int(((exact < low - half) | (exact > high + half)).sum())
        self.elements += exact.numel()

    def merge(self, later: "_Sums") -> None:
        """Add those of the batches behind; float's last bits depend on their order."""
        self.low, self.high = min(self.low, later.low), max(self.high, later.high)
        self.signal += later.signal
        self.alone += later.alone
        self.accumulated += later.accumulated
        self.outside += later.outside
        self.elements += later.elements

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
    """Accumulates signal and noise of every quantized tensor."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        super().__init__(network, recipe)
        self.sums: dict[str, _Sums] = defaultdict(_Sums)

    def on_tensor(self, name: str, tensor: Pair) -> None:
        """Accumulate a batch."""
        self.sums[name].add(tensor.exact, tensor.rounded, self.recipe.activations[name])

    def weight_sqnr(self) -> dict[str, float | None]:
        """SQNR of the quantized weights in dB, by layer; after a batch."""
        found = {}
        for name in self.recipe.layers:
            exact = torch.from_numpy(float_parameters(self.network.layers[name])[0])
            noise = _energy(exact - self.rounded_weights[name])
            found[name] = _decibels(_energy(exact), noise)
        return found


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What a batch says of every tensor, and the first one of the layers' weights."""

    sums: Mapping[str, _Sums]
    weights: Mapping[str, float | None]


class _Measuring:
    """Measures batch after batch; the weights are rounded once."""

    def __init__(self, network: Network, recipe: Recipe) -> None:
        self._meter = _Meter(network, recipe)

    def __call__(self, number: int, batch: torch.Tensor) -> _Measured:
        self._meter.sums = defaultdict(_Sums)
        self._meter.propagate(batch)
        weights = {} if number else self._meter.weight_sqnr()
        return _Measured(sums=dict(self._meter.sums), weights=weights)


@dataclass(frozen=True, kw_only=True)
class _OpenNetwork:
    """What a worker does first."""

    module: nn.Module
    recipe: Recipe
    threads: int

    def __call__(self) -> Callable[[tuple[int, FloatArray]], _Measured]:
        with own_state():
            network = Network(module=self.module, spec=self.recipe.spec)
            measuring = _Measuring(network, self.recipe)

        def serve(given: tuple[int, FloatArray]) -> _Measured:
            number, batch = given
            with own_state(), torch_threads(self.threads):
                return measuring(number, torch.from_numpy(batch.copy()))

        return serve


def _measured(
    quantized: Quantized, batches: Sequence[torch.Tensor], executor: Executor | None
) -> Iterator[_Measured]:
    """What each batch says, in their order."""
    if executor is None:
        measuring = _Measuring(quantized.network, quantized.recipe)
        yield from (measuring(number, batch) for number, batch in enumerate(batches))
        return
    opening = _OpenNetwork(
        module=quantized.network.module, recipe=quantized.recipe, threads=executor.threads
    )
    tasks = (
        Task(content=(number, batch.numpy()), named=f"batch {number} of the diagnosis")
        for number, batch in enumerate(batches)
    )
    with executor.crew(opening, most=len(batches), where="diagnose") as crew:
        yield from crew.map(tasks)


def _limits(params: QuantParams) -> tuple[float, float]:
    """Smallest and largest real number of the integer range."""
    ends = np.array([params.dtype.qmin, params.dtype.qmax])
    low, high = dequantize(ends, params)
    return float(low), float(high)


def _energy(x: torch.Tensor) -> float:
    return float(x.square().sum())  # in pairs: float32's error stays at its last bits


def _decibels(signal: float, noise: float) -> float | None:
    return 10 * math.log10(signal / noise) if signal and noise else None
