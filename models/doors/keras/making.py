"""What a kind of layer is made with, and what all of them need."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from torch import Tensor

from eightbit.models.doors.keras.activations import (
    LINEAR,
    expected,
    function_of,
    is_rectifying,
)
from eightbit.models.doors.keras.drawing import MAPS, Drawing, Pads, Value
from eightbit.models.doors.keras.files import Weights
from eightbit.models.doors.keras.graph import LayerCall
from eightbit.models.doors.keras.options import Options
from eightbit.models.doors.wordings import shown
from eightbit.models.errors import InputError

Read = TypeVar("Read", bound=Options, covariant=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Making(Generic[Read]):
    """A call of a layer, to be drawn.

    Attributes:
        call: The layer, and constants among what it reads.
        options: Of the layer.
        inputs: What it reads of other layers.
        drawing: Takes the steps.
        weights: Of the file.
        keras: Version of the Keras that wrote it.
        where: The file and the layer, in messages.
    """

    call: LayerCall
    options: Read
    inputs: tuple[Value, ...]
    drawing: Drawing
    weights: Weights
    keras: tuple[int, int]
    where: str

    def refuse(self, expected: str, found: object) -> InputError:
        """The error that something of the layer is not known."""
        return InputError(f"{self.where}: expected {expected}, found {shown(found)}")

    @property
    def name(self) -> str:
        """The layer's."""
        return self.call.layer.name

    def one(self, *, rank: int | None = None) -> Value:
        """The only input, with nothing left to be done to it.

        Raises:
            InputError: There is another number of inputs, or it has another rank.
        """
        return self.drawing.plain(self.raw(rank=rank))

    def raw(self, *, rank: int | None = None) -> Value:
        """The only input as it is, with zeros that may not be put beside it yet."""
        if len(self.inputs) != 1 or (rank is not None and len(self.inputs[0].shape) != rank):
            shapes = ", ".join(str(value.shape) for value in self.inputs)
            kind = (
                ""
                if rank is None
                else " of maps (height, width, channels)"
                if rank == MAPS
                else (" of vectors")
            )
            raise self.refuse(f"one input{kind}", shapes or "none")
        return self.inputs[0]

    def arrays(
        self, *wanted: tuple[str, Sequence[int]], skipped: Sequence[str] = ()
    ) -> tuple[Tensor, ...]:
        """Weights by name, of these shapes.

        Raises:
            InputError: The file has others.
        """
        found = self.weights.of(self.call.layer.place, [name for name, _ in wanted], skipped)
        for (name, shape), tensor in zip(wanted, found, strict=True):
            if tuple(tensor.shape) != tuple(shape):
                raise self.refuse(f"{name} of shape {tuple(shape)}", tuple(tensor.shape))
        return found

    def activated(self, value: Value, name: str) -> Value:
        """Append an activation, none for the identity.

        Raises:
            InputError: It is not known.
        """
        if name == LINEAR:
            return value
        try:
            function = function_of(name, self.keras, len(value.shape) + 1)
        except KeyError as exc:
            raise self.refuse(f"an activation that is {expected()}", name) from exc
        return self.elementwise(function, value, is_rectified=is_rectifying(name))

    def elementwise(
        self, function: Callable[[Tensor], Tensor], value: Value, *, is_rectified: bool = False
    ) -> Value:
        """Append a function of each number, whose order does not matter."""
        source = value if value.maps is not None else self.drawing.plain(value)
        return self.drawing.function(
            function, [source], maps=source.maps, is_rectified=is_rectified
        )

    def chosen(self, name: str, default: Any = None) -> Any:
        """A further argument of the call."""
        return self.call.arguments.get(name, default)


def same_pads(
    sides: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Pads:
    """Zeros for a result of ceil(side / stride); an odd one stands below and right.

    Source: https://www.tensorflow.org/api_docs/python/tf/nn#same_padding
    """
    found: list[int] = []
    for side, taps, step, spread in reversed(
        list(zip(sides, kernel, strides, dilation, strict=True))
    ):
        total = max((-(-side // step) - 1) * step + (taps - 1) * spread + 1 - side, 0)
        found += [total // 2, total - total // 2]
    left, right, top, bottom = found
    return (left, right, top, bottom)


def with_pads(one: Pads, other: Pads) -> Pads:
    """Both beside each other."""
    left, right, top, bottom = (a + b for a, b in zip(one, other, strict=True))
    return (left, right, top, bottom)
