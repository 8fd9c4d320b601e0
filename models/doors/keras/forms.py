"""The forms in which Keras 2 and 3 write layers, calls and references to results."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eightbit.models.doors.wordings import shown
from eightbit.models.errors import InputError

INPUT: Final = "InputLayer"
SEQUENTIAL: Final = "Sequential"
SAVE_OTHERWISE: Final = (
    "build it of Keras' own layers, or export it to ONNX, model.export(FILE, format='onnx')"
)

_GRAPHS: Final = ("Functional", "Model")

# Operations of Keras 3 are layers of these modules; those of Keras 2 name a function.
_OPERATIONS: Final = "keras.src.ops."
_LAMBDA: Final = "TFOpLambda"
_CONSTANT: Final = "_CONSTANT_VALUE"


class MalformedError(Exception):
    """A call in a form that no Keras writes."""


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A reference to a result that may not be there yet."""

    place: Sequence[Any]


def arguments_of(node: Any, members: Collection[str]) -> tuple[list[Any], dict[str, Any]]:
    """Operands and further arguments of a call, in the forms of Keras 3 and 2."""
    if isinstance(node, dict):
        operands = [_new_value(value) for value in _flat(node.get("args") or [])]
        named = {str(key): _new_value(value) for key, value in (node.get("kwargs") or {}).items()}
        return operands, named
    # Of one layer a list of references; of an operation a reference alone.
    found = node if isinstance(node, list) and node and isinstance(node[0], list) else [node]
    operands, named = [], {}
    for reference in found:
        if not isinstance(reference, list) or not 3 <= len(reference) <= 4:
            raise MalformedError(f"expected a reference to a layer, found {shown(reference)}")
        constant = reference[0] == _CONSTANT
        operands.append(reference[2] if constant else Reference(place=reference[:3]))
        for key, value in (reference[3] if len(reference) == 4 else {}).items():
            is_result = (
                isinstance(value, list)
                and len(value) == 3
                and isinstance(value[0], str)
                and value[0] in members
            )
            named[str(key)] = Reference(place=value) if is_result else value
    return operands, named


def _new_value(value: Any) -> Any:
    """A reference where it is one of Keras 3, else the constant."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        config = value.get("config")
        history = config.get("keras_history") if isinstance(config, dict) else None
        if isinstance(history, list) and len(history) == 3:
            return Reference(place=history)
    return value


def _flat(arguments: Any) -> Iterator[Any]:
    """Positional arguments, a list of tensors among them as its members."""
    for value in arguments if isinstance(arguments, list) else [arguments]:
        tensors = (
            isinstance(value, list)
            and value
            and all(
                isinstance(part, dict) and part.get("class_name") == "__keras_tensor__"
                for part in value
            )
        )
        if tensors:
            yield from value
        else:
            yield value


def references(content: Any) -> list[Sequence[Any]]:
    """References to layers: one, or a list of them."""
    if not isinstance(content, list):
        return []
    if len(content) == 3 and isinstance(content[0], str):
        return [content]
    return [part for part in content if isinstance(part, list) and len(part) == 3]


def made_with(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a class is made with; of the oldest sequential models that is their layers alone."""
    inner = config.get("config")
    if isinstance(inner, list):
        return {"layers": inner}
    return inner if isinstance(inner, dict) else {}


def is_graph(config: Mapping[str, Any]) -> bool:
    """Whether a functional model, also one that a class of the user's is derived from it."""
    return config.get("class_name") in _GRAPHS


def is_operation(config: Mapping[str, Any]) -> bool:
    """Whether a function of Keras 3, which is no layer and has no place among the weights."""
    return str(config.get("module", "")).startswith(_OPERATIONS)


def kind_of(config: Mapping[str, Any]) -> str:
    """What a layer is called here."""
    kind = str(config["class_name"])
    if is_operation(config):
        return f"op:{kind}"
    if kind == _LAMBDA:
        return f"op:{made_with(config).get('function')}"
    package = config.get("module")
    is_own = package is None or str(package).startswith(("keras.layers", "keras.src.layers"))
    registered = config.get("registered_name")
    if not is_own or registered not in (None, kind):
        return f"{registered or kind}"  # of somebody's own, whatever it is called
    return kind


def name_of_layer(data: Mapping[str, Any]) -> str:
    """A layer's name."""
    return str(data.get("name") or made_with(data).get("name") or data.get("class_name"))


def in_snake_case(kind: str) -> str:
    """A class' name as it is written in an archive (`to_snake_case` of Keras)."""
    name = re.sub(r"\W+", "", kind)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def image_shape(config: Mapping[str, Any], where: str) -> tuple[int | None, ...]:
    """Height, width and channels of the images of a model; None for what is left open."""
    for shape in _shapes(config):
        if isinstance(shape, list) and len(shape) == 4:
            _, *sides = shape
            if all(side is None or (isinstance(side, int) and 0 < side < 2**16) for side in sides):
                return tuple(sides)
    raise InputError(
        f"{where}: expected a model of images, float32 (height, width, channels), found no such "
        "input; build or call it before it is saved"
    )


def _shapes(config: Mapping[str, Any]) -> Iterator[Any]:
    """Where a model may say the shape of its images, the surest first."""
    inner = made_with(config)
    layers = inner.get("layers")
    data = [layer for layer in layers or () if isinstance(layer, dict)]
    if is_graph(config):
        name = str(next(iter(references(inner.get("input_layers"))), ("",))[0])
        data = [layer for layer in data if name_of_layer(layer) == name]
    for layer in data[:1]:
        own = made_with(layer)
        yield own.get("batch_shape")
        yield own.get("batch_input_shape")
        if is_graph(layer) or layer.get("class_name") == SEQUENTIAL:
            yield from _shapes(layer)
    yield inner.get("build_input_shape")
    build = config.get("build_config")
    yield build.get("input_shape") if isinstance(build, dict) else None
