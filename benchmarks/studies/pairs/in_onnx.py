"""The layers of `layers` as an ONNX model in QDQ form, written with nothing but `onnx`.

It is an image classifier that any runner can load: the image is repeated to as many channels as a
layer has and rounded with a scale of 1; what the layers give is the logits.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from eightbit.benchmarks.runtimes.runner import AnyArray
from eightbit.benchmarks.studies.pairs.layers import OUTPUT_SCALE, Layer

_OPSET: Final = 17
_IR_VERSION: Final = 9

_OUTPUT_GRID: Final = ("output_scale", "zero")


def write_onnx(layers: Sequence[Layer], path: Path) -> None:
    """Write layers that read the same image as one ONNX model.

    Args:
        layers: Their values are the logits, one layer after the other.
        path: The .onnx file.
    """
    graph = _Graph()
    graph.constants |= {"one": np.float32(1), "zero": np.uint8(0), "from": np.array([0])}
    graph.constants |= {"axis": np.array([1]), "output_scale": np.float32(OUTPUT_SCALE)}
    values = [_layer(graph, layer, f"layer{number}") for number, layer in enumerate(layers)]
    graph.add("Concat", values, "logits", axis=1)
    onnx.save(graph.model(), path)


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, AnyArray | np.generic] = {}

    def add(self, op: str, inputs: Iterable[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "pairs",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, "h", "w"])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", "values"])],
            [numpy_helper.from_array(np.asarray(x), name) for name, x in self.constants.items()],
        )
        opset = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)
        onnx.checker.check_model(model)
        return model


def _layer(graph: _Graph, layer: Layer, name: str) -> str:
    """All convolutions of a layer, their values flattened and put together."""
    x = _input(graph, layer, name)
    weights = layer.weights()
    outputs = weights.shape[1]
    graph.constants |= {
        f"{name}/scales": np.ones(outputs, np.float32),
        f"{name}/zeros": np.zeros(outputs, np.int8),
        f"{name}/bias": np.zeros(outputs, np.int32),
    }
    parts = []
    for number, weight in enumerate(weights):
        part = f"{name}/{number}"
        graph.constants[f"{part}/weight"] = weight
        grid = (f"{name}/scales", f"{name}/zeros")
        inputs = (
            x,
            graph.add("DequantizeLinear", [f"{part}/weight", *grid], f"{part}/w", axis=0),
            graph.add("DequantizeLinear", [f"{name}/bias", f"{name}/scales"], f"{part}/b", axis=0),
        )
        if layer.kernel is None:
            # Without a QuantizeLinear behind it, as eightbit writes classifiers.
            parts.append(graph.add("Gemm", inputs, part, transB=1))
            continue
        sums = graph.add(
            "Conv",
            inputs,
            f"{part}/sums",
            kernel_shape=[layer.kernel] * 2,
            strides=[layer.stride] * 2,
            pads=[layer.kernel // 2] * 4,
            group=layer.groups,
        )
        integers = graph.add("QuantizeLinear", [sums, *_OUTPUT_GRID], f"{part}/integers")
        real = graph.add("DequantizeLinear", [integers, *_OUTPUT_GRID], f"{part}/real")
        parts.append(graph.add("Flatten", [real], part))
    return graph.add("Concat", parts, name, axis=1)


def _input(graph: _Graph, layer: Layer, name: str) -> str:
    """The image as the layer's input, rounded."""
    graph.constants |= {
        f"{name}/to": np.array([layer.planes]),
        f"{name}/zero_point": np.uint8(layer.zero_point),
    }
    repeated = graph.add("Concat", ["image"] * layer.repeats, f"{name}/repeated", axis=1)
    x = graph.add("Slice", [repeated, "from", f"{name}/to", "axis"], f"{name}/planes")
    if layer.kernel is None:
        x = graph.add("Flatten", [x], f"{name}/flat")
    grid = ("one", f"{name}/zero_point")
    integers = graph.add("QuantizeLinear", [x, *grid], f"{name}/integers")
    return graph.add("DequantizeLinear", [integers, *grid], f"{name}/x")
