"""A model's graph as a torch module that maps images to logits, and what it says of both."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from eightbit.models.doors.keras.activations import LINEAR, SIGMOID, SOFTMAX, name_of
from eightbit.models.doors.keras.drawing import Drawing, Value
from eightbit.models.doors.keras.files import KerasFile
from eightbit.models.doors.keras.forms import SAVE_OTHERWISE
from eightbit.models.doors.keras.graph import Graph, LayerCall
from eightbit.models.doors.keras.kinds import AFFINE, ARGUMENTS, IDLE, KINDS
from eightbit.models.doors.keras.making import Making
from eightbit.models.doors.keras.options import Options, read_options
from eightbit.models.doors.wordings import shown
from eightbit.models.errors import InputError

_REVERSED: Final = [
    {"class_name": "__ellipsis__", "config": {}},
    {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": -1}},
]
_ITEM: Final = "op:GetItem"
_SHAPING: Final = ("Reshape", "Flatten")

# Layers and operations that are activations, and which; one of a name has its own.
_ACTIVATIONS: Final[Mapping[str, str]] = {
    "Activation": "",
    "Softmax": SOFTMAX,
    "op:Softmax": SOFTMAX,
    "op:nn.softmax": SOFTMAX,
    "op:Sigmoid": SIGMOID,
    "op:math.sigmoid": SIGMOID,
}


@dataclass(frozen=True, kw_only=True)
class Front:
    """What a model does with pixels of 0..255 before its first layer.

    Attributes:
        call: Number of the call whose result its first layer reads.
        factor: What the pixels are multiplied by, float64, one per channel of its images.
        summand: What is added then.
        is_reversed: Whether its channels are the images' the other way round.
        is_known: Whether it does anything.
    """

    call: int
    factor: Tensor
    summand: Tensor
    is_reversed: bool
    is_known: bool


@dataclass(frozen=True, kw_only=True)
class Translated:
    """A model as a module.

    Attributes:
        module: From what the front makes of the images to the logits.
        activation: What would make probabilities of the logits and was left out; may be empty.
        outputs: Number of logits.
    """

    module: nn.Module
    activation: str
    outputs: int


class Translation:
    """Draws the calls of a graph for images of one size.

    Args:
        file: Open as long as arrays are read.
        graph: Its model.
        sides: Height, width and channels of the images.
    """

    def __init__(self, file: KerasFile, graph: Graph, sides: tuple[int, int, int]) -> None:
        self._file = file
        self._graph = graph
        self._sides = sides
        for call in graph.calls[1:]:
            if call.layer.kind not in KINDS and call.layer.kind != _ITEM:
                raise self._unknown(call)
        self.front = self._front()

    def network(self, *, is_reversed: bool) -> Translated:
        """The module that computes logits.

        Args:
            is_reversed: Whether its channels are those of the images the other way round.

        Raises:
            InputError: A layer has an option that is not known, or weights of another shape.
        """
        drawing = Drawing(self._sides, is_reversed=is_reversed)
        values: dict[int, Value] = {self.front.call: drawing.images}
        needed, last, activation = self._needed(), _last_activation(self._graph), ""
        for number, call in enumerate(self._graph.calls):
            if number not in needed or number in values:
                continue
            if number == last:
                values[number], activation = self._without_activation(call, drawing, values)
            else:
                values[number] = self._drawn(call, call.layer.config, drawing, values)
        result = values[self._graph.output]
        if len(result.shape) != 1:
            raise InputError(
                f"{self._file.where}: expected a classifier, whose result is a vector, found a "
                f"result of shape {shown(result.shape)}"
            )
        return Translated(
            module=drawing.finished(result), activation=activation, outputs=result.shape[0]
        )

    def _without_activation(
        self, call: LayerCall, drawing: Drawing, values: Mapping[int, Value]
    ) -> tuple[Value, str]:
        """The last call without its activation, if that is over the classes, and its name."""
        name = _activation_of(call)
        if call.layer.kind in _ACTIVATIONS:
            value = values[call.results[0]]
            is_over_classes = name == SIGMOID or math.prod(value.shape[:-1]) == 1
            if is_over_classes and call.layer.config.get("axis", -1) in (-1, [-1], [1], 1):
                return value, name
            return self._drawn(call, call.layer.config, drawing, values), ""
        config = {**call.layer.config, "activation": LINEAR}
        value = self._drawn(call, config, drawing, values)
        if name == SIGMOID or math.prod(value.shape[:-1]) == 1:
            return value, name
        return self._drawn(call, call.layer.config, drawing, values), ""

    def _needed(self) -> set[int]:
        """Calls that the logits depend on."""
        needed, left = set(), [self._graph.output]
        while left:
            number = left.pop()
            if number not in needed:
                needed.add(number)
                left += () if number == self.front.call else self._graph.calls[number].results
        return needed

    def _unknown(self, call: LayerCall) -> InputError:
        kind = call.layer.kind.removeprefix("op:")
        code = ", which is code" if kind == "Lambda" else ""
        return InputError(
            f"{self._file.where}: {shown(call.layer.name)}: expected a layer of a convolutional "
            f"classifier, found {shown(kind)}{code}; {SAVE_OTHERWISE}"
        )

    def _drawn(
        self,
        call: LayerCall,
        config: Mapping[str, Any],
        drawing: Drawing,
        values: Mapping[int, Value],
    ) -> Value:
        if call.layer.kind not in KINDS:
            raise self._unknown(call)
        options, draw = KINDS[call.layer.kind]
        strange = [name for name in call.arguments if name not in ARGUMENTS]
        if strange:
            raise InputError(
                f"{self._file.where}: {shown(call.layer.name)}: expected no argument "
                f"{shown(strange[0])} of its call, found {shown(call.arguments[strange[0]])}"
            )
        inputs = tuple(values[number] for number in call.results)
        return draw(self._making(call, options, config, inputs, drawing))

    def _making(
        self,
        call: LayerCall,
        options: type[Options],
        config: Mapping[str, Any],
        inputs: tuple[Value, ...],
        drawing: Drawing,
    ) -> Making[Options]:
        where = f"{self._file.where}: {shown(call.layer.name)} ({shown(call.layer.kind)})"
        return Making(
            call=call,
            options=read_options(options, config, where),
            inputs=inputs,
            drawing=drawing,
            weights=self._file.weights,
            keras=self._file.version,
            where=where,
        )

    def _front(self) -> Front:
        """The calls on the images alone that only multiply and add constants, or reorder them."""
        channels = self._sides[2]
        factor = torch.ones(channels, dtype=torch.float64)
        summand = torch.zeros(channels, dtype=torch.float64)
        nothing = Front(call=0, factor=factor, summand=summand, is_reversed=False, is_known=False)
        readers = self._graph.readers()
        following = {
            number: place for place, call in enumerate(self._graph.calls) for number in call.results
        }
        place, is_reversed, is_known = 0, False, False
        drawing = Drawing(self._sides)
        while readers[place] == 1 and place in following:
            call = self._graph.calls[following[place]]
            if call.layer.kind in IDLE:
                pass
            elif call.layer.kind in AFFINE and len(call.results) == 1:
                options, find = AFFINE[call.layer.kind]
                making = self._making(call, options, call.layer.config, (drawing.images,), drawing)
                times, plus = find(making)
                factor, summand = factor * times, summand * times + plus
                is_known = True
            elif call.layer.kind == _ITEM and call.operands[1:] == (_REVERSED,):
                factor, summand = factor.flip(0), summand.flip(0)
                is_reversed = not is_reversed
            else:
                break
            place = following[place]
        if not bool((factor > 0).all()):
            return nothing
        if is_reversed:
            factor, summand = factor.flip(0), summand.flip(0)
        return Front(
            call=place, factor=factor, summand=summand, is_reversed=is_reversed, is_known=is_known
        )


def _last_activation(graph: Graph) -> int | None:
    """Number of the call whose activation makes probabilities of the logits; None without one.

    Behind it may stand what only gives them another shape.
    """
    readers, number = graph.readers(), graph.output
    while graph.calls[number].layer.kind in (*_SHAPING, *IDLE) and graph.calls[number].results:
        if readers[number] != 1:
            return None
        number = graph.calls[number].results[0]
    is_one = _activation_of(graph.calls[number]) in (SOFTMAX, SIGMOID)
    return number if is_one and readers[number] == 1 else None


def _activation_of(call: LayerCall) -> str:
    """The activation of a layer, or that a layer is."""
    own = _ACTIVATIONS.get(call.layer.kind, "")
    return own or name_of(call.layer.config.get("activation"))
