"""The fused network as a flat list of operations with names: one trace for FX and for ONNX."""

from collections.abc import Iterator

from torch import fx, nn
from torch.ao.nn.intrinsic import ConvReLU2d
from torch.ao.quantization import DeQuantStub, QuantStub

from eightbit.models.networks.cifar import OptionAShortcut

# Name of the network's quantized input; every other tensor bears the name of the module that
# produces it, and those that keep their input's parameters (max pooling) have none of their own.
INPUT = "input"

# torch's own name for the place where an observer sits.
OBSERVER_SUFFIX = ".activation_post_process"


class _Tracer(fx.Tracer):
    """Stops at the modules that one integer operation replaces."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        leaf = isinstance(m, ConvReLU2d | QuantStub | DeQuantStub | OptionAShortcut)
        return leaf or super().is_leaf_module(m, module_qualified_name)


def trace(fused: nn.Module) -> fx.GraphModule:
    """Trace a fused network; what fusion emptied is gone, each residual add knows its name.

    Returns:
        A graph module that shares the network's parameters. `tensor_name` reads its names.
    """
    graph = _Tracer().trace(fused)
    for node in list(graph.nodes):
        if node.op != "call_module" or type(fused.get_submodule(node.target)) is not nn.Identity:
            continue
        (source,) = node.args
        if node.target.endswith(OBSERVER_SUFFIX):
            # FloatFunctional passes its sum through a place for an observer: that is its name.
            source.meta[OBSERVER_SUFFIX] = node.target.removesuffix(OBSERVER_SUFFIX)
        node.replace_all_uses_with(source)
        graph.erase_node(node)
    return fx.GraphModule(fused, graph)


def tensor_name(traced: fx.GraphModule, node: fx.Node) -> str | None:
    """Name of the tensor that a node of the graph produces, None if it keeps its input's."""
    if node.op == "call_function":
        return node.meta.get(OBSERVER_SUFFIX)
    if node.op != "call_module":
        return None
    module = traced.get_submodule(str(node.target))
    if isinstance(module, QuantStub):
        return INPUT
    if isinstance(module, nn.Conv2d | nn.Linear | ConvReLU2d | nn.AdaptiveAvgPool2d):
        return str(node.target)
    return None


def residual_adds(traced: fx.GraphModule) -> Iterator[str]:
    """Names of the residual adds, in order of execution."""
    for node in traced.graph.nodes:
        if node.op == "call_function" and (name := tensor_name(traced, node)) is not None:
            yield name


def source_name(traced: fx.GraphModule, node: fx.Node) -> str:
    """Name of the tensor whose parameters a node's output has.

    Max pooling, flattening and the shortcut move integers and keep their scale, so the answer is
    that of the nearest named tensor upstream.
    """
    name = tensor_name(traced, node)
    return source_name(traced, node.all_input_nodes[0]) if name is None else name


def input_names(traced: fx.GraphModule) -> dict[str, str]:
    """For every convolution and linear layer, the name of the tensor that it reads."""
    return {
        str(node.target): source_name(traced, node.all_input_nodes[0])
        for node in traced.graph.nodes
        if node.op == "call_module" and operation_kind(traced, node) in ("conv", "linear")
    }


def operation_kind(traced: fx.GraphModule, node: fx.Node) -> str | None:
    """What a node computes: "conv", "linear", "add" or "pool"; None if it only moves numbers.

    Max pooling has no tensor of its own, but a kind: an artefact's operators are counted by it.
    """
    if node.op == "call_function":
        return "add" if tensor_name(traced, node) is not None else None
    if node.op != "call_module":
        return None
    module = traced.get_submodule(str(node.target))
    kinds = {
        nn.Conv2d: "conv",
        ConvReLU2d: "conv",
        nn.Linear: "linear",
        nn.MaxPool2d: "pool",
        nn.AdaptiveAvgPool2d: "pool",
    }
    return kinds.get(type(module))
