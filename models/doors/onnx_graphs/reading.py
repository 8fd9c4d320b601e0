"""Reads an ONNX file of a stranger: nothing is allocated that is not in the file, nothing run."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError, EncodeError
from onnx import TensorProto, helper, inliner, numpy_helper

from eightbit.models.bounded_files import open_regular, read_bounded
from eightbit.models.doors.onnx_graphs.graphs import Array, Graph, Node, ordered
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

OPSETS: Final = (7, 26)

_WHAT: Final = "an ONNX model"
_MAX_BYTES: Final = 2**31 - 1  # protobuf's own limit for one message
_MAX_NODES: Final = 20_000
_MAX_TEXT: Final = 2**20
_LONGEST_NAME: Final = 200
_OPERATORS: Final = ("", "ai.onnx")
_TYPES: Final = {
    *(TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64, TensorProto.INT32),
    *(TensorProto.BOOL, TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT16),
}
_QUANTIZED: Final = (
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger"),
    *("MatMulInteger", "MatMulNBits"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class OnnxFile:
    """A graph, the message that it was read from with all tensors in it, and a digest."""

    graph: Graph
    model: onnx.ModelProto
    sha256: str


def read_onnx_graph(path: Path) -> OnnxFile:
    """Read a float model with one input and one output.

    Args:
        path: The file; tensors in other files have to lie in its folder.

    Raises:
        InputError: It is no such model, damaged, quantized already, or has parts that no
            classifier needs; the file is named.
    """
    where = one_line(path, 120)
    content = read_bounded(path, _MAX_BYTES, _WHAT)
    digest = hashlib.sha256(content)
    try:
        model = onnx.ModelProto.FromString(content)
        _check_operators(model)
        _embed(model, path, digest)
        model = _inlined(model)
        graph = _graph(model)
    except DecodeError as exc:
        raise InputError(
            f"{where}: expected {_WHAT}, found a damaged file or something else; copy or export "
            "it again"
        ) from exc
    except InputError as exc:
        raise InputError(f"{where}: {exc}") from exc
    return OnnxFile(graph=graph, model=model, sha256=digest.hexdigest())


def _check_operators(model: onnx.ModelProto) -> None:
    """Refuse what is no float model of ONNX's own operators, before anything else is looked at."""
    if not model.ir_version or not model.graph.node:
        raise InputError(f"expected {_WHAT} with a graph, found none; export it again")
    functions = {(function.domain, function.name) for function in model.functions}
    nodes = [*model.graph.node, *(node for part in model.functions for node in part.node)]
    if len(nodes) > _MAX_NODES:
        raise InputError(f"expected at most {_MAX_NODES:,} nodes, found {len(nodes):,}")
    for node in nodes:
        label = f"node {one_line(repr(node.name), 80)}"
        if node.op_type in _QUANTIZED or node.op_type.startswith("QLinear"):
            raise InputError(
                f"{label}: expected a float model, found {one_line(node.op_type, 40)}: it is "
                "already quantized; give the float model that it was made of (`eightbit doctor` "
                "says what this one is worth)"
            )
        if any(attribute.g.node or attribute.graphs for attribute in node.attribute):
            raise InputError(
                f"{label}: expected no control flow, found {one_line(node.op_type, 40)}; export "
                "the network in evaluation mode for one size"
            )
        if node.domain not in _OPERATORS and (node.domain, node.op_type) not in functions:
            found = one_line(f"{node.domain}.{node.op_type}", 80)
            raise InputError(
                f"{label}: expected operators of ONNX's own, found {found}; export the model "
                "without optimisations for a runtime"
            )
    if model.graph.sparse_initializer:
        raise InputError("expected dense weights, found sparse ones; export them dense")
    versions = [entry.version for entry in model.opset_import if entry.domain in _OPERATORS]
    first, end = OPSETS
    if not any(first <= version < end for version in versions):
        found = ", ".join(map(str, versions)) or "none"
        raise InputError(
            f"expected opset {first} to {end - 1}, found {found}; export it for another "
            "(opset_version)"
        )


def _embed(model: onnx.ModelProto, path: Path, digest: Any) -> None:
    """Take tensors that lie in other files into the message, and those files into the digest."""
    folder = path.parent.resolve()
    left = _MAX_BYTES
    for tensor in _all_tensors(model):
        if tensor.data_type not in _TYPES:
            raise InputError(
                f"{_label(tensor)}: expected numbers of 32 bits and the like, found "
                f"{_type_name(tensor.data_type)}; export it in float32"
            )
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        data = _external(tensor, folder, left)
        left -= len(data)
        digest.update(data)
        tensor.ClearField("external_data")
        tensor.data_location = TensorProto.DEFAULT
        tensor.raw_data = data


def _external(tensor: TensorProto, folder: Path, left: int) -> bytes:
    """The bytes of a tensor in another file of the same folder."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, label = entries.get("location", ""), _label(tensor)
    is_name = len(location) <= _LONGEST_NAME and "\0" not in location
    place = (folder / location).resolve() if is_name else folder
    if Path(location).is_absolute() or not place.is_relative_to(folder) or place == folder:
        raise InputError(
            f"{label}: expected weights in the model's folder, found "
            f"{one_line(repr(location), 80)}, which is not in it; put the file there"
        )
    expected = _bytes_of(tensor)
    try:
        offset, length = int(entries.get("offset", "0")), int(entries.get("length", expected))
    except ValueError as exc:
        raise InputError(f"{label}: expected a place in a file, found none") from exc
    if length != expected or offset < 0 or length > left:
        raise InputError(
            f"{label}: expected {expected:,} bytes, as its shape says, and {_MAX_BYTES:,} of all "
            f"tensors at most, found {length:,} at {offset:,}"
        )
    with open_regular(place, "weights beside an ONNX model") as file:
        size = file.seek(0, 2)
        if offset + length > size:
            raise InputError(
                f"{label}: expected {length:,} bytes at {offset:,} of "
                f"{one_line(place.name, 80)}, found a file of {size:,}; copy it again"
            )
        file.seek(offset)
        return file.read(length)


def _bytes_of(tensor: TensorProto) -> int:
    size = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    if any(dim < 0 for dim in tensor.dims):
        raise InputError(f"{_label(tensor)}: expected a shape, found a negative size")
    return int(math.prod(tensor.dims)) * size


def _all_tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every tensor that this door reads: weights and constants."""
    yield from model.graph.initializer
    for owner in (model.graph, *model.functions):
        for node in owner.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions of its own, whose size is known before."""
    if not model.functions:
        return model
    called = {
        (function.domain, function.name): Counter(
            (node.domain, node.op_type) for node in function.node
        )
        for function in model.functions
    }
    sizes: dict[tuple[str, str], int] = {}
    for _ in called:  # each round settles those that call none but settled ones
        for name, calls in called.items():
            if name not in sizes and all(inner in sizes for inner in calls if inner in called):
                sizes[name] = sum(sizes.get(inner, 1) * n for inner, n in calls.items())
    if sizes.keys() != called.keys():
        raise InputError("expected functions that end, found one that calls itself")
    total = sum(sizes.get((node.domain, node.op_type), 1) for node in model.graph.node)
    if total > _MAX_NODES:
        raise InputError(f"expected at most {_MAX_NODES:,} nodes, found {total:,} in functions")
    try:
        return inliner.inline_local_functions(model)
    except (EncodeError, DecodeError, RuntimeError, ValueError) as exc:
        raise InputError(
            f"expected functions that can be inlined, found one that cannot: {one_line(exc)}"
        ) from exc


def _graph(model: onnx.ModelProto) -> Graph:
    graph = model.graph
    constants = {tensor.name: _array(tensor) for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    outputs = [value.name for value in graph.output]
    if len(inputs) != 1 or len(outputs) != 1:
        found = f"{_names([value.name for value in inputs])} and {_names(outputs)}"
        raise InputError(
            f"expected one input, of images, and one output, of logits, found {found}; export "
            "these alone (onnx.utils.extract_model)"
        )
    (version, *_) = (entry.version for entry in model.opset_import if entry.domain in _OPERATORS)
    shape = _shape(inputs[0])
    batch = (shape[0] or 0) if shape else 0
    nodes = [
        Node(
            op=node.op_type,
            name=node.name,
            inputs=tuple(node.input),
            outputs=tuple(node.output),
            attributes={part.name: _attribute(part) for part in node.attribute},
            opset=version,
            batch=batch,
        )
        for node in graph.node
    ]
    ordered(nodes, [inputs[0].name, *constants])
    if outputs[0] not in {name for node in nodes for name in node.outputs}:
        raise InputError(f"expected a graph that computes its output, found {_names(outputs)}")
    return Graph(
        nodes=(),
        constants=constants,
        input=inputs[0].name,
        shape=shape,
        output=outputs[0],
        opset=version,
        metadata=_metadata(model),
    ).with_nodes(nodes)


def _metadata(model: onnx.ModelProto) -> Mapping[str, str]:
    return {
        entry.key: entry.value for entry in model.metadata_props if len(entry.value) <= _MAX_TEXT
    }


def _shape(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """The shape of the images, which are float32."""
    kind = value.type.tensor_type
    if kind.elem_type != TensorProto.FLOAT:
        raise InputError(
            f"input {one_line(repr(value.name), 80)}: expected float32 images, found "
            f"{_type_name(kind.elem_type)}; export it for float32"
        )
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim)


def _attribute(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, TensorProto):
        return _array(value)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _array(tensor: TensorProto) -> Array:
    """The numbers of a tensor, no more than its file holds."""
    _bytes_of(tensor)
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError, MemoryError) as exc:
        raise InputError(
            f"{_label(tensor)}: expected as many numbers as its shape says, found others "
            f"({one_line(exc, 80)}); copy or export the file again"
        ) from exc


def _label(tensor: TensorProto) -> str:
    return f"tensor {one_line(repr(tensor.name), 80)}"


def _type_name(number: int) -> str:
    known = TensorProto.DataType.values()
    return TensorProto.DataType.Name(number) if number in known else f"type {number}"


def _names(names: list[str]) -> str:
    shown = ", ".join(one_line(repr(name), 40) for name in names[:4])
    return f"{len(names)} ({shown})" if names else "none"
