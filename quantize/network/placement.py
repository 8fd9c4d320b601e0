"""Where a network computes in integers and where in float: one answer for every artefact.

A recipe promises some layers in float. What follows from that for the tensors between them is
decided here, and nowhere else:

* an integer operation reads and writes quantized tensors; only the classifier, whose result is
  the network's output, gives float logits (`logits_name`);
* what a float operation writes is quantized if an integer operation reads it, itself or through
  what keeps its parameters (max pooling, flattening, the shortcut); the input counts as written
  by a float operation;
* pooling, concatenation and products are in integers unless they stand between float operations;
* what is no integer operation at all (`Kind.FLOAT`) is always in float. A curve of one quantized
  tensor gives the same integers everywhere nevertheless: see `recipe.curves`.
"""

from collections import Counter
from collections.abc import Collection
from typing import Final

from torch import fx

from eightbit.quantize.network.graph import (
    INPUT,
    operation_kind,
    source_name,
    sources,
    tensor_name,
)
from eightbit.quantize.network.operators import Kind

# In float only between float operations.
BETWEEN: Final = (Kind.POOL, Kind.CONCAT, Kind.PRODUCT)


def float_candidates(graph: fx.Graph) -> tuple[str, ...]:
    """Names of the operations that a recipe may leave in float, in order of execution."""
    return tuple(
        name
        for node in graph.nodes
        if (name := tensor_name(node)) is not None
        and operation_kind(node) in (Kind.CONV, Kind.LINEAR, Kind.ADD)
    )


def logits_name(graph: fx.Graph) -> str | None:
    """Name of the linear layer whose result is the network's output, None if there is none."""
    output = source_name(graph.output_node())
    for node in graph.nodes:
        if tensor_name(node) == output:
            return output if operation_kind(node) is Kind.LINEAR else None
    return None


def quantized_tensors(graph: fx.Graph, float_layers: Collection[str] = ()) -> tuple[str, ...]:
    """Names of the tensors that are rounded to uint8, in order of execution."""
    readers = _readers(graph)
    floats = {INPUT, *float_layers, *always_float(graph)}
    around = {
        str(tensor_name(node)): {*sources(node), *readers[str(tensor_name(node))]}
        for node in graph.nodes
        if tensor_name(node) is not None and operation_kind(node) in BETWEEN
    }
    # One beside another is in float with it, or not: all are, until one is beside an integer.
    floats.update(around)
    while integers := {name for name in around.keys() & floats if not around[name] <= floats}:
        floats -= integers
    logits = logits_name(graph)
    return tuple(
        name
        for name, reading in readers.items()
        if not floats.issuperset(reading) or (name not in floats and name != logits)
    )


def float_operators(graph: fx.Graph, float_layers: Collection[str] = ()) -> Counter[Kind]:
    """How many operators of each kind compute in float.

    A float add or product between quantized tensors is not among them: it computes what an integer
    one does, and runtimes make one of it. Max pooling is in float if it reads real numbers.
    """
    quantized = set(quantized_tensors(graph, float_layers))
    counts: Counter[Kind] = Counter()
    for node in graph.nodes:
        kind, name = operation_kind(node), tensor_name(node)
        if kind in (Kind.ADD, Kind.PRODUCT):
            counts[kind] += not quantized.issuperset({name, *sources(node)})
        elif kind is Kind.POOL:
            decisive = sources(node) if name is None else {name}
            counts[kind] += not quantized.issuperset(decisive)
        elif kind in (Kind.CONV, Kind.LINEAR):
            counts[kind] += name in float_layers
    return counts


def always_float(graph: fx.Graph) -> set[str]:
    """Names of the tensors that no integer operation computes."""
    return named(graph, Kind.FLOAT)


def named(graph: fx.Graph, kind: Kind) -> set[str]:
    """Names of the tensors that operations of a kind compute."""
    names = (tensor_name(node) for node in graph.nodes if operation_kind(node) is kind)
    return {name for name in names if name is not None}


def _readers(graph: fx.Graph) -> dict[str, set[str]]:
    """For every tensor, in order of execution, the operations that read it, by their tensors."""
    readers: dict[str, set[str]] = {}
    for node in graph.nodes:
        name = tensor_name(node)
        if name is None:
            continue
        readers[name] = set()
        for source in sources(node):
            readers[source].add(name)
    return readers
