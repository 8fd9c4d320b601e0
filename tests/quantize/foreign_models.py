"""Models as others make them: by ONNX Runtime's quantizer, and by hand with one thing wrong."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 8


class GraphOfOneLayer:
    """The nodes of a graph in QDQ form, with names that tests can change."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}
        self.inputs: list[onnx.ValueInfoProto] = []

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: object) -> str:
        self.constants[name] = np.asarray(value)
        return name

    def quantize(self, x: str, zero_point: int = 0, dtype: type = np.uint8) -> str:
        """A pair around tensor ``x``; returns its dequantized form."""
        grid = [
            self.constant(f"{x}_scale", np.float32(0.05)),
            self.constant(f"{x}_zero_point", dtype(zero_point)),
        ]
        self.node("QuantizeLinear", [x, *grid], f"{x}_q")
        return self.node("DequantizeLinear", [f"{x}_q", *grid], f"{x}_dq")

    def convolution(self, x: str, channels: int = 4, weight: str | None = None) -> str:
        """Eight output channels, the even ones with pairs of large weights."""
        if weight is None:
            integers = np.ones((8, channels, 3, 3), np.int8)
            integers[::2] = 127
            self.constant("w", integers)
            self.constant("w_scale", np.full(8, 0.01, np.float32))
            self.constant("w_zero_point", np.zeros(8, np.int8))
            weight = self.node("DequantizeLinear", ["w", "w_scale", "w_zero_point"], "w_dq", axis=0)
        return self.node("Conv", [x, weight], "conv", kernel_shape=[3, 3], pads=[1] * 4)

    def model(self, output: str, *, opset: int = 17, batch: int | str = "n") -> onnx.ModelProto:
        self.node("Identity", [output], "y")
        shape = [batch, 4, SIDE, SIDE]
        graph = helper.make_graph(
            self.nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape), *self.inputs],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, None, None, None])],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        imports = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=imports, ir_version=8)


def one_convolution(
    after: Callable[[GraphOfOneLayer], str] | None = None, **options: object
) -> onnx.ModelProto:
    """A quantized convolution, followed by what a test wants instead of a rounding."""
    graph = GraphOfOneLayer()
    graph.convolution(graph.quantize("x"))
    return graph.model(after(graph) if after else graph.quantize("conv"), **options)


def residual_network() -> onnx.ModelProto:
    """A small float network with one residual add."""
    rng = np.random.default_rng(0)
    shapes = {"w1": (16, 3, 3, 3), "b1": 16, "w2": (16, 16, 3, 3), "b2": 16, "w": (10, 16), "b": 10}
    constants = {k: rng.standard_normal(v).astype(np.float32) / 3 for k, v in shapes.items()}
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], name="conv1", **pads),
        helper.make_node("Relu", ["c1"], ["r1"], name="relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], name="conv2", **pads),
        helper.make_node("Add", ["c2", "r1"], ["a"], name="add"),
        helper.make_node("Relu", ["a"], ["r2"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["r2"], ["p"], name="pool"),
        helper.make_node("Flatten", ["p"], ["f"], name="flatten"),
        helper.make_node("Gemm", ["f", "w", "b"], ["y"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantized_by_onnxruntime(
    folder: Path, network: onnx.ModelProto | None = None, **options: object
) -> Path:
    """A network, the residual one if none is given, as `quantize_static` makes it."""
    from onnxruntime.quantization import CalibrationDataReader, quantize_static

    class Noise(CalibrationDataReader):
        def __init__(self) -> None:
            rng = np.random.default_rng(1)
            shape = (1, 3, SIDE, SIDE)
            self._batches = iter(rng.standard_normal((4, *shape)).astype(np.float32))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"x": batch}

    path = folder / "foreign.onnx"
    quantize_static(network or residual_network(), path, Noise(), **options)
    return path
