"""A model's configuration as a list of calls of layers, with models inside it laid out flat."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eightbit.models.doors.keras.files import Place
from eightbit.models.doors.keras.forms import (
    INPUT,
    SAVE_OTHERWISE,
    SEQUENTIAL,
    MalformedError,
    Reference,
    arguments_of,
    image_shape,
    in_snake_case,
    is_graph,
    is_operation,
    kind_of,
    made_with,
    name_of_layer,
    references,
)
from eightbit.models.doors.wordings import shown
from eightbit.models.errors import InputError

_MOST_CALLS: Final = 20_000
_MOST_LAYERS: Final = 5_000
_DEEPEST: Final = 16

# Say nothing of what a call computes after training.
_IDLE_ARGUMENTS: Final = ("training", "name")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer that is none of others: its class, and what its configuration says.

    Attributes:
        kind: Name of its class; of an operation `op:` and its name.
        name: Its own name behind those of the models that it is in, with slashes.
        config: Its options.
        place: Of its weights.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    place: Place


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a call made, as the number of the call among all; the images are the first."""

    number: int


@dataclass(frozen=True, kw_only=True)
class LayerCall:
    """A layer on results and constants.

    Attributes:
        layer: Which.
        operands: Results of earlier calls, or constants.
        arguments: Further ones by name.
    """

    layer: Layer
    operands: tuple[Any, ...]
    arguments: Mapping[str, Any]

    @property
    def results(self) -> tuple[int, ...]:
        """Numbers of the calls whose results it reads."""
        values = (*self.operands, *self.arguments.values())
        return tuple(value.number for value in values if isinstance(value, Result))


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A whole model.

    Attributes:
        name: Its own.
        shape: Of an image, (height, width, channels); None for what it leaves open.
        calls: In an order in which they can be made; number 0 stands for the images.
        output: The call whose result is the model's.
    """

    name: str
    shape: tuple[int | None, ...]
    calls: tuple[LayerCall, ...]
    output: int

    def readers(self) -> Counter[int]:
        """How often each result is read; the model's own once more."""
        counts = Counter(number for call in self.calls for number in call.results)
        counts[self.output] += 1
        return counts


def graph_of(config: Mapping[str, Any], where: str) -> Graph:
    """Lay out a model.

    Raises:
        InputError: It is none of Keras' own kinds of models, or not of one input and one output.
    """
    try:
        return _Layout(where).whole(config)
    except MalformedError as exc:
        raise InputError(f"{where}: {exc}") from exc


@dataclass(frozen=True, kw_only=True)
class _Scope:
    """The model whose layers are being laid out, by the names and places of those around it."""

    path: tuple[str, ...] = ()
    outer: str = ""
    names: tuple[str, ...] = ()


@dataclass(kw_only=True)
class _Member:
    """A layer of a graph: its data, its place, and what its calls gave so far."""

    data: Mapping[str, Any]
    scope: _Scope
    waiting: list[Any]
    results: list[Result] = field(default_factory=list)
    shift: int = 0


class _Layout:
    """Lays out a model call by call."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._calls: list[LayerCall] = []

    def whole(self, config: Mapping[str, Any]) -> Graph:
        images = self._append(
            LayerCall(
                layer=Layer(
                    kind=INPUT, name="", config={}, place=Place(path=(), outer="", name="")
                ),
                operands=(),
                arguments={},
            )
        )
        result = self._model(config, _Scope(), (images,))
        inner = made_with(config)
        return Graph(
            name=str(inner.get("name", "")),
            shape=image_shape(config, self._where),
            calls=tuple(self._calls),
            output=result.number,
        )

    def _append(self, call: LayerCall) -> Result:
        if len(self._calls) >= _MOST_CALLS:
            raise self._error("", f"at most {_MOST_CALLS:,} calls of layers", "more")
        self._calls.append(call)
        return Result(number=len(self._calls) - 1)

    def _error(self, name: str, expected: str, found: object) -> InputError:
        place = f"{shown(name)}: " if name else ""
        return InputError(f"{self._where}: {place}expected {expected}, found {shown(found)}")

    def _model(self, config: Mapping[str, Any], scope: _Scope, operands: tuple[Any, ...]) -> Result:
        kind = str(config.get("class_name"))
        if len(scope.names) > _DEEPEST:
            raise self._error("", f"models at most {_DEEPEST} deep in each other", "more")
        if kind == SEQUENTIAL:
            return self._sequence(config, scope, operands)
        layers = made_with(config).get("layers")
        if not isinstance(layers, list) or not is_graph(config):
            raise InputError(
                f"{self._where}: expected a model of Keras' own layers, sequential or functional, "
                f"found one of the class {shown(kind)}, whose code is not in the file; "
                f"{SAVE_OTHERWISE}"
            )
        return self._graph(made_with(config), scope, operands)

    def _sequence(
        self, config: Mapping[str, Any], scope: _Scope, operands: tuple[Any, ...]
    ) -> Result:
        (value,) = operands if len(operands) == 1 else (None,)
        for member in self._members(made_with(config).get("layers"), scope):
            if member.data.get("class_name") != INPUT:
                value = self._called(member, (value,), {})
        if not isinstance(value, Result):
            raise self._error("", "a model of one input", f"{len(operands)}")
        return value

    def _graph(self, inner: Mapping[str, Any], scope: _Scope, operands: tuple[Any, ...]) -> Result:
        members = {
            name_of_layer(member.data): member
            for member in self._members(inner.get("layers"), scope)
        }
        inputs = references(inner.get("input_layers"))
        outputs = references(inner.get("output_layers"))
        if len(inputs) != 1 or len(outputs) != 1 or len(operands) != 1:
            raise self._error(
                "/".join(scope.names),
                "a model of one input and one output",
                f"{len(inputs)} and {len(outputs)}",
            )
        for member in members.values():
            member.waiting = list(member.data.get("inbound_nodes") or [])
        _count_from(members, outputs)
        entry = members.get(str(inputs[0][0]))
        if entry is None or entry.data.get("class_name") != INPUT:
            raise self._error("/".join(scope.names), "an input layer", inputs[0])
        entry.results.append(operands[0])
        left = [member for member in members.values() if member.waiting]
        while left:
            before = sum(len(member.waiting) for member in left)
            for member in left:
                self._advance(member, members)
            left = [member for member in left if member.waiting]
            if before == sum(len(member.waiting) for member in left):
                raise self._error(
                    "/".join((*left[0].scope.names, name_of_layer(left[0].data))),
                    "layers whose inputs other layers make",
                    "one that waits for what nothing makes",
                )
        return self._referred(outputs[0], members)

    def _advance(self, member: _Member, members: Mapping[str, _Member]) -> None:
        """Make the calls of a layer whose inputs are there by now, in their order."""
        while member.waiting:
            operands, arguments = arguments_of(member.waiting[0], members)
            every = [*operands, *arguments.values()]
            if not all(_is_made(value, members) for value in every if isinstance(value, Reference)):
                return
            member.waiting.pop(0)
            made = [
                self._referred(value.place, members) if isinstance(value, Reference) else value
                for value in operands
            ]
            named = {
                key: self._referred(value.place, members) if isinstance(value, Reference) else value
                for key, value in arguments.items()
            }
            member.results.append(self._called(member, tuple(made), named))

    def _referred(self, reference: Sequence[Any], members: Mapping[str, _Member]) -> Result:
        name, call, output = reference
        member = members.get(str(name))
        number = call - member.shift if member and isinstance(call, int) else -1
        if member is None or output != 0 or not 0 <= number < len(member.results):
            raise self._error(str(name), "a layer of one result", f"a reference to {reference}")
        return member.results[number]

    def _called(
        self, member: _Member, operands: tuple[Any, ...], arguments: Mapping[str, Any]
    ) -> Result:
        config, scope = member.data, member.scope
        if is_graph(config) or config.get("class_name") == SEQUENTIAL:
            self._refuse_training(scope, arguments)
            return self._model(config, scope, operands)
        kind = kind_of(config)
        self._refuse_training(scope, arguments, is_random=kind.startswith("Random"))
        layer = Layer(
            kind=kind,
            name="/".join(scope.names),
            config=made_with(config),
            place=Place(path=scope.path, outer=scope.outer, name=scope.names[-1]),
        )
        left = {
            key: value
            for key, value in arguments.items()
            if key not in _IDLE_ARGUMENTS and (key, value) != ("mask", None)
        }
        return self._append(LayerCall(layer=layer, operands=operands, arguments=left))

    def _refuse_training(
        self, scope: _Scope, arguments: Mapping[str, Any], *, is_random: bool = False
    ) -> None:
        """Refuse layers that behave as in training; those of augmentation say so by themselves."""
        if arguments.get("training") and not is_random:
            raise self._error(
                "/".join(scope.names), "a layer that is not training", "training=True"
            )

    def _members(self, layers: object, scope: _Scope) -> Iterator[_Member]:
        """The layers of a model, with the places of their weights."""
        if not isinstance(layers, list) or len(layers) > _MOST_LAYERS:
            raise self._error(
                "/".join(scope.names), f"at most {_MOST_LAYERS:,} layers", type(layers).__name__
            )
        taken: Counter[str] = Counter()
        for data in layers:
            if not isinstance(data, dict) or not isinstance(data.get("class_name"), str):
                raise self._error("/".join(scope.names), "layers with a class", data)
            name = name_of_layer(data)
            snake = in_snake_case(data["class_name"])
            is_layer = not is_operation(data)
            numbered = f"{snake}_{taken[snake]}" if taken[snake] else snake
            taken[snake] += is_layer
            yield _Member(
                data=data,
                scope=_Scope(
                    path=(*scope.path, numbered),
                    outer=scope.outer or name,
                    names=(*scope.names, name),
                ),
                waiting=[],
            )


def _is_made(wanted: Reference, members: Mapping[str, _Member]) -> bool:
    name, call, _ = wanted.place
    member = members.get(str(name))
    # What is not there at all is refused where it is read.
    return member is None or not isinstance(call, int) or call - member.shift < len(member.results)


def _count_from(members: Mapping[str, _Member], outputs: Sequence[Sequence[Any]]) -> None:
    """Models inside count their calls from 1 where their own graph is the first of them."""
    highest: Counter[str] = Counter()
    for member in members.values():
        for node in member.waiting:
            operands, arguments = arguments_of(node, members)
            for value in (*operands, *arguments.values()):
                if isinstance(value, Reference):
                    _note_highest(highest, value.place)
    for reference in outputs:
        _note_highest(highest, reference)
    for name, member in members.items():
        is_model = is_graph(member.data) or member.data["class_name"] == SEQUENTIAL
        member.shift = int(is_model and highest[name] == len(member.waiting) > 0)


def _note_highest(highest: Counter[str], reference: Sequence[Any]) -> None:
    name, call, _ = reference
    if isinstance(call, int):
        highest[str(name)] = max(highest[str(name)], call)
