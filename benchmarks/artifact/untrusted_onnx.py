"""Reads untrusted ONNX files whose graph is walked in Python: every loop over one is bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import onnx

from eightbit.benchmarks.artifact.onnx_file import read_onnx
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable

# A ResNet-152 in QDQ form has some thousand nodes.
MAX_NODES: Final = 100_000
_MAX_DEPTH: Final = 16


def read_foreign(path: Path) -> onnx.ModelProto:
    """Read a model that must be whole in itself.

    Raises:
        InputError: See `read_onnx`; or it has too many nodes, or too many graphs in each other.
    """
    model = read_onnx(path)
    where = printable(str(path))
    nodes = sum(len(graph.node) for graph in _graphs(model.graph, where))
    nodes += sum(len(function.node) for function in model.functions)
    if nodes > MAX_NODES:
        raise InputError(f"{where}: expected at most {MAX_NODES:,} nodes, found {nodes:,}")
    return model


def _graphs(graph: onnx.GraphProto, where: str, depth: int = 0) -> Iterator[onnx.GraphProto]:
    """A graph and the graphs in its nodes."""
    if depth > _MAX_DEPTH:
        raise InputError(f"{where}: expected at most {_MAX_DEPTH} graphs in each other, found more")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from _graphs(inner, where, depth + 1)
