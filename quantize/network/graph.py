"""The fused network as a flat list of operations with names: one trace for FX and for ONNX."""

from collections.abc import Iterator
from typing import Any, Final, cast

import torch
from torch import fx, nn

from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.networks.quantizable import ConvReLU2d, DeQuantStub, LinearReLU, QuantStub
from eightbit.quantize.network.operators import FUSED, ConvClip2d, Kind, function_kind

# Name of the network's quantized input; every other tensor bears the name of the module that
# produces it, and those that keep their input's parameters (max pooling) have none of their own.
INPUT: Final = "input"

# torch's own name for the place where an observer sits.
OBSERVER_SUFFIX: Final = ".activation_post_process"

_TENSOR: Final = "tensor"
_KIND: Final = "kind"


_KINDS: Final = {
    nn.Conv2d: Kind.CONV,
    ConvReLU2d: Kind.CONV,
    ConvClip2d: Kind.CONV,
    nn.Linear: Kind.LINEAR,
    LinearReLU: Kind.LINEAR,
    nn.MaxPool2d: Kind.POOL,
    nn.AdaptiveAvgPool2d: Kind.POOL,
}


class _Tracer(fx.Tracer):
    """Stops at the modules that one integer operation replaces."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        leaf = isinstance(m, (*FUSED, QuantStub, DeQuantStub, OptionAShortcut))
        return leaf or super().is_leaf_module(m, module_qualified_name)


def trace(fused: nn.Module) -> fx.GraphModule:
    """Trace a fused network into a graph module that shares its parameters.

    What fusion emptied is gone; `tensor_name` and `operation_kind` read its nodes.
    """
    graph = _Tracer().trace(fused)
    for node in list(graph.nodes):
        if node.op != "call_module" or type(fused.get_submodule(node.target)) is not nn.Identity:
            continue
        (source,) = node.args
        if node.target.endswith(OBSERVER_SUFFIX):
            # FloatFunctional passes its sum through a place for an observer: that is its name.
            source.meta[_TENSOR] = node.target.removesuffix(OBSERVER_SUFFIX)
            source.meta[_KIND] = function_kind(source)
        node.replace_all_uses_with(source)
        graph.erase_node(node)
    traced = fx.GraphModule(fused, graph)
    for node in traced.graph.nodes:
        if node.op == "call_module":
            module = traced.get_submodule(str(node.target))
            node.meta[_KIND] = _KINDS.get(type(module))
            if isinstance(module, QuantStub):
                node.meta[_TENSOR] = INPUT
            elif node.meta[_KIND] is not None and not isinstance(module, nn.MaxPool2d):
                node.meta[_TENSOR] = str(node.target)
    return traced


def tensor_name(node: fx.Node) -> str | None:
    """Name of the tensor that a node of a trace produces, None if it keeps its input's."""
    return cast("str | None", node.meta.get(_TENSOR))


def operation_kind(node: fx.Node) -> Kind | None:
    """What a node of a trace computes, for counting operators; None if it only moves numbers."""
    return cast("Kind | None", node.meta.get(_KIND))


def inputs_of(node: fx.Node) -> list[fx.Node]:
    """The nodes that a node reads, in order; one that it reads twice stands there twice."""
    found: list[fx.Node] = []
    fx.map_arg((node.args, node.kwargs), found.append)
    return found


def attribute(traced: fx.GraphModule, target: str) -> torch.Tensor:
    """The weights that a node of a trace reads by their name."""
    path, _, name = target.rpartition(".")
    tensor: torch.Tensor = getattr(traced.get_submodule(path), name)
    return tensor


def part(traced: fx.GraphModule, node: fx.Node) -> Any:
    """The module or the weights that a node of a trace reads."""
    target = str(node.target)
    return attribute(traced, target) if node.op == "get_attr" else traced.get_submodule(target)


def source_name(node: fx.Node) -> str:
    """Name of the tensor whose parameters a node's output has: the nearest named one upstream.

    Max pooling, flattening and the shortcut keep their input's scale.
    """
    name = tensor_name(node)
    return source_name(inputs_of(node)[0]) if name is None else name


def sources(node: fx.Node) -> Iterator[str]:
    """Names of the tensors that a node reads, itself or through what keeps their parameters."""
    for source in inputs_of(node):
        name = tensor_name(source)
        if name is None:
            yield from sources(source)
        else:
            yield name
