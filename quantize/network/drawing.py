"""A network drawn operation by operation: its graph, its modules, and names that are free."""

import re
from typing import Any, Final

import torch
from torch import fx, nn

from eightbit.models.networks.quantizable import DeQuantStub, QuantStub
from eightbit.quantize.network.graph import OBSERVER_SUFFIX

_TAKEN: Final = frozenset(dir(nn.Module()))
_LONGEST: Final = 200


class Drawing:
    """Collects operations; `finished` makes a network of them whose trace has their names."""

    def __init__(self) -> None:
        self._graph = fx.Graph()
        self._parts: dict[str, nn.Module | nn.Parameter] = {}
        self._names: dict[fx.Node, str] = {}
        self._used: set[str] = set()
        self.input = self.module(self._graph.placeholder("x"), QuantStub(), "quant")

    def module(self, source: fx.Node, module: nn.Module, name: str) -> fx.Node:
        """Append a module that takes one tensor; it is called like `name`, if that is free."""
        free = self._free(name)
        self._parts[free] = module
        return self._graph.call_module(free, (source,))

    def function(
        self,
        target: Any,
        arguments: tuple[Any, ...],
        keywords: dict[str, Any] | None = None,
        name: str | None = None,
    ) -> fx.Node:
        """Append a function's call; one whose result is a tensor of its own has a name."""
        node = self._graph.call_function(target, arguments, keywords)
        if name is not None:
            self._names[node] = self._free(name)
        return node

    def parameter(self, value: torch.Tensor, name: str) -> fx.Node:
        """Append weights that a function reads."""
        free = self._free(name)
        self._parts[free] = nn.Parameter(value.detach().clone(), requires_grad=False)
        return self._graph.get_attr(free)

    def module_of(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls, None if it calls none."""
        part = self._parts.get(str(node.target)) if node.op == "call_module" else None
        return part if isinstance(part, nn.Module) else None

    def replace_module(self, node: fx.Node, module: nn.Module) -> None:
        """Let a node call another module, under the same name."""
        self._parts[str(node.target)] = module

    def rename(self, before: fx.Node, after: fx.Node) -> None:
        """Give the tensor of one function to another, which is computed with it."""
        self._names[after] = self._names.pop(before)

    def finished(self, result: fx.Node) -> fx.GraphModule:
        """The network that returns a node's result, without what that does not need."""
        for node, name in self._names.items():
            # Where the trace reads the name: torch's place for an observer.
            place = name + OBSERVER_SUFFIX
            self._parts[place] = nn.Identity()
            with self._graph.inserting_after(node):
                identity = self._graph.call_module(place, ())
            node.replace_all_uses_with(identity)
            identity.args = (node,)
            result = identity if result is node else result
        self._graph.output(self.module(result, DeQuantStub(), "dequant"))
        network = fx.GraphModule(self._parts, self._graph).eval()
        network.graph.eliminate_dead_code()
        network.delete_all_unused_submodules()
        network.recompile()
        # The order in which convolutions are fastest.
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    def _free(self, wanted: str) -> str:
        """A name near the wanted one that no part has, that holds no part and lies in none."""
        parts = [re.sub(r"\W", "_", part, flags=re.ASCII).lstrip("_") for part in wanted.split(".")]
        name = ".".join(f"{part}_" if part in _TAKEN else part for part in parts if part)
        name = name[:_LONGEST].rstrip(".") or "part"
        candidate, number = name, 1
        while not self._is_free(candidate):
            number += 1
            candidate = f"{name.replace('.', '_') if number > 9 else name}_{number}"
        self._used.add(candidate)
        return candidate

    def _is_free(self, name: str) -> bool:
        return all(
            name != used and not name.startswith(f"{used}.") and not used.startswith(f"{name}.")
            for used in self._used
        )
