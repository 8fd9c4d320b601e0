"""Layers, sums and pools in LiteRT's operators: int8, or float where a recipe says so."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from eightbit.benchmarks.runtimes.runners.litert_runner import MEAN_SUFFIX
from eightbit.calibration import QuantDType, QuantParams, bias_params
from eightbit.models.errors import InputError
from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.networks.quantizable import ConvReLU2d, DeQuantStub, LinearReLU, QuantStub
from eightbit.quantize.litert.emitter import Emitter, last
from eightbit.quantize.litert.graph import Operator, Shape, Tensor
from eightbit.quantize.litert.weights import integers, is_depthwise, own_numbers, stored_numbers
from eightbit.quantize.litert.windows import Window, windows
from eightbit.quantize.network.graph import INPUT
from eightbit.quantize.network.operators import ConvClip2d, activation_of, layer_of

Activation: Final = schema.ActivationFunctionType
_Write = Callable[[Emitter, str, Any, Tensor, Shape], Tensor]
_WriteLayer = Callable[[str, Any, Emitter, Tensor, Sequence[Tensor], Tensor, Any], Tensor]

# Clips that LiteRT's kernels make themselves.
_CLIPS: Final = {(0.0, 6.0): Activation.RELU6, (-1.0, 1.0): Activation.RELU_N1_TO_1}


def write_module(emitter: Emitter, name: str, module: nn.Module, x: Tensor, shape: Shape) -> Tensor:
    """Write a module's call; ``shape`` is torch's of its result, of one image."""
    write = _MODULES[type(module)]
    return write(emitter, name, module, x, last(shape))


def activation_code(activation: nn.Module | None, where: str) -> Any:
    """LiteRT's word for what a layer does behind its sums."""
    if activation is None:
        return Activation.NONE
    if isinstance(activation, nn.Hardtanh):
        bounds = (float(activation.min_val), float(activation.max_val))
        if bounds not in _CLIPS:
            raise InputError(
                f"{where}: expected a clip to 0..6 or -1..1, which LiteRT's float kernels have, "
                f"found {bounds[0]:g}..{bounds[1]:g}; leave litert out of --formats"
            )
        return _CLIPS[bounds]
    return Activation.RELU


def _quant(emitter: Emitter, name: str, module: nn.Module, x: Tensor, shape: Shape) -> Tensor:
    return emitter.rounded(x, emitter.grid(INPUT))


def _same(emitter: Emitter, name: str, module: nn.Module, x: Tensor, shape: Shape) -> Tensor:
    return x


def _layer(emitter: Emitter, name: str, module: nn.Module, x: Tensor, shape: Shape) -> Tensor:
    layer, activation = layer_of(module), activation_of(module)
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    write: _WriteLayer = _convolution if isinstance(layer, nn.Conv2d) else _linear
    given, params = emitter.grid(name), emitter.layer(name)
    if x.params is None or params is None:
        code = activation_code(activation, name)
        weights = own_numbers(emitter.graph, name, layer)
        real = emitter.graph.tensor(name, shape)
        return emitter.rounded(
            write(name, layer, emitter, emitter.real(x), weights, real, code), given
        )
    # An upper bound is where the grid ends: a recipe is held to that.
    code = Activation.RELU if isinstance(activation, nn.ReLU) else Activation.NONE
    (scale,) = x.params.scale
    if given is None:
        weights = stored_numbers(emitter, name, layer, params, scale)
        real = emitter.graph.tensor(name, shape)
        return write(name, layer, emitter, emitter.real(x), weights, real, code)
    weights = integers(emitter.graph, name, layer, params, scale)
    return write(name, layer, emitter, x, weights, emitter.graph.tensor(name, shape, given), code)


def _convolution(
    name: str,
    conv: nn.Conv2d,
    emitter: Emitter,
    x: Tensor,
    weights: Sequence[Tensor],
    given: Tensor,
    activation: int,
) -> Tensor:
    assert not isinstance(conv.padding, str)
    over = windows(
        x.shape[1:3],
        given.shape[1:3],
        kernel=conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        dilation=conv.dilation,
    )
    depthwise = is_depthwise(conv)
    x, padding = emitter.windowed(name, x, over)
    options: Any = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    if depthwise:
        options.depthMultiplier = conv.out_channels // conv.in_channels
    options.padding, options.fusedActivationFunction = padding, activation
    options.strideH, options.strideW = conv.stride
    options.dilationHFactor, options.dilationWFactor = conv.dilation
    code = Operator.DEPTHWISE_CONV_2D if depthwise else Operator.CONV_2D
    return emitter.graph.operator(code, [x, *weights], given, options)


def _linear(
    name: str,
    linear: nn.Linear,
    emitter: Emitter,
    x: Tensor,
    weights: Sequence[Tensor],
    given: Tensor,
    activation: int,
) -> Tensor:
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = activation
    return emitter.graph.operator(Operator.FULLY_CONNECTED, [x, *weights], given, options)


def _max_pool(emitter: Emitter, name: str, module: nn.Module, x: Tensor, shape: Shape) -> Tensor:
    assert isinstance(module, nn.MaxPool2d)
    kernel, stride, padding, dilation = (
        (size, size) if isinstance(size, int) else tuple(size)
        for size in (module.kernel_size, module.stride, module.padding, module.dilation)
    )
    if dilation != (1, 1):
        raise InputError(
            f"{name}: expected a pool without dilation, which LiteRT lacks, found {dilation}; "
            "leave litert out of --formats"
        )
    over = windows(x.shape[1:3], shape[1:3], kernel=kernel, stride=stride, padding=padding)
    x, border = emitter.windowed(name, x, over, lowest=True)
    return _pool(emitter, name, x, shape, kernel, stride, border)


def _pool(
    emitter: Emitter,
    name: str,
    x: Tensor,
    shape: Shape,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: int,
) -> Tensor:
    options = schema.Pool2DOptionsT()
    options.padding = padding
    options.filterHeight, options.filterWidth = kernel
    options.strideH, options.strideW = stride
    return emitter.emit(Operator.MAX_POOL_2D, [x], name, shape, x.params, options)


def average_pool(
    emitter: Emitter,
    name: str,
    x: Tensor,
    shape: Shape,
    over: tuple[Window, Window],
) -> Tensor:
    """A mean over windows, zeros at borders counted: a convolution of each channel with ones.

    LiteRT's own pool keeps its input's grid, and rounds otherwise.
    """
    channels = shape[-1]
    rows, columns = over
    share = float(np.float32(1 / (rows.kernel * columns.kernel)))
    ones = (1, rows.kernel, columns.kernel, channels)
    given = emitter.grid(name)
    if x.params is None or given is None:
        x, given = emitter.real(x), None
        weight = emitter.graph.constant(name + MEAN_SUFFIX, np.full(ones, share, np.float32))
        bias = emitter.graph.constant(f"{name}.bias", np.zeros(channels, np.float32))
    else:
        grid = QuantParams(
            dtype=QuantDType.INT8, scale=(share,) * channels, zero_point=(0,) * channels, axis=0
        )
        weight = emitter.graph.constant(name + MEAN_SUFFIX, np.ones(ones, np.int8), grid, axis=3)
        zeros, scales = np.zeros(channels, np.int32), bias_params(grid, x.params.scale[0])
        bias = emitter.graph.constant(f"{name}.bias", zeros, scales)
    x, padding = emitter.windowed(name, x, over)
    options = schema.DepthwiseConv2DOptionsT()
    options.padding, options.depthMultiplier = padding, 1
    options.strideH, options.strideW = rows.stride, columns.stride
    result = emitter.emit(
        Operator.DEPTHWISE_CONV_2D, [x, weight, bias], name, shape, given, options
    )
    return emitter.rounded(result, emitter.grid(name))


def _global_pool(emitter: Emitter, name: str, module: nn.Module, x: Tensor, shape: Shape) -> Tensor:
    height, width = x.shape[1:3]
    over = windows((height, width), (1, 1), kernel=(height, width), stride=(1, 1), padding=(0, 0))
    return average_pool(emitter, name, x, shape, over)


def _shortcut(emitter: Emitter, name: str, module: nn.Module, x: Tensor, shape: Shape) -> Tensor:
    """Every second pixel, and channels of zeros on both sides."""
    assert isinstance(module, OptionAShortcut)
    *maps, channels = shape
    taken = (*maps, channels - 2 * module.padding)
    x = _pool(emitter, f"{name}/subsampled", x, taken, (1, 1), (2, 2), schema.Padding.VALID)
    borders = [*[(0, 0)] * 3, (module.padding, module.padding)]
    return emitter.bordered(name, x, borders)


_MODULES: Final[Mapping[type, _Write]] = {
    QuantStub: _quant,
    DeQuantStub: _same,
    nn.Conv2d: _layer,
    ConvReLU2d: _layer,
    ConvClip2d: _layer,
    nn.Linear: _layer,
    LinearReLU: _layer,
    nn.MaxPool2d: _max_pool,
    nn.AdaptiveAvgPool2d: _global_pool,
    OptionAShortcut: _shortcut,
}
