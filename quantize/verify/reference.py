"""The reference: exact computation with the recipe's integers, as the contract defines it.

Every runtime is measured against it. It shares no kernel with one: sums of products are taken in
float64, where integers below 2^53 are exact in any order of summation, and `qparams` rounds in
float64. float32 would not do: a layer's sum exceeds its 2^24 from K = 519 taps on, and a 3x3 kernel
over 64 channels has 576. It takes seconds where runtimes take milliseconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from eightbit.calibration import QuantParams, bias_params, quantize, requantize
from eightbit.calibration.qparams import FloatArray, IntArray, real_numbers, signed_steps
from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.networks.quantizable import DeQuantStub, QuantStub
from eightbit.quantize.network.graph import tensor_name
from eightbit.quantize.network.operators import MOVING, activation_of, layer_of
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.quantized import Quantized

# Images at a time: float64 tensors are eight times as large as a runtime's.
_BATCH: Final = 8

# What moves numbers and keeps their grid. Working on steps from real zero, padding is exact.
_MOVING: Final = (nn.MaxPool2d, OptionAShortcut, QuantStub, DeQuantStub)


_MOVING_FUNCTIONS: Final = (torch.flatten, *MOVING.values())


def reference_logits(quantized: Quantized, pixels: FloatArray) -> FloatArray:
    """Logits of the recipe's integers; float layers compute in float64 with their own weights.

    Args:
        quantized: The float network and its integers.
        pixels: float32, shape (N, 3, H, W), N at least 1.

    Returns:
        float32, shape (N, classes); for a network without a top, features (N, C, H', W').

    Raises:
        ValueError: A pixel is NaN.
    """
    reference = _Reference(quantized)
    parts = range(0, len(pixels), _BATCH)
    return np.concatenate([reference.logits(pixels[start : start + _BATCH]) for start in parts])


@dataclass(frozen=True, kw_only=True)
class _Numbers:
    """A float64 tensor: with ``params`` integer steps from the zero point, else real numbers."""

    values: torch.Tensor
    params: QuantParams | None

    @property
    def real(self) -> torch.Tensor:
        """The dequantized values; exact."""
        if self.params is None:
            return self.values
        return torch.from_numpy(real_numbers(self.values.numpy(), self.params))

    def moved(self, move: Callable[[torch.Tensor], torch.Tensor]) -> "_Numbers":
        """The same numbers rearranged."""
        return _Numbers(values=move(self.values), params=self.params)


def _on_grid(q: IntArray, params: QuantParams) -> _Numbers:
    steps = signed_steps(q, params).astype(np.float64)
    return _Numbers(values=torch.from_numpy(steps), params=params)


def _as_real(values: torch.Tensor) -> _Numbers:
    return _Numbers(values=values, params=None)


class _Reference(fx.Interpreter):
    """Runs the traced network on `_Numbers`, freeing each after its last use."""

    def __init__(self, quantized: Quantized) -> None:
        super().__init__(quantized.network.traced)
        self._recipe = quantized.recipe
        self._weights: dict[str, torch.Tensor] = {}

    def logits(self, pixels: FloatArray) -> FloatArray:
        """Logits of one batch."""
        images = _as_real(torch.from_numpy(pixels.astype(np.float64)))
        with torch.inference_mode():
            result = cast("_Numbers", self.run(images))
        return cast("FloatArray", result.real.numpy().astype(np.float32))

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node, and quantize a real output for which the recipe has a scale."""
        result = super().run_node(n)
        params = self._recipe.activations.get(tensor_name(n) or "")
        if params is None or result.params is not None:
            return result
        return _on_grid(quantize(result.values.numpy(), params), params)

    def call_module(self, target: Any, args: Any, kwargs: Any) -> _Numbers:
        """Compute an integer or float layer, the pool, or an operation that only moves values."""
        module = self.fetch_attr(target)
        (source,) = args
        if isinstance(module, _MOVING):
            return cast("_Numbers", source.moved(module))
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return _as_real(module(source.real))
        layer, activation = layer_of(module), activation_of(module)
        assert isinstance(layer, nn.Conv2d | nn.Linear)  # `Network` has nothing else
        result = (
            self._in_integers(target, layer, source)
            if target in self._recipe.layers
            else _in_float(layer, source.real)
        )
        if activation is None:
            return result
        # On steps from real zero as on real numbers: rounding keeps the order, and zero. An upper
        # bound is where the grid ends: `Quantized` has checked it.
        return result.moved(activation if result.params is None else torch.relu)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> _Numbers:
        """Compute a function: move numbers on their grid, or take real ones."""
        if target in _MOVING_FUNCTIONS:
            source, *others = args
            return cast("_Numbers", source.moved(lambda x: target(x, *others, **kwargs)))
        real = fx.node.map_aggregate(args, _real)
        return _as_real(target(*real, **kwargs))

    def _in_integers(self, name: str, layer: nn.Conv2d | nn.Linear, source: _Numbers) -> _Numbers:
        """Exact sums of products and bias, requantized if the output has a scale."""
        params = self._recipe.layers[name]
        assert source.params is not None  # an integer layer reads a quantized tensor: `placement`
        if name not in self._weights:
            self._weights[name] = torch.from_numpy(weight_integers(layer, params).astype(np.int8))
        bias = torch.tensor(params.bias, dtype=torch.float64)
        sums = _sums(layer, source.values, self._weights[name].double(), bias)
        # The contract wants output channels first.
        acc = sums.transpose(0, 1).numpy().astype(np.int64)
        scales = bias_params(params.weight, source.params.scale[0])
        output = self._recipe.activations.get(name)
        if output is None:
            real = real_numbers(acc, scales)
            return _as_real(torch.from_numpy(real).transpose(0, 1))
        return _on_grid(requantize(acc, scales, output).swapaxes(0, 1), output)


def _real(argument: Any) -> Any:
    """An argument as real numbers in float64, if it is a tensor."""
    if isinstance(argument, _Numbers):
        return argument.real
    return argument.double() if isinstance(argument, torch.Tensor) else argument


def _in_float(layer: nn.Conv2d | nn.Linear, x: torch.Tensor) -> _Numbers:
    bias = None if layer.bias is None else layer.bias.double()
    return _as_real(_sums(layer, x, layer.weight.double(), bias))


def _sums(
    layer: nn.Conv2d | nn.Linear, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    """A layer's sums of products and bias in float64; integers give integers."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, bias)
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)
