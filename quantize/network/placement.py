"""Where a network computes in integers and where in float: one answer for every artefact.

A recipe promises some layers in float. What follows from that for the tensors between them is
decided here, and nowhere else:

* an integer operation reads and writes quantized tensors; only the classifier, whose result is
  the network's output, gives float logits (`logits_name`);
* what a float operation writes is quantized if an integer operation reads it, itself or through
  what keeps its parameters (max pooling, flattening, the shortcut); the input counts as written
  by a float operation;
* global average pooling is in integers unless it stands between float operations.
"""

from collections import Counter
from collections.abc import Collection, Iterator

from torch import fx, nn

from eightbit.quantize.network.graph import INPUT, operation_kind, source_name, tensor_name


def float_candidates(traced: fx.GraphModule) -> tuple[str, ...]:
    """Names of the operations that a recipe may leave in float, in order of execution."""
    return tuple(
        name
        for node in traced.graph.nodes
        if (name := tensor_name(traced, node)) is not None
        and operation_kind(traced, node) in ("conv", "linear", "add")
    )


def logits_name(traced: fx.GraphModule) -> str | None:
    """Name of the linear layer whose result is the network's output, None if there is none."""
    name = source_name(traced, traced.graph.output_node())
    is_linear = name != INPUT and any(
        node.op == "call_module"
        and str(node.target) == name
        and isinstance(traced.get_submodule(name), nn.Linear)
        for node in traced.graph.nodes
    )
    return name if is_linear else None


def quantized_tensors(
    traced: fx.GraphModule, float_layers: Collection[str] = ()
) -> tuple[str, ...]:
    """Names of the tensors that are rounded to uint8, in order of execution.

    Args:
        traced: The fused network, traced.
        float_layers: Names of the operations that compute in float.
    """
    readers = _readers(traced)
    floats = {INPUT, *float_layers}
    for node in reversed(traced.graph.nodes):
        name = tensor_name(traced, node)
        if name is not None and operation_kind(traced, node) == "pool":
            around = {*sources(traced, node), *readers[name]}
            if around <= floats:
                floats.add(name)
    logits = logits_name(traced)
    return tuple(
        name
        for name, reading in readers.items()
        if not floats.issuperset(reading) or (name not in floats and name != logits)
    )


def float_operators(traced: fx.GraphModule, float_layers: Collection[str] = ()) -> Counter[str]:
    """How many operators of each kind compute in float: "conv", "linear", "add", "pool".

    A float add between quantized tensors is not among them: it computes what an integer add
    does, and runtimes make one of it. Max pooling is in float if it reads real numbers.
    """
    quantized = set(quantized_tensors(traced, float_layers))
    counts: Counter[str] = Counter()
    for node in traced.graph.nodes:
        kind = operation_kind(traced, node)
        name = tensor_name(traced, node)
        if kind == "add":
            counts[kind] += not quantized.issuperset({name, *sources(traced, node)})
        elif kind == "pool":
            decisive = sources(traced, node) if name is None else {name}
            counts[kind] += not quantized.issuperset(decisive)
        elif kind is not None:
            counts[kind] += name in float_layers
    return counts


def sources(traced: fx.GraphModule, node: fx.Node) -> Iterator[str]:
    """Names of the tensors that a node reads, itself or through what keeps their parameters."""
    for source in node.all_input_nodes:
        name = tensor_name(traced, source)
        if name is None:
            yield from sources(traced, source)
        else:
            yield name


def _readers(traced: fx.GraphModule) -> dict[str, set[str]]:
    """For every tensor, in order of execution, the operations that read it, by their tensors."""
    readers: dict[str, set[str]] = {}
    for node in traced.graph.nodes:
        name = tensor_name(traced, node)
        if name is None:
            continue
        readers[name] = set()
        for source in sources(traced, node):
            readers[source].add(name)
    return readers
