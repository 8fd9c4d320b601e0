"""The network as ONNX, float or quantized: our own placement of every integer.

A dozen operators make a ResNet; each has one emitter in the table below. The quantized graph is in
QDQ form, from which ONNX Runtime makes QLinearConv, QLinearAdd, QGemm and integer pooling; `audit`
checks that it did.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import fx, nn

from eightbit.benchmarks.artifact.formats import ONNX_METADATA_KEY
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.networks.quantizable import ConvReLU2d, DeQuantStub, LinearReLU, QuantStub
from eightbit.models.torch_state import own_state
from eightbit.quantize.artifacts.onnx_functions import clip, write_function
from eightbit.quantize.artifacts.onnx_graph import GraphWriter, Value
from eightbit.quantize.artifacts.onnx_opset import in_opset
from eightbit.quantize.artifacts.pixel_input import write_input
from eightbit.quantize.config import OPSET
from eightbit.quantize.network.graph import INPUT, attribute, inputs_of
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.operators import ConvClip2d, activation_of, layer_of
from eightbit.quantize.recipe.quantized import Quantized

# ONNX Runtime's direct convolution takes input channels by so many.
_PACKED_CHANNELS: Final = 4

INPUT_NAME: Final = "input"
OUTPUT_NAME: Final = "output"


@own_state()
def export_onnx(quantized: Quantized, metadata: ArtifactMetadata, path: Path) -> None:
    """Write the quantized network to ``path``, deterministically, in the opset of its recipe.

    Input: as the metadata say, by default float32 (batch, 3, H, W); output: float32. The
    batch is free.

    Raises:
        InputError: The opset lacks an operator.
    """
    model = _written(quantized.network, GraphWriter(quantized.recipe), metadata)
    _save(model, metadata, quantized.recipe.config.opset, path)


@own_state()
def export_float_onnx(
    network: Network, metadata: ArtifactMetadata, path: Path, opset: int = OPSET
) -> None:
    """Write the float network to ``path``, with the same input and output.

    Raises:
        InputError: The opset lacks an operator.
    """
    _save(_written(network, GraphWriter(None), metadata), metadata, opset, path)


def _save(model: onnx.ModelProto, metadata: ArtifactMetadata, opset: int, path: Path) -> None:
    model = in_opset(model, opset)
    helper.set_model_props(model, {ONNX_METADATA_KEY: metadata.to_json()})
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _written(network: Network, writer: GraphWriter, metadata: ArtifactMetadata) -> onnx.ModelProto:
    values: dict[fx.Node, Value] = {}
    for node in network.graph.nodes:
        sources = [values[source] for source in inputs_of(node)]
        if node.op == "placeholder":
            values[node] = Value(real=write_input(writer, INPUT_NAME, metadata))
        elif node.op == "output":
            writer.rename(sources[0].real, OUTPUT_NAME)
        else:
            values[node] = _emit(writer, network.traced, node, sources)
    interface = _interface(network.module, metadata)
    return writer.model(metadata.spec.architecture, *interface, opset=OPSET)


def _interface(
    module: nn.Module, metadata: ArtifactMetadata
) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]:
    """The graph's input and output; the output's shape is asked of the network itself."""
    preprocessing, taken = metadata.spec.preprocessing, metadata.input
    with torch.inference_mode():
        output = module(torch.zeros(1, 3, *preprocessing.crop_size))
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(taken.dtype))
    return (
        helper.make_tensor_value_info(
            INPUT_NAME, kind, ["batch", *taken.image_shape(preprocessing.crop)]
        ),
        helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["batch", *output.shape[1:]]),
    )


def _emit(
    writer: GraphWriter, traced: fx.GraphModule, node: fx.Node, sources: list[Value]
) -> Value:
    """Write one node of the trace; returns the value that it produces."""
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        return _MODULES[type(module)](writer, str(node.target), module, sources[0])
    if node.op == "get_attr":
        value = attribute(traced, str(node.target)).detach().contiguous().numpy()
        return Value(real=writer.constant(str(node.target), value))
    return write_function(writer, traced, node, sources)


def _quant(writer: GraphWriter, name: str, module: nn.Module, x: Value) -> Value:
    return writer.activation(x.real, INPUT)


def _dequant(writer: GraphWriter, name: str, module: nn.Module, x: Value) -> Value:
    return x


def _convolution(writer: GraphWriter, name: str, module: nn.Module, x: Value) -> Value:
    conv = layer_of(module)
    assert isinstance(conv, nn.Conv2d)
    x, zeros = _packed(writer, name, conv, x)
    parameters = writer.parameters(name, conv, x, zeros=zeros)
    real = writer.node(
        "Conv",
        [writer.layer_input(name, x, conv.in_channels), *parameters],
        f"{name}/conv",
        kernel_shape=list(conv.kernel_size),
        strides=list(conv.stride),
        pads=[*conv.padding, *conv.padding],
        dilations=list(conv.dilation),
        group=conv.groups,
    )
    return writer.activation(_activated(writer, name, activation_of(module), real), name)


def _activated(writer: GraphWriter, name: str, activation: nn.Module | None, real: str) -> str:
    """Write what a layer does behind its sums; returns the ONNX name of the result."""
    if isinstance(activation, nn.Hardtanh):
        # Where the result is rounded, its grid ends at the bounds.
        return real if writer.rounds(name) else clip(writer, real, activation, f"{name}/clip")
    return real if activation is None else writer.node("Relu", [real], f"{name}/relu")


def _packed(writer: GraphWriter, name: str, conv: nn.Conv2d, x: Value) -> tuple[Value, int]:
    """The input with channels of zeros up to a multiple of four, and the number of those added.

    So the first convolution, of three channels, gets ONNX Runtime's direct kernel, which takes
    channels by four, instead of a copy of every patch and a matrix product: a quarter less time.
    They are added before the input is rounded: converters take padding with real zeros. What an
    operation computes has to be rounded right behind it, or it is none in integers.
    """
    zeros = -conv.in_channels % _PACKED_CHANNELS
    if not zeros or conv.groups > 1 or not writer.is_integer(name, x) or x.unrounded is None:
        return x, 0
    if x.tensor != INPUT:
        return x, 0
    pads = writer.constant(f"{name}.pads", np.array([0, 0, 0, 0, 0, zeros, 0, 0], np.int64))
    padded = writer.node("Pad", [x.unrounded, pads], f"{name}/padded")
    return writer.activation(padded, x.tensor), zeros


def _linear(writer: GraphWriter, name: str, module: nn.Module, x: Value) -> Value:
    linear, activation = layer_of(module), activation_of(module)
    assert isinstance(linear, nn.Linear)
    inputs = [writer.layer_input(name, x, linear.in_features), *writer.parameters(name, linear, x)]
    real = writer.node("Gemm", inputs, name, transB=1)
    return writer.activation(_activated(writer, name, activation, real), name)


def _max_pool(writer: GraphWriter, name: str, module: nn.Module, x: Value) -> Value:
    assert isinstance(module, nn.MaxPool2d)
    kernel, stride, padding, dilation = (
        [size, size] if isinstance(size, int) else list(size)
        for size in (module.kernel_size, module.stride, module.padding, module.dilation)
    )
    unusual: dict[str, Any] = {} if dilation == [1, 1] else {"dilations": dilation}
    if module.ceil_mode:
        unusual["ceil_mode"] = 1
    real = writer.node(
        "MaxPool",
        [x.real],
        name,
        kernel_shape=kernel,
        strides=stride,
        pads=[*padding, *padding],
        **unusual,
    )
    return writer.activation(real, x.tensor)


def _average_pool(writer: GraphWriter, name: str, module: nn.Module, x: Value) -> Value:
    # GlobalAveragePool, not ReduceMean: only the former has an integer kernel.
    return writer.activation(writer.node("GlobalAveragePool", [x.real], name), name)


def _shortcut(writer: GraphWriter, name: str, module: nn.Module, x: Value) -> Value:
    """Every second pixel, and channels of zeros on both sides.

    Written on the integers themselves: ONNX Runtime has no rule that takes a
    DequantizeLinear/QuantizeLinear pair away from around a Pad. A pool of single pixels, not a
    Slice: OpenCV 4 gets strided slices of integers wrong.
    """
    assert isinstance(module, OptionAShortcut)
    borders = np.array([0, module.padding, 0, 0, 0, module.padding, 0, 0], np.int64)
    pads = writer.constant(f"{name}.pads", borders)
    subsampled = writer.node(
        "MaxPool", [x.stored], f"{name}/subsampled", kernel_shape=[1, 1], strides=[2, 2]
    )
    padded = writer.node("Pad", [subsampled, pads, writer.zero(x)], name)
    return writer.stored(padded, x.tensor)


_MODULES: Final[Mapping[type, Callable[[GraphWriter, str, nn.Module, Value], Value]]] = {
    QuantStub: _quant,
    DeQuantStub: _dequant,
    nn.Conv2d: _convolution,
    ConvReLU2d: _convolution,
    ConvClip2d: _convolution,
    nn.Linear: _linear,
    LinearReLU: _linear,
    nn.MaxPool2d: _max_pool,
    nn.AdaptiveAvgPool2d: _average_pool,
    OptionAShortcut: _shortcut,
}
