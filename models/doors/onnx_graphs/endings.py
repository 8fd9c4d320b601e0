"""What a classifier's graph does behind its logits."""

from dataclasses import replace
from enum import StrEnum
from typing import Final

from eightbit.models.doors.onnx_graphs.graphs import Graph


class Ending(StrEnum):
    """An activation that turns logits into probabilities."""

    SOFTMAX = "Softmax"
    LOG_SOFTMAX = "LogSoftmax"
    SIGMOID = "Sigmoid"


# Stand behind an activation without changing what it says of one image.
_PASSING: Final = ("Identity", "Flatten", "Squeeze", "Reshape", "Cast")


def without_ending(graph: Graph) -> tuple[Graph, Ending | None]:
    """The graph that ends in its logits, and what was cut off."""
    makers, name = graph.makers, graph.output
    while name in makers and makers[name].op in _PASSING:
        name = makers[name].inputs[0]
    node = makers.get(name)
    if node is None or node.op not in tuple(Ending):
        return graph, None
    return replace(graph, output=node.inputs[0]).with_nodes(graph.nodes), Ending(node.op)
