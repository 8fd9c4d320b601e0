"""Operators that compute in float, in ONNX: torch's definitions in its own operators."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from torch import fx

from eightbit.models.errors import InputError
from eightbit.quantize.artifacts.onnx_graph import GraphWriter, Value
from eightbit.quantize.network.graph import attribute, tensor_name


@dataclass(frozen=True, kw_only=True)
class FloatCall:
    """A function's call, and where to write it."""

    writer: GraphWriter
    traced: fx.GraphModule
    node: fx.Node
    sources: Sequence[Value]

    @property
    def name(self) -> str:
        """The name of what it makes."""
        return tensor_name(self.node) or self.node.name

    def argument(self, place: int, default: Any = None) -> Any:
        """An argument by position; a node is itself."""
        arguments: Any = self.node.args
        return arguments[place] if place < len(arguments) else default

    def write(self, op: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """Append a node; its name is the call's, or ends in `to`."""
        return self.writer.node(op, inputs, f"{self.name}/{to}" if to else self.name, **attributes)

    def number(self, value: float, word: str) -> str:
        """ONNX name of a number."""
        return self.writer.constant(f"{self.name}.{word}", np.array(value, np.float32))

    def integers(self, values: Sequence[int], word: str) -> str:
        """ONNX name of a list of integers."""
        return self.writer.constant(f"{self.name}.{word}", np.array(values, np.int64))

    def real(self, place: int) -> str:
        """ONNX name of an argument as real numbers: a tensor, or a number."""
        value: Any = self.argument(place)
        if isinstance(value, fx.Node):
            return self.value(value).real
        return self.number(float(value), f"argument{place}")

    def value(self, node: fx.Node) -> Value:
        """The value of a node that is an argument."""
        # `sources` has a tensor twice where it is read twice.
        order: list[fx.Node] = []
        fx.map_arg((self.node.args, self.node.kwargs), order.append)
        return self.sources[order.index(node)]

    def shape(self, place: int) -> tuple[int, ...]:
        """Shape of an argument that is weights."""
        return tuple(attribute(self.traced, str(self.argument(place).target)).shape)


_Writer = Callable[[FloatCall], str]


def _elementwise(op: str) -> _Writer:
    return lambda call: call.write(op, call.real(0))


def _of_two(op: str) -> _Writer:
    def write(call: FloatCall) -> str:
        # Of an operator with a number torch gives it by position.
        alpha: Any = call.argument(2, 1) if op in ("Add", "Sub") else 1
        alpha = call.node.kwargs.get("alpha", alpha)
        other = call.real(1)
        if alpha != 1:
            other = call.write("Mul", other, call.number(float(alpha), "alpha"), to="scaled")
        return call.write(op, call.real(0), other)

    return write


def _reversed_difference(call: FloatCall) -> str:
    return call.write("Sub", call.real(1), call.real(0))


def _log1p(call: FloatCall) -> str:
    return call.write("Log", call.write("Add", call.real(0), call.number(1.0, "one"), to="above"))


def _rsqrt(call: FloatCall) -> str:
    return call.write("Reciprocal", call.write("Sqrt", call.real(0), to="root"))


def _mish(call: FloatCall) -> str:
    x = call.real(0)
    return call.write(
        "Mul", x, call.write("Tanh", call.write("Softplus", x, to="softplus"), to="tanh")
    )


def _gelu(call: FloatCall) -> str:
    x = call.real(0)
    if call.node.kwargs.get("approximate", "none") == "tanh":
        cube = call.write("Pow", x, call.number(3.0, "three"), to="cube")
        part = call.write("Mul", cube, call.number(0.044715, "cubic"), to="part")
        inner = call.write("Add", x, part, to="inner")
        scaled = call.write(
            "Mul", inner, call.number(math.sqrt(2 / math.pi), "factor"), to="scaled"
        )
        gate = call.write("Tanh", scaled, to="gate")
    else:
        scaled = call.write("Mul", x, call.number(math.sqrt(0.5), "factor"), to="scaled")
        gate = call.write("Erf", scaled, to="gate")
    above = call.write("Add", gate, call.number(1.0, "one"), to="above")
    half = call.write("Mul", x, call.number(0.5, "half"), to="halved")
    return call.write("Mul", half, above)


def _hard_sigmoid(call: FloatCall) -> str:
    return call.write("HardSigmoid", call.real(0), alpha=1 / 6, beta=0.5)


def _leaky_relu(call: FloatCall) -> str:
    return call.write("LeakyRelu", call.real(0), alpha=float(call.argument(1, 0.01)))


def _elu(call: FloatCall) -> str:
    """``alpha * scale * (exp(x * input_scale) - 1)`` below zero, ``scale * x`` above."""
    alpha, scale, input_scale = (float(call.argument(place, 1)) for place in (1, 2, 3))
    x = call.real(0)
    below = call.write("Min", x, call.number(0.0, "zero"), to="below")
    above = call.write("Relu", x, to="above")
    inner = call.write("Mul", below, call.number(input_scale, "input_scale"), to="inner")
    bent = call.write("Elu", inner, to="bent", alpha=alpha)
    return call.write("Mul", call.write("Add", bent, above, to="sum"), call.number(scale, "scale"))


def _softplus(call: FloatCall) -> str:
    beta = float(call.argument(1, 1))
    scaled = call.write("Mul", call.real(0), call.number(beta, "beta"), to="scaled")
    return call.write(
        "Div", call.write("Softplus", scaled, to="softplus"), call.number(beta, "beta")
    )


def _prelu(call: FloatCall) -> str:
    (channels,) = call.shape(1)
    shape = call.integers([channels, 1, 1] if channels > 1 else [1], "shape")
    return call.write("PRelu", call.real(0), call.write("Reshape", call.real(1), shape, to="slope"))


def _clamp(call: FloatCall) -> str:
    low, high = call.argument(1), call.argument(2)
    limits = [
        "" if bound is None else call.number(float(bound), word)
        for word, bound in (("low", low), ("high", high))
    ]
    return call.write("Clip", call.real(0), *limits)


def _softmax(op: str) -> _Writer:
    return lambda call: call.write(op, call.real(0), axis=int(call.argument(1)))


def _reduced(op: str) -> _Writer:
    """Over some axes; in opset 17 only a sum takes them as an input."""

    def write(call: FloatCall) -> str:
        axes = call.argument(1)
        axes = [axes] if isinstance(axes, int) else list(axes or ())
        keepdims = int(call.argument(2, False))
        if op == "ReduceSum":
            inputs = (call.real(0), call.integers(axes, "axes")) if axes else (call.real(0),)
            return call.write(op, *inputs, keepdims=keepdims)
        known: dict[str, Any] = {"axes": axes} if axes else {}
        return call.write(op, call.real(0), keepdims=keepdims, **known)

    return write


def _norm(call: FloatCall) -> str:
    order = call.argument(1, 2)
    if order != 2:
        raise InputError(f"{call.name}: expected a norm of order 2, found {order}")
    axes = list(call.argument(2) or ())
    known: dict[str, Any] = {"axes": axes} if axes else {}
    return call.write("ReduceL2", call.real(0), keepdims=int(call.argument(3, False)), **known)


def _layer_norm(call: FloatCall) -> str:
    size = tuple(call.argument(1))
    weight, bias = (
        call.real(place)
        if isinstance(call.argument(place), fx.Node)
        else call.writer.constant(f"{call.name}.{word}", np.full(size, value, np.float32))
        for place, word, value in ((2, "ones", 1), (3, "zeros", 0))
    )
    epsilon = float(call.argument(4, 1e-5))
    return call.write(
        "LayerNormalization", call.real(0), weight, bias, axis=-len(size), epsilon=epsilon
    )


def _group_norm(call: FloatCall) -> str:
    groups, x = int(call.argument(1)), call.real(0)
    parts = call.write("Reshape", x, call.integers([0, groups, -1], "parts"), to="parts")
    unit = [
        call.writer.constant(f"{call.name}.{word}", np.full(groups, value, np.float32))
        for word, value in (("ones", 1), ("zeros", 0))
    ]
    epsilon = float(call.argument(4, 1e-5))
    normal = call.write("InstanceNormalization", parts, *unit, to="normal", epsilon=epsilon)
    result = call.write("Reshape", normal, call.write("Shape", x, to="shape"), to="whole")
    return _per_channel(call, result, weight=2, bias=3)


def _per_channel(call: FloatCall, real: str, *, weight: int, bias: int) -> str:
    """Multiply channels of maps by a weight and add a bias, if there are any."""
    for place, op in ((weight, "Mul"), (bias, "Add")):
        if isinstance(call.argument(place), fx.Node):
            shape = call.integers([-1, 1, 1], "per_channel")
            factor = call.write("Reshape", call.real(place), shape, to=f"{op}_by")
            real = call.write(op, real, factor, to=op)
    return call.write("Identity", real)


def _instance_norm(call: FloatCall) -> str:
    return call.write(
        "InstanceNormalization",
        *(call.real(place) for place in range(3)),
        epsilon=float(call.argument(7, 1e-5)),
    )


def _batch_norm(call: FloatCall) -> str:
    inputs = [call.real(place) for place in range(5)]
    return call.write("BatchNormalization", *inputs, epsilon=float(call.argument(7, 1e-5)))


def _product(call: FloatCall) -> str:
    return call.write("MatMul", call.real(0), call.real(1))


def _linear(call: FloatCall) -> str:
    weight = call.write("Transpose", call.real(1), to="weight", perm=[1, 0])
    product = call.write("MatMul", call.real(0), weight, to="product")
    if not isinstance(call.argument(2), fx.Node):
        return call.write("Identity", product)
    return call.write("Add", product, call.real(2))


def _convolution(call: FloatCall) -> str:
    weight = call.argument(1)
    x = call.value(call.argument(0))
    groups = int(call.argument(6, 1))
    source = x.real
    if weight.op == "get_attr":
        source = call.writer.layer_input(call.name, x, call.shape(1)[1] * groups)
    inputs = [source, call.real(1)]
    if isinstance(call.argument(2), fx.Node):
        inputs.append(call.real(2))
    padding = list(call.argument(4))
    return call.write(
        "Conv",
        *inputs,
        strides=list(call.argument(3)),
        pads=[*padding, *padding],
        dilations=list(call.argument(5)),
        group=groups,
    )


def _transposed_convolution(call: FloatCall) -> str:
    source = call.writer.layer_input(call.name, call.value(call.argument(0)), call.shape(1)[0])
    inputs = [source, call.real(1)]
    if isinstance(call.argument(2), fx.Node):
        inputs.append(call.real(2))
    padding = list(call.argument(4))
    return call.write(
        "ConvTranspose",
        *inputs,
        strides=list(call.argument(3)),
        pads=[*padding, *padding],
        output_padding=list(call.argument(5)),
        group=int(call.argument(6)),
        dilations=list(call.argument(7)),
    )


def _expand(call: FloatCall) -> str:
    # In ONNX a one keeps what is there, as -1 does in torch.
    shape = [max(1, int(size)) for size in call.argument(1)]
    return call.write("Expand", call.real(0), call.integers(shape, "shape"))


def _select(call: FloatCall) -> str:
    index = call.writer.constant(f"{call.name}.index", np.array(call.argument(2), np.int64))
    return call.write("Gather", call.real(0), index, axis=int(call.argument(1)))


FLOAT_WRITERS: Final[Mapping[str, _Writer]] = {
    **{
        f"float.{name}.default": _elementwise(op)
        for name, op in {
            "abs": "Abs",
            "erf": "Erf",
            "exp": "Exp",
            "floor": "Floor",
            "hardswish": "HardSwish",
            "log": "Log",
            "neg": "Neg",
            "reciprocal": "Reciprocal",
            "sigmoid": "Sigmoid",
            "sqrt": "Sqrt",
            "tanh": "Tanh",
        }.items()
    },
    **{
        f"float.{name}.{kind}": _of_two(op)
        for name, op in {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div"}.items()
        for kind in ("Tensor", "Scalar")
    },
    "float.maximum.default": _of_two("Max"),
    "float.minimum.default": _of_two("Min"),
    "float.pow.Tensor_Scalar": _of_two("Pow"),
    "float.rsub.Scalar": _reversed_difference,
    "float.log1p.default": _log1p,
    "float.rsqrt.default": _rsqrt,
    "float.mish.default": _mish,
    "float.gelu.default": _gelu,
    "float.hardsigmoid.default": _hard_sigmoid,
    "float.leaky_relu.default": _leaky_relu,
    "float.elu.default": _elu,
    "float.softplus.default": _softplus,
    "float.prelu.default": _prelu,
    "float.clamp.default": _clamp,
    "float.softmax.int": _softmax("Softmax"),
    "float.log_softmax.int": _softmax("LogSoftmax"),
    "float.mean.dim": _reduced("ReduceMean"),
    "float.sum.dim_IntList": _reduced("ReduceSum"),
    "float.amax.default": _reduced("ReduceMax"),
    "float.amin.default": _reduced("ReduceMin"),
    "float.linalg_vector_norm.default": _norm,
    "float.layer_norm.default": _layer_norm,
    "float.group_norm.default": _group_norm,
    "float.instance_norm.default": _instance_norm,
    "float.batch_norm.default": _batch_norm,
    "float.matmul.default": _product,
    "float.bmm.default": _product,
    "float.linear.default": _linear,
    "float.conv1d.default": _convolution,
    "float.conv2d.default": _convolution,
    "float.conv_transpose2d.input": _transposed_convolution,
    "float.expand.default": _expand,
    "float.select.int": _select,
}
