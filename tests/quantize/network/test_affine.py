"""Numbers for each channel belong to the layer before, or are a layer of their own, in integers."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eightbit.quantize.network.graph import trace
from eightbit.quantize.network.importing import imported
from eightbit.quantize.network.skeleton import Skeleton

SIDE = 8

Function = Callable[["Parts", Tensor], Tensor]


class Parts(nn.Module):
    """Layers, and two numbers for each of four channels."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.fc = nn.Conv2d(3, 4, 3, bias=False), nn.Linear(4, 4)
        self.scale, self.shift = torch.rand(4) + 0.5, torch.randn(4)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """The function of the images."""
        return self.function(self, x)


def operators(function: Function) -> list[str]:
    module = Parts(function).eval()
    network = imported(module, SIDE)
    images = torch.randn(3, 3, SIDE, SIDE)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), module(images))
    skeleton = Skeleton.of(trace(network))
    around = ("placeholder", "quantize", "dequantize", "output")
    return [step.operator for step in skeleton.steps if step.operator not in around]


def _maps(values: Tensor) -> Tensor:
    return values[:, None, None]


CASES: dict[str, tuple[Function, list[str]]] = {
    "a normalisation that is written out, in the convolution": (
        lambda m, x: F.relu(m.a(x) * _maps(m.scale) + _maps(m.shift)).mean((2, 3)),
        ["conv_relu", "global_average_pool", "flatten"],
    ),
    "subtracted and divided, with the weights first in the sum": (
        lambda m, x: _maps(m.shift) + (m.a(x) - _maps(m.shift)) / _maps(m.scale),
        ["conv"],
    ),
    "a number, in the linear layer": (
        lambda m, x: (m.fc(m.a(x).mean((2, 3))) * 2 + 3) / m.scale,
        ["conv", "global_average_pool", "flatten", "linear"],
    ),
    "behind an activation, a layer of its own": (
        lambda m, x: F.relu(m.a(x)) * _maps(m.scale) + _maps(m.shift),
        ["conv_relu", "conv"],
    ),
    "of what is read again, a layer of its own": (
        lambda m, x: (y := m.a(x)) + y * _maps(m.scale),
        ["conv", "conv", "add"],
    ),
    "of images, in float as the images are": (
        lambda m, x: m.a(x * torch.tensor([2.0, 3.0, 4.0])[:, None, None]),
        ["parameter", "float.mul.Tensor", "conv"],
    ),
    "numbers for each position, in float": (
        lambda m, x: m.a(x) * torch.arange(6.0),
        ["conv", "parameter", "float.mul.Tensor"],
    ),
    "weights less maps, in float": (
        lambda m, x: _maps(m.shift) - m.a(x),
        ["parameter", "conv", "float.sub.Tensor"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_numbers_for_each_channel(name: str) -> None:
    function, expected = CASES[name]
    assert sorted(operators(function)) == sorted(expected)
