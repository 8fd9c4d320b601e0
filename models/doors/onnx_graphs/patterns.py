"""Activations that older exporters write out in several nodes, as the single ones that they are."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from eightbit.models.doors.onnx_graphs.graphs import Graph, Node


class _Reader:
    """Looks upstream from a node."""

    def __init__(self, graph: Graph) -> None:
        self._constants, self._makers = graph.constants, graph.makers
        self._readers = graph.readers

    def made_by(self, name: str, op: str) -> Node | None:
        """The node of an operator that makes what nobody else reads."""
        node = self._makers.get(name)
        return node if node is not None and node.op == op and self._readers[name] == 1 else None

    def number(self, name: str) -> float | None:
        """A constant of one number."""
        value = self._constants.get(name)
        maker = self._makers.get(name)
        if value is None and maker is not None and maker.op == "Constant":
            value = maker.attributes.get("value")
        return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None

    def beside(self, node: Node | None, wanted: float) -> str | None:
        """The other input of a node that has a number among its two."""
        if node is None or len(node.inputs) != 2:
            return None
        for place in (0, 1):
            number = self.number(node.inputs[place])
            if number is not None and math.isclose(number, wanted, rel_tol=1e-4):
                return node.inputs[1 - place]
        return None


def _gated(read: _Reader, node: Node) -> Node | None:
    """A product with a sigmoid of the same: SiLU, or hard-swish."""
    for x, gate in (node.inputs, node.inputs[::-1]):
        for op, result in (("Sigmoid", "Swish"), ("HardSigmoid", "HardSwish")):
            maker = read.made_by(gate, op)
            if maker is None or maker.inputs[0] != x:
                continue
            hard = (maker.get("alpha", 0.2), maker.get("beta", 0.5))
            if op == "Sigmoid" or (math.isclose(hard[0], 1 / 6, rel_tol=1e-5) and hard[1] == 0.5):
                return replace(node, op=result, inputs=(x,), attributes={})
    return None


def _hard_sigmoid(read: _Reader, node: Node) -> Node | None:
    """``clip(x + 3, 0, 6) / 6``."""
    if node.op == "Div":
        six = read.number(node.inputs[1])
        clipped = node.inputs[0] if six is not None and _near(six, 6) else None
    else:
        clipped = read.beside(node, 1 / 6)
    clip = None if clipped is None else read.made_by(clipped, "Clip")
    if clip is None:
        return None
    bounds = [clip.get("min", None), clip.get("max", None)]
    bounds = [read.number(name) for name in clip.inputs[1:]] or bounds
    x = read.beside(read.made_by(clip.inputs[0], "Add"), 3.0) if bounds == [0, 6] else None
    if x is None:
        return None
    return replace(node, op="HardSigmoid", inputs=(x,), attributes={"alpha": 1 / 6, "beta": 0.5})


def _gelu(read: _Reader, node: Node) -> Node | None:
    """``x (1 + erf(x / sqrt 2)) / 2``, with the half and the factors in any order."""
    for left, right in (node.inputs, node.inputs[::-1]):
        # (x (1 + erf)) 0.5
        if read.number(right) == 0.5 and (product := read.made_by(left, "Mul")) is not None:
            for x, bracket in (product.inputs, product.inputs[::-1]):
                if _is_bracket(read, bracket, x):
                    return replace(node, op="Gelu", inputs=(x,), attributes={})
        # (x 0.5) (1 + erf), or x (0.5 (1 + erf))
        for half, bracket in ((left, right), (right, left)):
            halved = read.beside(read.made_by(half, "Mul"), 0.5)
            if halved is not None and _is_bracket(read, bracket, halved):
                return replace(node, op="Gelu", inputs=(halved,), attributes={})
        inner = read.beside(read.made_by(right, "Mul"), 0.5)
        if inner is not None and _is_bracket(read, inner, left):
            return replace(node, op="Gelu", inputs=(left,), attributes={})
    return None


def _is_bracket(read: _Reader, name: str, x: str) -> bool:
    """Whether something is ``1 + erf(x / sqrt 2)``."""
    erf_name = read.beside(read.made_by(name, "Add"), 1.0)
    erf = None if erf_name is None else read.made_by(erf_name, "Erf")
    if erf is None:
        return False
    scaled = erf.inputs[0]
    divided = read.made_by(scaled, "Div")
    if divided is not None:
        root = read.number(divided.inputs[1])
        return divided.inputs[0] == x and root is not None and _near(root, math.sqrt(2))
    return read.beside(read.made_by(scaled, "Mul"), 1 / math.sqrt(2)) == x


def _near(found: float, wanted: float) -> bool:
    return math.isclose(found, wanted, rel_tol=1e-4)


_PATTERNS: Final[Mapping[str, tuple[Callable[[_Reader, Node], Node | None], ...]]] = {
    "Mul": (_hard_sigmoid, _gated, _gelu),
    "Div": (_hard_sigmoid,),
}


# Some are made of others.
_ROUNDS: Final = 2


def simplified(graph: Graph) -> Graph:
    """The graph with each activation as one node."""
    for _ in range(_ROUNDS):
        read, nodes = _Reader(graph), []
        for node in graph.nodes:
            makes = _PATTERNS.get(node.op, ()) if len(node.inputs) == 2 else ()
            found = (make(read, node) for make in makes)
            nodes.append(next((made for made in found if made is not None), node))
        graph = graph.with_nodes(nodes)
    return graph
