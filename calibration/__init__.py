"""The arithmetic of quantization, observers, and collection from batches that it is handed."""

from eightbit.calibration.collection import CalibrationResult, collect
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

__all__ = [
    "ActivationObserver",
    "CalibrationResult",
    "Method",
    "QuantDType",
    "QuantParams",
    "TensorStatistics",
    "WeightObserver",
    "activation_params",
    "bias_params",
    "choose_params",
    "collect",
    "dequantize",
    "quantize",
    "requantize",
    "weight_params",
]
