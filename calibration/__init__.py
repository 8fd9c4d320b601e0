"""The arithmetic of quantization, observers, and collection from batches that it is handed.

Names are resolved when they are used, so that the command line starts without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eightbit.calibration.collection import CalibrationResult, collect
    from eightbit.calibration.convergence import Converged, largest_change
    from eightbit.calibration.methods import Method, choose_params
    from eightbit.calibration.observers import ActivationObserver, WeightObserver
    from eightbit.calibration.qparams import (
        QuantDType,
        QuantParams,
        activation_params,
        bias_params,
        dequantize,
        quantize,
        requantize,
        weight_params,
    )
    from eightbit.calibration.statistics import TensorStatistics
    from eightbit.calibration.weight_methods import WeightMethod, choose_weight_params

_MODULES = {
    "ActivationObserver": "observers",
    "CalibrationResult": "collection",
    "Converged": "convergence",
    "Method": "methods",
    "QuantDType": "qparams",
    "QuantParams": "qparams",
    "TensorStatistics": "statistics",
    "WeightMethod": "weight_methods",
    "WeightObserver": "observers",
    "activation_params": "qparams",
    "bias_params": "qparams",
    "choose_params": "methods",
    "choose_weight_params": "weight_methods",
    "collect": "collection",
    "dequantize": "qparams",
    "largest_change": "convergence",
    "quantize": "qparams",
    "requantize": "qparams",
    "weight_params": "qparams",
}

__all__ = [
    "ActivationObserver",
    "CalibrationResult",
    "Converged",
    "Method",
    "QuantDType",
    "QuantParams",
    "TensorStatistics",
    "WeightMethod",
    "WeightObserver",
    "activation_params",
    "bias_params",
    "choose_params",
    "choose_weight_params",
    "collect",
    "dequantize",
    "largest_change",
    "quantize",
    "requantize",
    "weight_params",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
