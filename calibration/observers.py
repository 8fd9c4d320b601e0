"""The observer that torch's ``prepare`` puts behind every quantized tensor.

It has two lives. While calibrating it streams: exact extremes of every element, a histogram of
a fixed sample of each image. When converting it hands out the parameters that the recipe fixed.
It never changes what flows through it.
"""

import math

import numpy as np
import torch
from torch.ao.quantization import ObserverBase

from eightbit.calibration.qparams import IntArray, QuantDType, QuantParams
from eightbit.calibration.statistics import (
    BINS_PER_SIDE,
    SMALLEST_EXPONENT,
    TensorStatistics,
    coarsen,
    exponent_of,
)

# About so many elements of one tensor of one image enter the histogram; all of them if there are
# fewer than twice as many. With 128 images it holds about a million: the 99.99th percentile then
# rests on a hundred of them.
SAMPLES_PER_IMAGE = 8192

_TORCH_DTYPES = {QuantDType.UINT8: torch.quint8, QuantDType.INT8: torch.qint8}


class ActivationObserver(ObserverBase):
    """Collects the statistics of one activation, or serves its fixed parameters.

    Attributes:
        expected: How many leading images of the next tensor are real; the rest pads the batch to
            its fixed size and is ignored. 0: the next tensor is not looked at.
        name: Which tensor this is, for messages.
        params: What ``calculate_qparams`` answers, once the recipe is known.
    """

    def __init__(self) -> None:
        super().__init__(dtype=torch.quint8, is_dynamic=False)
        self.qscheme = torch.per_tensor_affine
        self.expected = 0
        self.name = "an activation"
        self.params: QuantParams | None = None
        self._low = float("inf")
        self._high = float("-inf")
        self._exponent = SMALLEST_EXPONENT
        self._counts = np.zeros(2 * BINS_PER_SIDE, dtype=np.int64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Observe ``x`` if it is expected: float32, shape (N, C, H, W) or (N, C); returns it.

        torch calls the same observer again behind pooling, whose output shares the scale of its
        input, and in eager mode twice behind a fused ReLU: only the first tensor counts.

        Raises:
            ValueError: ``x`` holds a NaN or an infinity.
        """
        if self.expected:
            self._observe(x.detach()[: self.expected])
            self.expected = 0
        return x

    def _observe(self, observed: torch.Tensor) -> None:
        rows = _rows(observed)
        low, high = (float(v) for v in torch.aminmax(rows))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{self.name}: expected finite activations, found {low}..{high}")
        self._low, self._high = min(self._low, low), max(self._high, high)
        exponent = max(self._exponent, exponent_of(max(abs(low), abs(high))))
        self._counts = coarsen(self._counts, exponent - self._exponent)
        self._exponent = exponent
        self._counts += _histogram(rows, observed.shape[1], exponent)

    def statistics(self) -> TensorStatistics:
        """What was seen so far.

        Raises:
            ValueError: Nothing was.
        """
        if self._low > self._high:
            raise ValueError(f"{self.name}: expected to be observed, but no tensor came by")
        return TensorStatistics(
            low=self._low, high=self._high, exponent=self._exponent, counts=self._counts.copy()
        )

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        """Scale (float32, shape (1,)) and zero point (int32, shape (1,)), for torch's convert.

        Raises:
            RuntimeError: ``params`` was not set.
        """
        if self.params is None:
            raise RuntimeError("convert: this observer was given no parameters from a recipe")
        return _as_tensors(self.params)


class WeightObserver(ObserverBase):
    """Serves the weight scales of one layer to torch's ``convert``; observes nothing."""

    def __init__(self, params: QuantParams) -> None:
        super().__init__(dtype=_TORCH_DTYPES[params.dtype], is_dynamic=False)
        self.qscheme = torch.per_channel_symmetric
        self.ch_axis = params.axis
        self.quant_min, self.quant_max = params.dtype.qmin, params.dtype.qmax
        self.params = params

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` unchanged."""
        return x

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        """Scales (float32, shape (O,)) and zero points (int32, shape (O,))."""
        return _as_tensors(self.params)


def _as_tensors(params: QuantParams) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.tensor(params.scale, dtype=torch.float32),
        torch.tensor(params.zero_point, dtype=torch.int32),
    )


def _rows(x: torch.Tensor) -> torch.Tensor:
    """One row of elements per image, channels last whatever the memory order.

    For a tensor that lies in memory so it is free; reading across memory costs 50 times as much.
    """
    return (x.permute(0, 2, 3, 1) if x.dim() == 4 else x).reshape(len(x), -1)


def _stride(elements: int, channels: int) -> int:
    """Distance of the sampled elements of a row, whose channels lie next to each other.

    It has no divisor in common with the number of channels, so every channel is visited.
    """
    stride = max(elements // SAMPLES_PER_IMAGE, 1)
    while math.gcd(stride, channels) != 1:
        stride += 1
    return stride


def _histogram(rows: torch.Tensor, channels: int, exponent: int) -> IntArray:
    """Counts of a fixed sample of each row, int64, shape (16384,)."""
    sample = rows[:, :: _stride(rows.shape[1], channels)].double()
    # Multiplying by a power of two is exact, so floor finds the same bin for any exponent; in
    # float32 it would not be where the product underflows.
    bins = sample.mul_(BINS_PER_SIDE / 2.0**exponent).floor_().add_(BINS_PER_SIDE)
    counts = torch.bincount(bins.to(torch.int32).reshape(-1), minlength=2 * BINS_PER_SIDE)
    return counts.numpy()
