"""The observers that torch's ``prepare`` puts behind every quantized tensor.

While calibrating they stream tensors into statistics, when converting they return the recipe's
parameters; they never change a tensor.
"""

import torch
from torch.ao.quantization import ObserverBase

from eightbit.calibration.accumulator import Accumulator
from eightbit.calibration.qparams import QuantDType, QuantParams
from eightbit.calibration.statistics import TensorStatistics

_TORCH_DTYPES = {QuantDType.UINT8: torch.quint8, QuantDType.INT8: torch.qint8}


class ActivationObserver(ObserverBase):
    """Collects the statistics of one activation, or returns its fixed parameters.

    Attributes:
        expected: How many leading images of the next tensor are real; the rest pads the batch to
            its fixed size and is ignored. 0: the next tensor is not looked at.
        name: Name of the tensor, for messages.
        params: Result of ``calculate_qparams``, once the recipe is known.
    """

    def __init__(self) -> None:
        super().__init__(dtype=torch.quint8, is_dynamic=False)
        self.qscheme = torch.per_tensor_affine
        self.expected = 0
        self.name = "an activation"
        self.params: QuantParams | None = None
        self._seen = Accumulator()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Observe ``x`` if it is expected: float32, shape (N, C, H, W) or (N, C); returns it.

        torch calls the same observer again behind pooling, whose output shares the scale of its
        input, and in eager mode twice behind a fused ReLU: only the first tensor counts.

        Raises:
            ValueError: ``x`` holds a NaN or an infinity.
        """
        if self.expected:
            try:
                self._seen.add(x.detach()[: self.expected])
            except ValueError as exc:
                raise ValueError(f"{self.name}: {exc}") from exc
            self.expected = 0
        return x

    def statistics(self) -> TensorStatistics:
        """Statistics so far.

        Raises:
            ValueError: Nothing was observed.
        """
        statistics = self._seen.statistics()
        if statistics is None:
            raise ValueError(f"{self.name}: expected to be observed, but no tensor came by")
        return statistics

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
