"""Layers, sums and pools in LiteRT's operators: int8, or float where a recipe says so."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from torch import nn

from eightbit.benchmarks.runtimes.runners.litert_runner import MEAN_SUFFIX
from eightbit.calibration import QuantDType, QuantParams, bias_params
from eightbit.models.errors import InputError
from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.networks.quantizable import ConvReLU2d, DeQuantStub, LinearReLU, QuantStub
from eightbit.quantize.litert.emitter import Emitter, last
from eightbit.quantize.litert.graph import Operator, Shape, Tensor
from eightbit.quantize.litert.windows import Window, windows
from eightbit.quantize.network.fusion import float_parameters
from eightbit.quantize.network.graph import INPUT
from eightbit.quantize.network.operators import ConvClip2d, activation_of, layer_of
from eightbit.quantize.recipe.integers import weight_integers

Activation: Final = schema.ActivationFunctionType
_Write = Callable[[Emitter, str, Any, Tensor, Shape], Tensor]
_WriteLayer = Callable[[Emitter, str, Any, Tensor, Tensor, Any], Tensor]

_HEADROOM: Final = 2
_WIDEST: Final = 2**15 - 1
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
    given = emitter.grid(name)
    if x.params is None or emitter.layer(name) is None:
        code = activation_code(activation, name)
        real = emitter.graph.tensor(name, shape)
        return emitter.rounded(write(emitter, name, layer, emitter.real(x), real, code), given)
    # An upper bound is where the grid ends: a recipe is held to that.
    code = Activation.RELU if isinstance(activation, nn.ReLU) else Activation.NONE
    if given is not None:
        return write(emitter, name, layer, x, emitter.graph.tensor(name, shape, given), code)
    given_wide = emitter.graph.wide_tensor(name, shape, _logits_scale(emitter, name))
    return emitter.real(write(emitter, name, layer, emitter.widened(x), given_wide, code))


def _logits_scale(emitter: Emitter, name: str) -> float:
    """The scale of logits, which no other artefact rounds: LiteRT's integer layers give integers.

    Eight bits would make ties of the two best classes. With int16 a step is a 64th of what
    artefacts are compared in, and logits twice as large as those of calibration are not cut.
    """
    last_bit = emitter.last_bit(name)
    if last_bit is None:
        raise InputError(
            f"{name}: expected a layer whose result is rounded, found one whose result is not, "
            "which LiteRT cannot compute in integers; leave litert out of --formats"
        )
    return _HEADROOM * QuantDType.UINT8.qmax * last_bit / _WIDEST


def _parameters(
    emitter: Emitter, name: str, layer: nn.Conv2d | nn.Linear, x: Tensor, depthwise: bool
) -> list[Tensor]:
    """Weight and bias: integers where the input is. Weights OHWI; of depthwise layers 1HWO."""
    scale = x.wide_scale if x.params is None else x.params.scale[0]
    weight: npt.NDArray[Any]
    bias: npt.NDArray[Any]
    weight_grid = bias_grid = None
    params = emitter.layer(name)
    if scale is None or params is None:
        weight, bias = float_parameters(layer)
    else:
        weight = weight_integers(layer, params).astype(np.int8)
        # As large as sums of products are: of int16 numbers, in 64 bits.
        bias = np.array(params.bias, np.int32 if x.wide_scale is None else np.int64)
        weight_grid, bias_grid = params.weight, bias_params(params.weight, scale)
    if weight.ndim == 4:
        order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
        weight = weight.transpose(order)
    axis = 3 if depthwise else 0
    return [
        emitter.graph.constant(f"{name}.weight", np.ascontiguousarray(weight), weight_grid, axis),
        emitter.graph.constant(f"{name}.bias", bias, bias_grid),
    ]


def _convolution(
    emitter: Emitter,
    name: str,
    conv: nn.Conv2d,
    x: Tensor,
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
    depthwise = conv.groups == conv.in_channels > 1
    parameters = _parameters(emitter, name, conv, x, depthwise)
    x, padding = emitter.windowed(name, x, over)
    options: Any = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
    if depthwise:
        options.depthMultiplier = conv.out_channels // conv.in_channels
    options.padding, options.fusedActivationFunction = padding, activation
    options.strideH, options.strideW = conv.stride
    options.dilationHFactor, options.dilationWFactor = conv.dilation
    code = Operator.DEPTHWISE_CONV_2D if depthwise else Operator.CONV_2D
    return emitter.graph.operator(code, [x, *parameters], given, options)


def _linear(
    emitter: Emitter,
    name: str,
    linear: nn.Linear,
    x: Tensor,
    given: Tensor,
    activation: int,
) -> Tensor:
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = activation
    inputs = [x, *_parameters(emitter, name, linear, x, depthwise=False)]
    return emitter.graph.operator(Operator.FULLY_CONNECTED, inputs, given, options)


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
