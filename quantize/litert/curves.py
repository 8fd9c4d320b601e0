"""Functions of one number, which LiteRT computes in float: its kernels have no tables of ours."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ai_edge_litert import schema_py_generated as schema

from eightbit.quantize.litert.call import Call
from eightbit.quantize.litert.graph import Operator, Tensor
from eightbit.quantize.network.operators import FLOAT

_Write = Callable[[Call], Tensor]


def clipped(call: Call, x: Tensor, low: float | None, high: float | None) -> Tensor:
    """Real numbers kept between two bounds."""
    real = call.emitter.real(x)
    if high is None:
        assert low is not None
        return call.elementwise(Operator.MAXIMUM, [real, call.number("low", low)])
    if low is not None:
        real = call.step("raised", Operator.MAXIMUM, [real, call.number("low", low)])
    return call.elementwise(Operator.MINIMUM, [real, call.number("high", high)])


def _real(call: Call) -> Tensor:
    return call.emitter.real(call.sources[0])


def _plain(code: int) -> _Write:
    return lambda call: call.elementwise(code, [_real(call)])


def _clamp(call: Call) -> Tensor:
    return clipped(call, call.sources[0], call.argument(1, "min"), call.argument(2, "max"))


def _hard_sigmoid(call: Call) -> Tensor:
    """``relu6(x + 3) / 6``, torch's definition."""
    options = schema.AddOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU6
    moved = call.step("moved", Operator.ADD, [_real(call), call.number("three", 3.0)], options)
    return call.elementwise(Operator.DIV, [moved, call.number("six", 6.0)], schema.DivOptionsT())


def _gelu(call: Call) -> Tensor:
    options = schema.GeluOptionsT()
    options.approximate = call.argument(1, "approximate", "none") == "tanh"
    return call.elementwise(Operator.GELU, [_real(call)], options)


def _leaky_relu(call: Call) -> Tensor:
    options = schema.LeakyReluOptionsT()
    options.alpha = float(call.argument(1, "negative_slope", 0.01))
    return call.elementwise(Operator.LEAKY_RELU, [_real(call)], options)


def _by_number(code: int, options: Callable[[], Any]) -> _Write:
    def write(call: Call) -> Tensor:
        if call.argument(2, "alpha", 1) != 1:
            raise call.unwritten("a sum with a factor")
        by = call.number("by", float(call.argument(1)))
        return call.elementwise(code, [_real(call), by], options())

    return write


CURVES: Final[Mapping[Any, _Write]] = {
    FLOAT[f"float.{name}"]: write
    for name, write in {
        "sigmoid.default": _plain(Operator.LOGISTIC),
        "hardswish.default": _plain(Operator.HARD_SWISH),
        "tanh.default": _plain(Operator.TANH),
        "hardsigmoid.default": _hard_sigmoid,
        "gelu.default": _gelu,
        "leaky_relu.default": _leaky_relu,
        "clamp.default": _clamp,
        "add.Scalar": _by_number(Operator.ADD, schema.AddOptionsT),
        "sub.Scalar": _by_number(Operator.SUB, schema.SubOptionsT),
        "mul.Scalar": _by_number(Operator.MUL, schema.MulOptionsT),
        "div.Scalar": _by_number(Operator.DIV, schema.DivOptionsT),
    }.items()
}
