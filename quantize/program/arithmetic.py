"""The recipe's integers computed exactly with torch's plain operators, which any torch has.

A quantized tensor is carried as float32 steps from its zero point, whole numbers of at most nine
bits: padding with zeros is exact, and every operation knows the type. Sums of products stay below
2^24, where float32 holds every whole number in any order of summation; where a layer's could be
larger, its input channels are summed in parts. Everything else is float64, as in the reference.
"""

from itertools import pairwise
from typing import Any, Final, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from eightbit.calibration import QuantParams, bias_params
from eightbit.calibration.qparams import IntArray
from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.networks.quantizable import DeQuantStub, QuantStub
from eightbit.quantize.network.graph import tensor_name
from eightbit.quantize.network.operators import MOVING, activation_of, layer_of
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import LayerParams

_EXACT: Final = 2**24

_MOVING_MODULES: Final = (nn.MaxPool2d, OptionAShortcut, QuantStub, DeQuantStub)
_MOVING_FUNCTIONS: Final = (torch.flatten, *MOVING.values())


class ProgramModule(nn.Module):
    """The quantized network, float32 (N, 3, H, W) to its output, for torch.export to trace."""

    def __init__(self, quantized: Quantized) -> None:
        super().__init__()
        self._quantized = quantized
        self.layers = nn.ModuleDict()
        network, recipe = quantized.network, quantized.recipe
        for name, params in recipe.layers.items():
            layer = network.layers[name]
            source = recipe.activations[network.inputs[name]]
            output = recipe.activations.get(name)
            self.layers[_key(name)] = IntegerLayer(layer, params, source, output)
        for name, parameter in network.parameters.items():
            # What computes in float keeps its own weights.
            if name.rpartition(".")[0] not in recipe.layers and parameter is not None:
                self.register_buffer(
                    "real_" + _key(name),
                    parameter.detach().clone(memory_format=torch.contiguous_format),
                )

    def forward(self, x: Tensor) -> Tensor:
        """Map preprocessed images to logits, float32 (N, classes), or to features."""
        result = cast("_Numbers", _Writer(self, self._quantized).run(_Numbers(x.double(), None)))
        return result.real().float()


def _key(name: str) -> str:
    """A tensor's name as that of a module, which has no dots; unlike any other name's."""
    return name.replace("_", "__").replace(".", "_d")


class IntegerLayer(nn.Module):
    """A convolution or linear layer in integers, rounded to the grid of its output if it has one.

    The weight is int8, (O, C, kH, kW) or (O, K); the bias int32, (O,); `multiplier` is float32,
    (O,): that of the sums, to the steps of the output or to real numbers.
    """

    weight: Tensor
    bias: Tensor
    multiplier: Tensor

    def __init__(
        self,
        layer: nn.Conv2d | nn.Linear,
        params: LayerParams,
        source: QuantParams,
        output: QuantParams | None,
    ) -> None:
        super().__init__()
        # Not the layer itself: its float weights would be stored.
        self._window = _window(layer)
        weight = weight_integers(layer, params)
        scales = np.array(bias_params(params.weight, source.scale[0]).scale)
        if output is not None:
            scales = scales / output.scale[0]
        self.register_buffer("weight", torch.from_numpy(np.ascontiguousarray(weight, np.int8)))
        self.register_buffer("bias", torch.tensor(params.bias, dtype=torch.int32))
        self.register_buffer("multiplier", torch.from_numpy(scales.astype(np.float32)))
        # None: in float64, in one piece. So are the channels of several groups.
        self._parts = _parts(weight, source) if isinstance(layer, nn.Conv2d) else None
        if isinstance(layer, nn.Conv2d) and layer.groups > 1 and self._parts != 1:
            self._parts = None

    def forward(self, steps: Tensor) -> Tensor:
        """Map steps, float32 (N, C, H, W) or (N, K), to scaled sums in float64 (N, O, ...)."""
        shape = (-1, *[1] * (steps.ndim - 2))
        sums = self._sums(steps) + self.bias.double().reshape(shape)
        return sums * self.multiplier.double().reshape(shape)

    def _sums(self, steps: Tensor) -> Tensor:
        if self._window is None:
            return F.linear(steps.double(), self.weight.double())
        if self._parts is None:
            return F.conv2d(steps.double(), self.weight.double(), None, *self._window)
        ends = np.linspace(0, self.weight.shape[1], self._parts + 1).astype(int).tolist()
        sums = None
        for start, end in pairwise(ends):
            whole = self._parts == 1
            taken = steps if whole else steps[:, start:end]
            weight = self.weight if whole else self.weight[:, start:end]
            # Rounded, since a kernel of float's may transform its input first (Winograd).
            part = torch.round(F.conv2d(taken, weight.float(), None, *self._window)).double()
            sums = part if sums is None else sums + part
        assert sums is not None
        return sums


def _window(layer: nn.Module) -> Any:
    """Stride, padding, dilation and groups of a convolution; None for a linear layer."""
    if isinstance(layer, nn.Linear):
        return None
    assert isinstance(layer, nn.Conv2d)  # `Network` has nothing else
    return (layer.stride, layer.padding, layer.dilation, layer.groups)


def _parts(weight: IntArray, source: QuantParams) -> int:
    """In how many parts of its input channels a layer's sums are below 2^24, whatever it reads."""
    low, high = source.zero_point[0], source.dtype.qmax - source.zero_point[0]
    flat = np.abs(weight).reshape(*weight.shape[:2], -1).sum(axis=2) * max(low, high)
    parts = 1
    while parts < weight.shape[1]:
        ends = np.linspace(0, weight.shape[1], parts + 1).astype(int)
        most = max(flat[:, a:b].sum(axis=1).max() for a, b in pairwise(ends))
        if most <= _EXACT:
            break
        parts += 1
    return parts


class _Numbers:
    """A tensor: with ``params`` float32 steps from the zero point, else real numbers, float64."""

    def __init__(self, values: Tensor, params: QuantParams | None) -> None:
        self.values, self.params = values, params

    def real(self) -> Tensor:
        """The real numbers, float64."""
        if self.params is None:
            return self.values
        return self.values.double() * self.params.scale[0]


def _on_grid(scaled: Tensor, params: QuantParams, *, rectified: bool = False) -> _Numbers:
    """Numbers in units of their scale, float64, rounded to whole steps of the grid."""
    (zero_point,) = params.zero_point
    low = 0 if rectified else params.dtype.qmin - zero_point
    steps = torch.clamp(torch.round(scaled), low, params.dtype.qmax - zero_point)
    return _Numbers(steps.float(), params)


class _Writer(fx.Interpreter):
    """Runs the traced network on `_Numbers`."""

    def __init__(self, module: ProgramModule, quantized: Quantized) -> None:
        super().__init__(quantized.network.traced)
        self._written = module
        self._recipe = quantized.recipe

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node, and round a real result for which the recipe has a grid."""
        result = super().run_node(n)
        params = self._recipe.activations.get(tensor_name(n) or "")
        if params is None or not isinstance(result, _Numbers) or result.params is not None:
            return result
        return _on_grid(result.values / params.scale[0], params)

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """Weights that a function reads, as float64."""
        return getattr(self._written, "real_" + _key(target)).double()

    def call_module(self, target: Any, args: Any, kwargs: Any) -> _Numbers:
        """Compute a layer, the pool, or an operation that only moves numbers."""
        module = self.fetch_attr(target)
        (source,) = args
        if isinstance(module, _MOVING_MODULES):
            return _Numbers(module(source.values), source.params)
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return _Numbers(module(source.real()), None)
        activation = activation_of(module)
        if target in self._recipe.layers:
            scaled = self._written.layers[_key(target)](source.values)
            output = self._recipe.activations.get(target)
            if output is not None:
                # An upper bound is where the grid ends: `Quantized` has checked it.
                return _on_grid(scaled, output, rectified=activation is not None)
            real = scaled
        else:
            real = self._in_float(target, layer_of(module), source.real())
        return _Numbers(real if activation is None else activation(real), None)

    def _in_float(self, name: str, layer: nn.Module, x: Tensor) -> Tensor:
        weight = getattr(self._written, "real_" + _key(f"{name}.weight")).double()
        bias = getattr(self._written, "real_" + _key(f"{name}.bias"), None)
        bias = None if bias is None else bias.double()
        window = _window(layer)
        return F.linear(x, weight, bias) if window is None else F.conv2d(x, weight, bias, *window)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> _Numbers:
        """Move numbers on their grid, or compute with real ones."""
        if target in _MOVING_FUNCTIONS:
            source, *others = args
            return _Numbers(target(source.values, *others, **kwargs), source.params)
        real = fx.node.map_aggregate((args, kwargs), _real)
        return _Numbers(target(*real[0], **real[1]), None)


def _real(argument: Any) -> Any:
    """An argument as real numbers in float64, if it is a tensor."""
    return argument.real() if isinstance(argument, _Numbers) else argument
