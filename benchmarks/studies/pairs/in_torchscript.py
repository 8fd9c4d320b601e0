"""The layers of `layers` in torch's own quantized modules, scripted.

An image classifier that any runner can load: the image is repeated to as many channels as a layer
has and rounded with a scale of 1; what the layers give is the logits.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.ao.nn import quantized

from eightbit.benchmarks.studies.pairs.layers import OUTPUT_SCALE, Layer
from eightbit.models.torch_warnings import expected_deprecations


def write_torchscript(layers: Sequence[Layer], path: Path) -> None:
    """Write layers that read the same image as one TorchScript archive that names no engine.

    Args:
        layers: Their values are the logits, one layer after the other.
        path: The .pt file.
    """
    with expected_deprecations():
        module = _Layers(layers).eval()
        torch.jit.save(torch.jit.script(module), str(path))


class _Layers(nn.Module):
    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            _Linear(layer) if layer.kernel is None else _Convolutions(layer, layer.kernel)
            for layer in layers
        )

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([layer(image) for layer in self.layers], 1)


class _Planes(nn.Module):
    """From an image to a layer's input in uint8."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.repeats = layer.repeats
        self.planes = layer.planes
        self.rounding = quantized.Quantize(1.0, layer.zero_point, torch.quint8)

    def forward(self, image: Tensor) -> Tensor:
        planes: Tensor = self.rounding(image.repeat(1, self.repeats, 1, 1)[:, : self.planes])
        return planes


class _Convolutions(nn.Module):
    def __init__(self, layer: Layer, kernel: int) -> None:
        super().__init__()
        self.planes = _Planes(layer)
        self.parts = nn.ModuleList(
            _convolution(layer, kernel, torch.from_numpy(weight)) for weight in layer.weights()
        )

    def forward(self, image: Tensor) -> Tensor:
        x = self.planes(image)
        return torch.cat([part(x).dequantize().flatten(1) for part in self.parts], 1)


class _Linear(nn.Module):
    """As eightbit writes classifiers: the integer product of two matrices."""

    weights: Tensor

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.planes = _Planes(layer)
        self.register_buffer("weights", torch.from_numpy(layer.weights()))

    def forward(self, image: Tensor) -> Tensor:
        x = self.planes(image).int_repr().flatten(1)
        parts = [torch._int_mm(x, weight.t()).float() for weight in self.weights.unbind()]
        return torch.cat(parts, 1)


def _convolution(layer: Layer, kernel: int, weight: Tensor) -> nn.Module:
    """One convolution of int8 weights of shape (O, C, kH, kW)."""
    outputs = len(weight)
    convolution = quantized.Conv2d(
        layer.channels * layer.groups,
        outputs,
        kernel,
        stride=layer.stride,
        padding=kernel // 2,
        groups=layer.groups,
    )
    scales = torch.ones(outputs, dtype=torch.float64)
    zeros = torch.zeros(outputs, dtype=torch.int64)
    integers = torch._make_per_channel_quantized_tensor(weight, scales, zeros, 0)
    convolution.set_weight_bias(integers, torch.zeros(outputs))
    convolution.scale, convolution.zero_point = OUTPUT_SCALE, 0
    return convolution
