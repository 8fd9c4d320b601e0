"""Observers in the form that torch's ``prepare`` places and its ``convert`` asks for parameters.

While calibrating they watch tensors, when converting they return the recipe's parameters; they
never change a tensor.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn
from torch.ao.quantization import ObserverBase, QConfig, default_per_channel_weight_observer

from eightbit.calibration import ActivationObserver, QuantDType, QuantParams
from eightbit.quantize.front_ends.observed import ObservedNetwork

_TORCH_DTYPES: Final = {QuantDType.UINT8: torch.quint8, QuantDType.INT8: torch.qint8}


class TorchActivationObserver(ObserverBase):
    """Watches one activation, or returns its fixed parameters.

    Attributes:
        watch: What sees the tensors that come by.
        params: Result of ``calculate_qparams``, once the recipe is known.
    """

    def __init__(self) -> None:
        super().__init__(dtype=torch.quint8, is_dynamic=False)
        self.qscheme = torch.per_tensor_affine
        self.watch = ActivationObserver()
        self.params: QuantParams | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``x`` unchanged, once it has been seen."""
        seen: torch.Tensor = self.watch(x)
        return seen

    def calculate_qparams(self) -> tuple[torch.Tensor, torch.Tensor]:  # type: ignore[override]
        """Scale (float32, shape (1,)) and zero point (int32, shape (1,)), for torch's convert.

        Raises:
            RuntimeError: ``params`` was not set.
        """
        if self.params is None:
            raise RuntimeError("convert: this observer was given no parameters from a recipe")
        return _as_tensors(self.params)


class TorchWeightObserver(ObserverBase):
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


# While observing, torch only asks which dtype the weights will have; before it converts, each layer
# is given the weight observer that serves its own scales.
OBSERVING: Final = QConfig(
    activation=TorchActivationObserver, weight=default_per_channel_weight_observer
)


@dataclass(frozen=True, kw_only=True)
class PreparedNetwork:
    """What torch's ``prepare`` made of a float network, and its observers by tensor name.

    The names do not depend on the front end.
    """

    module: nn.Module
    observers: Mapping[str, TorchActivationObserver]

    @property
    def observed(self) -> ObservedNetwork:
        """The same to calibrate with."""
        watches = {name: observer.watch for name, observer in self.observers.items()}
        return ObservedNetwork(module=self.module, observers=watches)
