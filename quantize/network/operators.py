"""The operators of a traced network that are functions of torch, by what quantization does to them.

A network is written in torch's layers and, for what has no weights, in the functions below. Those
that move numbers keep the scale of what they read; those that make new numbers have a tensor of
their own. `FLOAT` ones are computed in float between a dequantize and a quantize.
"""

import copy
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch._ops import OpOverload

from eightbit.models.networks.quantizable import ConvReLU2d, LinearReLU


class Kind(StrEnum):
    """What an operation computes; an artefact's operators are counted by it."""

    CONV = "conv"
    LINEAR = "linear"
    ADD = "add"
    POOL = "pool"
    CONCAT = "concat"
    PRODUCT = "product"
    FLOAT = "float"


class ConvClip2d(nn.Sequential):
    """A convolution whose result is kept between two bounds, such as 0 and 6; one tensor."""

    def __init__(self, convolution: nn.Conv2d, clip: nn.Hardtanh) -> None:
        super().__init__(convolution, clip)


FUSED: Final = (ConvReLU2d, LinearReLU, ConvClip2d)


def layer_of(module: nn.Module) -> nn.Module:
    """The layer with weights of a fused pair; any other module itself."""
    if isinstance(module, FUSED):
        layer: nn.Module = module[0]
        return layer
    return module


def activation_of(module: nn.Module) -> nn.Module | None:
    """What a fused pair does behind its layer, None for any other module."""
    if isinstance(module, FUSED):
        activation: nn.Module = module[1]
        return activation
    return None


def by_name(network: nn.Module) -> nn.Module:
    """A network whose operators TorchScript knows: it finds the overload of a name itself.

    The parameters are shared.
    """
    if not isinstance(network, fx.GraphModule):
        return network
    graph = copy.deepcopy(network.graph)
    for node in graph.nodes:
        node.target = getattr(node.target, "overloadpacket", node.target)
    return fx.GraphModule(network, graph)


_aten = torch.ops.aten

# Choose or rearrange numbers, or put zeros beside them: integers in, integers of the same grid out.
MOVING: Final[Mapping[str, OpOverload[Any, Any]]] = {
    "reshape": _aten.reshape.default,
    "permute": _aten.permute.default,
    "slice": _aten.slice.Tensor,
    "pad": _aten.constant_pad_nd.default,
    "reflect": _aten.reflection_pad2d.default,
    "upsample_nearest": _aten.upsample_nearest2d.vec,
    "rectify": _aten.relu.default,
}

CONCAT: Final = _aten.cat.default
AVERAGE_POOL: Final = _aten.avg_pool2d.default
CLIP: Final = _aten.hardtanh.default
PRODUCT: Final = _aten.mul.Tensor

# Compute one tensor from tensors and numbers, deterministically and without side effects.
_FLOAT: Final = (
    *("abs.default", "add.Scalar", "add.Tensor", "amax.default", "amin.default"),
    *("batch_norm.default", "bmm.default", "clamp.default", "conv1d.default", "conv2d.default"),
    *("conv_transpose2d.input", "div.Scalar", "div.Tensor", "elu.default", "erf.default"),
    *("exp.default", "expand.default", "floor.default", "gelu.default", "group_norm.default"),
    *("hardsigmoid.default", "hardswish.default", "instance_norm.default", "layer_norm.default"),
    *("leaky_relu.default", "linalg_vector_norm.default", "linear.default", "log.default"),
    *("log1p.default", "log_softmax.int", "matmul.default"),
    *("maximum.default", "mean.dim", "minimum.default", "mish.default", "mul.Scalar"),
    *("mul.Tensor", "neg.default", "pow.Tensor_Scalar", "prelu.default", "reciprocal.default"),
    *("rsqrt.default", "rsub.Scalar", "select.int", "sigmoid.default"),
    *("softmax.int", "softplus.default", "sqrt.default", "sub.Scalar", "sub.Tensor"),
    *("sum.dim_IntList", "tanh.default"),
)


def _overload(name: str) -> OpOverload[Any, Any]:
    packet, _, overload = name.partition(".")
    operator: OpOverload[Any, Any] = getattr(getattr(_aten, packet), overload)
    return operator


FLOAT: Final[Mapping[str, OpOverload[Any, Any]]] = {
    f"float.{name}": _overload(name) for name in _FLOAT
}

# Every operator that a skeleton may name, by that name.
NAMED: Final[Mapping[str, Any]] = {
    "add": torch.add,
    "relu": F.relu,
    "flatten": torch.flatten,
    "clip": CLIP,
    "concat": CONCAT,
    "average_pool": AVERAGE_POOL,
    **MOVING,
    **FLOAT,
}
NAMES: Final[Mapping[Any, str]] = {target: name for name, target in NAMED.items()}

# What an operation makes of its own; the others keep the tensor that they read.
_KINDS: Final[Mapping[Any, Kind]] = {
    torch.add: Kind.ADD,
    CONCAT: Kind.CONCAT,
    AVERAGE_POOL: Kind.POOL,
    **dict.fromkeys(FLOAT.values(), Kind.FLOAT),
}


def function_kind(node: fx.Node) -> Kind | None:
    """What a call of a function computes; None if it only moves numbers.

    An activation behind a residual add belongs to it; a clip elsewhere computes in float, as does
    what puts other numbers than zero beside a tensor. A product is one of two tensors that depend
    on the images: by weights or by itself a tensor is multiplied in float.
    """
    if node.target is PRODUCT:
        is_product = len(set(node.all_input_nodes)) == 2 and not any(
            source.op == "get_attr" for source in node.all_input_nodes
        )
        return Kind.PRODUCT if is_product else Kind.FLOAT
    if node.target in (F.relu, CLIP):
        (source, *_) = node.args
        is_sum = isinstance(source, fx.Node) and source.target is torch.add
        return Kind.ADD if is_sum else Kind.FLOAT
    return _KINDS.get(node.target)


# Compute each number from one number of each input, by names of ATen's overloads.
ELEMENTWISE: Final = frozenset(
    {
        *("abs.default", "add.Scalar", "add.Tensor", "clamp.default", "div.Scalar", "div.Tensor"),
        *("elu.default", "erf.default", "exp.default", "gelu.default", "hardsigmoid.default"),
        *("hardswish.default", "leaky_relu.default", "log.default", "log1p.default"),
        *("maximum.default", "minimum.default", "mish.default", "mul.Scalar", "mul.Tensor"),
        *("neg.default", "pow.Tensor_Scalar", "reciprocal.default", "rsqrt.default"),
        *("rsub.Scalar", "sigmoid.default", "softplus.default", "sqrt.default", "sub.Scalar"),
        *("sub.Tensor", "tanh.default"),
    }
)
