"""Reads untrusted ONNX files: no other file is opened, and every loop over one is bounded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper

from eightbit.benchmarks.artifact.formats import ONNX_MAX_BYTES
from eightbit.benchmarks.artifact.refusals import in_another_file
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable

# A ResNet-152 in QDQ form has some thousand nodes.
MAX_NODES: Final = 100_000
_MAX_DEPTH: Final = 16


def read_foreign(path: Path) -> onnx.ModelProto:
    """Read a model that must be whole in itself.

    Raises:
        InputError: It cannot be read, is no ONNX model, is too large, or keeps tensors in other
            files.
    """
    where = printable(str(path))
    try:
        if path.stat().st_size > ONNX_MAX_BYTES:
            raise InputError(f"{where}: expected an ONNX model below 2 GiB, found a bigger file")
        model: onnx.ModelProto = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as exc:
        raise InputError(f"{where}: cannot be read: {one_line(str(exc))}") from exc
    except DecodeError as exc:
        raise InputError(f"{where}: expected an ONNX model, found something else") from exc
    if not model.graph.node:
        raise InputError(
            f"{where}: expected an ONNX model with a graph, found none; export it again"
        )
    graphs = list(_graphs(model.graph, where))
    nodes = [node for graph in graphs for node in graph.node]
    nodes += [node for function in model.functions for node in function.node]
    if len(nodes) > MAX_NODES:
        raise InputError(f"{where}: expected at most {MAX_NODES:,} nodes, found {len(nodes):,}")
    for tensor in _tensors(graphs, nodes):
        if external_data_helper.uses_external_data(tensor):
            raise InputError(f"{where}: {in_another_file(tensor.name)}")
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


def _tensors(
    graphs: list[onnx.GraphProto], nodes: list[onnx.NodeProto]
) -> Iterator[onnx.TensorProto]:
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
