"""The fused network as a flat list of operations with names: one trace for FX and for ONNX."""

from collections.abc import Iterator

from torch import fx, nn
from torch.ao.nn.intrinsic import ConvReLU2d
from torch.ao.quantization import DeQuantStub, QuantStub

from eightbit.models.cifar import OptionAShortcut

# Name of the network's quantized input; every other tensor bears the name of the module that
# produces it, and those that keep their input's parameters (pooling) have none of their own.
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
    """Name of the quantized tensor that a node of the graph produces, None if it has none."""
    if node.op == "call_function":
        return node.meta.get(OBSERVER_SUFFIX)
    if node.op != "call_module":
        return None
    module = traced.get_submodule(str(node.target))
    if isinstance(module, QuantStub):
        return INPUT
    if isinstance(module, nn.Conv2d | nn.Linear | ConvReLU2d):
        return str(node.target)
    return None


def residual_adds(traced: fx.GraphModule) -> Iterator[str]:
    """Names of the residual adds, in order of execution."""
    for node in traced.graph.nodes:
        if node.op == "call_function" and (name := tensor_name(traced, node)) is not None:
            yield name


def source_name(traced: fx.GraphModule, node: fx.Node) -> str:
    """Name of the quantized tensor whose parameters a node's output has.

    Pooling, flattening and the shortcut move integers and keep their scale, so the answer is
    that of the nearest named tensor upstream.
    """
    name = tensor_name(traced, node)
    return source_name(traced, node.all_input_nodes[0]) if name is None else name


def input_names(traced: fx.GraphModule) -> dict[str, str]:
    """For every convolution and linear layer, the name of the quantized tensor that it reads."""
    return {
        str(node.target): source_name(traced, node.all_input_nodes[0])
        for node in traced.graph.nodes
        if node.op == "call_module" and tensor_name(traced, node) not in (None, INPUT)
    }
