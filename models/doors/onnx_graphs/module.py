"""A torch module that computes what an ONNX graph says."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from eightbit.models.doors.onnx_graphs.graphs import MAX_NUMBERS, Array, Graph, Node
from eightbit.models.doors.onnx_graphs.host import HOST
from eightbit.models.doors.onnx_graphs.layers import prepared
from eightbit.models.doors.onnx_graphs.operators import OPERATORS, WEIGHTS, check_known
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import Size, height_and_width

_TAKEN: Final = frozenset({*dir(nn.Module()), "weight", "bias", "running_mean", "running_var"})
_SIZES: Final = ("Shape", "Size")
_MAX_DEPTH: Final = 12
_MAX_FOLDED_BYTES: Final = 2**31


class OnnxNetwork(nn.Module):
    """Float32 images (N, 3, H, W) in, the graph's output (N, classes) out.

    Args:
        graph: Its weights are copied.
        channels_last: Whether the graph itself takes images as (N, H, W, 3).

    Raises:
        InputError: It has an operator, or an attribute of one, that is not known.
    """

    def __init__(self, graph: Graph, *, channels_last: bool) -> None:
        super().__init__()
        self._input, self._output = graph.input, graph.output
        self._batch = graph.shape[0] or 0
        self._channels_last, self._is_checking = channels_last, False
        constants, folded_bytes = dict(graph.constants), 0
        pixels = {graph.input}
        places = _Places(self)
        self._steps: list[tuple[_Operation, Node]] = []
        for node in graph.nodes:
            check_known(node)
            if not pixels.isdisjoint(node.inputs):
                pixels.update(() if node.op in _SIZES else node.outputs)
            elif all(name in constants or not name for name in node.inputs):
                folded = _folded(node, constants)
                folded_bytes += sum(array.nbytes for array in folded.values())
                if folded_bytes > _MAX_FOLDED_BYTES:
                    raise node.refuse(
                        f"weights made of at most {_MAX_FOLDED_BYTES:,} bytes", "more"
                    )
                constants.update(folded)
                continue
            operation = _Operation(node, constants, is_of_pixels=not pixels.isdisjoint(node.inputs))
            places.give(_path(node), operation)
            self._steps.append((operation, node))
        self._last = _last_readers(self._steps, graph.output)
        if graph.output not in pixels:
            raise InputError("expected an output that depends on the images, found a constant")

    def forward(self, images: Tensor) -> Tensor:
        """Compute the output."""
        values: dict[str, Any] = {}
        values[self._input] = images.permute(0, 2, 3, 1) if self._channels_last else images
        for (operation, node), done in zip(self._steps, self._last, strict=True):
            found = operation(*(values.get(name) for name in node.inputs))
            parts = found if isinstance(found, list) else [found]
            values.update(zip(node.outputs, parts, strict=False))
            if self._is_checking:
                _check_sizes(node, values)
            for name in done:
                values.pop(name, None)
        result: Tensor = values[self._output]
        # Logits as maps of one pixel.
        return result.flatten(1) if all(size == 1 for size in result.shape[2:]) else result

    def outputs(self, size: Size) -> int:
        """Number of outputs for images of a size; computes shapes alone.

        Raises:
            InputError: A shape does not fit, a map is too large, or the result is no vector.
        """
        places = {name: value.to("meta") for name, value in self.state_dict().items()}
        # Another number than that of the file, if it has one.
        count = 3 if self._batch == 2 else 2
        images = torch.empty(count, 3, *height_and_width(size), device="meta")
        self._is_checking = True
        try:
            with torch.inference_mode():
                found: Tensor = functional_call(self, places, images)
        finally:
            self._is_checking = False
        if found.dim() != 2 or len(found) != len(images):
            raise InputError(
                f"expected logits of shape ({len(images)}, classes) for {len(images)} images, "
                f"found {tuple(found.shape)}; is there a fixed number of images in a shape?"
            )
        return found.shape[1]


class _Operation(nn.Module):
    """One node with its constants; those that are weights are parameters."""

    def __init__(self, node: Node, constants: Mapping[str, Array], *, is_of_pixels: bool) -> None:
        super().__init__()
        known = {at: constants[name] for at, name in enumerate(node.inputs) if name in constants}
        turned = prepared(node, known) if node.op in ("Gemm", "MatMul") else None
        if turned is not None:
            known |= turned
            node = _with_attribute(node, "prepared", 1)
        self._node, self._known = node, known
        self._parameters_at: dict[int, str] = {}
        for at, name in WEIGHTS.get(node.op, {}).items():
            value = known.get(at)
            is_number = node.op not in _LAYERS and value is not None and value.size == 1
            if not is_of_pixels or value is None or is_number or value.dtype.kind != "f":
                continue
            if not np.isfinite(value).all():
                raise node.refuse("finite weights", "one that is infinite or no number")
            weight = torch.from_numpy(np.array(value, dtype=np.float32))
            self.register_parameter(name, nn.Parameter(weight, requires_grad=False))
            self._parameters_at[at] = name
            del known[at]

    def forward(self, *inputs: Any) -> Any:
        """Compute the node's results of what is not constant."""
        values = list(inputs)
        for at, value in self._known.items():
            values[at] = value
        for at, name in self._parameters_at.items():
            values[at] = getattr(self, name)
        of_pixels = any(isinstance(value, Tensor) for value in values)
        table = OPERATORS if of_pixels else HOST
        return _computed(table, self._node, values)


# Whose weights stay tensors, also of one number.
_LAYERS: Final = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul", "BatchNormalization"})


# What arrays and torch raise where shapes, types or attributes do not fit.
_MISFITS: Final = (
    *(ValueError, IndexError, TypeError, KeyError, AttributeError, RuntimeError),
    *(ArithmeticError, MemoryError, AssertionError),
)


def _computed(table: Mapping[str, Any], node: Node, values: list[Any]) -> Any:
    compute = table.get(node.op)
    if compute is None:
        raise node.refuse("an operator of a convolutional network", f"{node.op} of such inputs")
    try:
        return compute(node, *values)
    except InputError:
        raise
    except _MISFITS as exc:
        raise node.refuse("inputs and attributes that fit together", f"others ({exc})") from exc


def _folded(node: Node, constants: Mapping[str, Array]) -> dict[str, Array]:
    values = [constants.get(name) for name in node.inputs]
    with np.errstate(all="ignore"):  # what is infinite is refused where it is a weight
        found = _computed(HOST, node, values)
    parts = found if isinstance(found, list) else [found]
    return dict(zip(node.outputs, (np.asarray(part) for part in parts), strict=False))


def _with_attribute(node: Node, name: str, value: object) -> Node:
    return replace(node, attributes={**node.attributes, name: value})


def _last_readers(
    steps: Sequence[tuple[nn.Module, Node]], output: str
) -> tuple[tuple[str, ...], ...]:
    """For each step the names that no later one reads."""
    read = {"", output}
    found = []
    for _, node in reversed(steps):
        names = {*node.inputs, *node.outputs} - read
        read |= names
        found.append(tuple(names))
    return tuple(reversed(found))


def _check_sizes(node: Node, values: Mapping[str, Any]) -> None:
    """Refuse more numbers at a time than any classifier has, in one map or in all."""
    total = 0
    for value in {id(value): value for value in values.values()}.values():
        total += value.numel() if isinstance(value, Tensor) else 0
    if total > MAX_NUMBERS:
        shapes = [tuple(value.shape) for value in values.values() if isinstance(value, Tensor)]
        raise node.refuse(f"maps of at most {MAX_NUMBERS:,} numbers at a time", shapes[-1])


def _path(node: Node) -> list[str]:
    """A dotted name: that of its weights, else of the node; in parts that Python takes."""
    weights = next((name for name in node.inputs if name.endswith(".weight")), "")
    text = weights.removesuffix(".weight")
    if not text:
        parts: list[str] = []
        for part in filter(None, re.split(r"[/;]", one_line(node.name, 200))):
            if re.fullmatch(rf"{re.escape(node.op)}(_\d+)?", part):
                continue
            # A scope of torch's exporter is named with all of those around it.
            parts = [part] if parts and part.startswith(f"{'.'.join(parts)}.") else [*parts, part]
        text = ".".join(parts)
    words = [re.sub(r"\W", "_", part, flags=re.ASCII).strip("_") for part in text.split(".")]
    words = [f"{word}_" if word in _TAKEN else word for word in words if word]
    return words[:_MAX_DEPTH] or [node.op.lower()]


class _Places:
    """Names in a tree of modules."""

    def __init__(self, root: nn.Module) -> None:
        self._root = root
        self._counts: Counter[tuple[str, ...]] = Counter()

    def give(self, path: Sequence[str], operation: nn.Module) -> None:
        """Give a module the place of a name, or one beside it that is free."""
        root = self._root
        for part in path[:-1]:
            inner = root._modules.get(part)
            if inner is None:
                inner = nn.Module()
                root.add_module(part, inner)
            root = inner
        name = path[-1]
        while hasattr(root, name):
            self._counts[tuple(path)] += 1
            name = f"{path[-1]}_{self._counts[tuple(path)] + 1}"
        root.add_module(name, operation)
