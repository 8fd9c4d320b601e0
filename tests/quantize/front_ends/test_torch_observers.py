"""Observers in the form that torch's front ends take."""

import pytest
import torch

from eightbit.calibration import QuantDType, QuantParams
from eightbit.quantize.front_ends.torch_observers import (
    TorchActivationObserver,
    TorchWeightObserver,
)


def test_torch_is_given_the_params_of_the_recipe() -> None:
    observer = TorchActivationObserver()
    observer.params = QuantParams(dtype=QuantDType.UINT8, scale=(0.5,), zero_point=(7,))
    scale, zero_point = observer.calculate_qparams()
    assert (scale.dtype, zero_point.dtype) == (torch.float32, torch.int32)
    assert (scale.tolist(), zero_point.tolist()) == ([0.5], [7])
    assert (observer.dtype, observer.qscheme) == (torch.quint8, torch.per_tensor_affine)


def test_without_params_there_is_nothing_to_give_torch() -> None:
    observer = TorchActivationObserver()
    observer.watch.expected = 1
    observer(torch.zeros(1, 4))
    with pytest.raises(RuntimeError, match="no parameters from a recipe"):
        observer.calculate_qparams()


def test_weight_observer_serves_its_scales_and_observes_nothing() -> None:
    params = QuantParams(
        dtype=QuantDType.INT8, scale=(0.5, 0.25, 1.0), zero_point=(0, 0, 0), axis=0
    )
    observer = TorchWeightObserver(params)
    weight = torch.ones(3, 4, 1, 1)
    assert observer(weight) is weight
    scale, zero_point = observer.calculate_qparams()
    assert (scale.dtype, zero_point.dtype) == (torch.float32, torch.int32)
    assert (scale.tolist(), zero_point.tolist()) == ([0.5, 0.25, 1.0], [0, 0, 0])
    assert (observer.dtype, observer.qscheme) == (torch.qint8, torch.per_channel_symmetric)
    assert (observer.ch_axis, observer.quant_min, observer.quant_max) == (0, -127, 127)
