"""An ONNX graph as plain values: nodes in order, constants as arrays; nothing runs here."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

Array = npt.NDArray[Any]

# Beyond any classifier's side, padding or growth in one step: what is declared is allocated.
MAX_NUMBERS: Final = 2**28


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation.

    Attributes:
        op: Name of its operator.
        name: Its own, may be empty.
        inputs: Names of what it reads; an empty one was left out.
        outputs: Names of what it makes; likewise.
        attributes: Numbers, texts, lists and arrays by their names.
        opset: Version of the operators' definitions.
        batch: Number of images that shapes are written for; 0 for any.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    opset: int
    batch: int = 0

    @property
    def where(self) -> str:
        """Its name and operator, for messages."""
        label = self.name or next(iter(self.outputs), "")
        return f"node {one_line(repr(label), 80)} ({one_line(self.op, 40)})"

    def get(self, name: str, default: Any) -> Any:
        """An attribute, or its default."""
        return self.attributes.get(name, default)

    def refuse(self, expected: str, found: object) -> InputError:
        """The error that an operation is not done here."""
        return InputError(f"{self.where}: expected {expected}, found {one_line(found, 80)}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """What is computed of one tensor of images.

    Attributes:
        nodes: In order of execution.
        constants: Weights and other arrays that lie in the file, by name.
        input: Name of the images.
        shape: Theirs; None for a size that is free.
        output: Name of the result.
        opset: Version of the operators' definitions.
        metadata: What the exporter wrote beside the graph.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    input: str
    shape: tuple[int | None, ...]
    output: str
    opset: int
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def readers(self) -> Counter[str]:
        """How many nodes read what bears a name; the graph's result is read once more."""
        found = Counter(name for node in self.nodes for name in node.inputs)
        found[self.output] += 1
        return found

    @property
    def makers(self) -> dict[str, Node]:
        """The node that makes what bears a name."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def with_nodes(self, nodes: Sequence[Node]) -> "Graph":
        """The graph of other nodes, without those whose results nobody reads."""
        needed, kept = {self.output}, list[Node]()
        for node in reversed(nodes):
            if needed.intersection(node.outputs):
                kept.append(node)
                needed.update(node.inputs)
        return replace(self, nodes=tuple(reversed(kept)))


def bounded(node: Node, sizes: Sequence[Any]) -> None:
    """Refuse a result of more than `MAX_NUMBERS` numbers before it is made.

    Raises:
        InputError: It is too large, or a size is negative.
    """
    known = [int(size) for size in sizes if isinstance(size, int | np.integer)]
    total = 1
    for size in known:
        total *= max(size, 0)
        if size < 0 or total > MAX_NUMBERS:
            raise node.refuse(f"a result of at most {MAX_NUMBERS:,} numbers", tuple(known))


def ordered(nodes: Sequence[Node], known: Iterator[str] | Sequence[str]) -> None:
    """Refuse nodes that read what no earlier one makes, or make what there is: no circles.

    Raises:
        InputError: Naming the first of them.
    """
    made = {"", *known}
    for node in nodes:
        missing = next((name for name in node.inputs if name not in made), None)
        if missing is not None:
            raise node.refuse(
                "nodes that read what an earlier one makes", f"{missing!r}, which none does"
            )
        for name in node.outputs:
            if name and name in made:
                raise node.refuse("names that are given once", repr(name))
        made.update(node.outputs)
