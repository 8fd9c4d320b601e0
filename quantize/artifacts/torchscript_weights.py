"""The integer weights of a loaded TorchScript module, whoever wrote it."""

from collections.abc import Iterator
from typing import Any, Final

import torch

# torch's own classes: a method of any other would be code from the file.
_PACKED: Final = frozenset(
    f"__torch__.torch.classes.quantized.{name}PackedParamsBase" for name in ("Conv2d", "Linear")
)


def integer_weights(module: torch.jit.ScriptModule) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and int8 weights (O, C, kH, kW) or (O, K) of modules, or constants of a graph."""
    for name, child in module.named_modules():
        yield from _unpacked(name, getattr(child, "_packed_params", None))
    graph: Any = module.inlined_graph  # its nodes live as long as it does
    for node in graph.findAllNodes("prim::Constant"):
        for use in node.output().uses():
            kind, result = use.user.kind(), next(use.user.outputs(), None)
            name = result.debugName() if result is not None else kind
            if kind.startswith("quantized::"):
                yield from _unpacked(name, _constant(node))
            elif kind == "aten::_int_mm":  # ours: a linear layer whose sums stay float
                value = _constant(node)
                if isinstance(value, torch.Tensor) and _is_int8_matrix(value):
                    yield name, value.t()


def _constant(node: Any) -> object:
    return node.output().toIValue()


def _unpacked(name: str, packed: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if not isinstance(packed, torch.ScriptObject) or packed._type().qualified_name() not in _PACKED:
        return
    weight = packed.unpack()[0]  # type: ignore[attr-defined]  # of the classes named above
    if weight.dim() in (2, 4) and weight.numel():
        yield name, weight.int_repr()


def _is_int8_matrix(value: torch.Tensor) -> bool:
    return value.dtype is torch.int8 and value.dim() == 2 and bool(value.numel())
