"""The contract on torch tensors."""

import numpy as np
import pytest
import torch

from eightbit.calibration import activation_params, dequantize, quantize, weight_params
from eightbit.calibration.fake_quantization import fake_quantize


def test_integers_worked_out_by_hand() -> None:
    params = activation_params(-1.0, 4.1)  # scale 0.02, zero point 50
    x = torch.tensor([-9.0, -1.0, 0.0, 0.011, 0.029, 4.1, 99.0])
    expected = torch.tensor([-1.0, -1.0, 0.0, 0.02, 0.02, 4.1, 4.1])
    torch.testing.assert_close(fake_quantize(x, params), expected)


@pytest.mark.parametrize("bounds", [(0.0, 6.0), (-2.5, 3.5), (-1e-3, 0.0), (0.0, 1e5)])
def test_it_is_the_contract_but_for_ties(bounds: tuple[float, float]) -> None:
    params = activation_params(*bounds)
    x = np.random.default_rng(0).normal(0, max(map(abs, bounds)), 100_000).astype(np.float32)
    expected = dequantize(quantize(x, params), params)
    steps = np.abs(fake_quantize(torch.from_numpy(x), params).numpy() - expected) / params.scale[0]
    assert steps.max() < 1.001
    assert np.mean(steps > 1e-3) < 1e-4


def test_its_input_stays_as_it_is() -> None:
    x = torch.tensor([0.3, 7.0])
    fake_quantize(x, activation_params(0.0, 1.0))
    assert x.tolist() == pytest.approx([0.3, 7.0])


def test_weights_have_a_scale_per_channel() -> None:
    weight = np.random.default_rng(1).normal(size=(5, 3, 3, 3)).astype(np.float32)
    weight *= np.float32([1, 10, 0.1, 3, 1e-3]).reshape(-1, 1, 1, 1)
    params = weight_params(weight, np.zeros(5, np.float32), 1.0)
    expected = torch.from_numpy(dequantize(quantize(weight, params), params))
    torch.testing.assert_close(fake_quantize(torch.from_numpy(weight), params), expected)
