"""From torch's own operators to those that are known here, each spelling to one form."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import fx, nn

from eightbit.models.errors import InputError
from eightbit.quantize.network.drawing import Drawing
from eightbit.quantize.network.operators import (
    FLOAT,
    MOVING,
)

MAPS: Final = 4  # dimensions of (N, C, H, W)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One operator of an exported program.

    Attributes:
        key: Its name and overload, without a mark of writing in place.
        values: Its arguments by name; tensors are nodes of the drawing, or weights as they are.
        given: Those that are not left to their default.
        schema: Of the operator.
        target: The operator.
        path: The user's module that called it.
        shape: Of its result, -1 for the number of images.
        input_shape: Of its first input that depends on the images, likewise.
        shapes: Of all inputs.
        is_only_reader: Whether nothing else reads that input.
        parts: Shapes of its results, where it has several.
    """

    key: str
    values: Mapping[str, Any]
    given: Mapping[str, Any]
    schema: Any
    target: Any
    path: str
    shape: tuple[int, ...]
    input_shape: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    is_only_reader: bool
    parts: tuple[tuple[int, ...], ...] = ()

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def named(self, word: str) -> str:
        """A name for what is made here: the module's, and what is done; it has a dot.

        Names without are given to the nodes of a trace, and to what they write in ONNX.
        """
        return f"{self.path or 'net'}.{word}"

    def refuse(self, expected: str, found: object) -> InputError:
        """The error that an attribute of the operator is not known."""
        return InputError(f"{self.named(self.key)}: expected {expected}, found {found}")


class Lowering:
    """Draws the network.

    Attributes:
        origins: The names of weights by ``id()``.
        shapes: Of what stands for the results of calls.
    """

    def __init__(self) -> None:
        self.drawing = Drawing()
        self.origins: dict[int, str] = {}
        self.shapes: dict[fx.Node, tuple[int, ...]] = {}
        self._kept: list[torch.Tensor] = []
        self._reshapes: dict[fx.Node, tuple[fx.Node, tuple[int, ...]]] = {}
        self._permutations: dict[fx.Node, tuple[fx.Node, tuple[int, ...]]] = {}

    def add_convolution(
        self,
        call: Call,
        x: fx.Node,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        **options: Any,
    ) -> fx.Node:
        """Append a convolution with copies of its weights; a missing bias is zero."""
        inputs = weight.shape[1] * options.get("groups", 1)
        layer = nn.Conv2d(inputs, len(weight), pair(weight.shape[2:]), **options)
        set_weights(layer, weight, bias)
        return self.drawing.module(x, layer, self.layer_name(call, weight))

    def layer_name(self, call: Call, weight: torch.Tensor) -> str:
        """A layer's name: that of its weights."""
        origin = self.origins.get(id(weight), "")
        return origin.removesuffix(".weight") if origin.endswith(".weight") else call.named("layer")

    def global_pool(self, call: Call) -> fx.Node:
        """Append an average over all positions."""
        pool = nn.AdaptiveAvgPool2d((1, 1))
        return self.drawing.module(first(call), pool, call.named("pool"))

    def reshaped(self, x: fx.Node, before: tuple[int, ...], after: tuple[int, ...]) -> fx.Node:
        """Append a reshape, none where two undo each other; all but the images is flattened."""
        x, before = self._reshapes.get(x, (x, before))
        if before == after:
            return x
        if len(after) == 2 and after[0] == before[0] == -1:
            result = self.drawing.function(torch.flatten, (x, 1))
        else:
            result = self.moved("reshape", x, (list(after),))
        self._reshapes[result] = (x, before)
        return result

    def permuted(self, x: fx.Node, before: tuple[int, ...], order: tuple[int, ...]) -> fx.Node:
        """Append a permutation of dimensions, none where two undo each other."""
        if x in self._permutations:
            x, first_order = self._permutations[x]
            before = permuted_sizes(before, inverted(first_order))
            order = permuted_sizes(first_order, order)
        if order == tuple(range(len(order))):
            return x
        if is_reshape(before, order):
            result = self.reshaped(x, before, permuted_sizes(before, order))
            if self._reshapes.get(result, (None,))[0] is None:
                return result  # made before, from the same numbers
        else:
            result = self.moved("permute", x, (list(order),))
        self._permutations[result] = (x, order)
        return result

    def permutation(self, x: fx.Node) -> tuple[fx.Node, tuple[int, ...]] | None:
        """What a node permutes, and how; None if it permutes nothing."""
        return self._permutations.get(x)

    def flattened(self, x: fx.Node) -> tuple[fx.Node, tuple[int, ...]] | None:
        """What a node reshapes, and that one's shape; None if it reshapes nothing."""
        return self._reshapes.get(x)

    def base(self, value: Any) -> Any:
        """What holds the same numbers, before it was reshaped or permuted."""
        while isinstance(value, fx.Node):
            known = self._permutations.get(value) or self._reshapes.get(value)
            if known is None:
                break
            value = known[0]
        return value

    def kept(self, value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Weights that were made of others, under their name."""
        self._kept.append(value)
        if id(like) in self.origins:
            self.origins[id(value)] = self.origins[id(like)]
        return value

    def moved(self, name: str, x: fx.Node, arguments: tuple[Any, ...]) -> fx.Node:
        """Append a function that only moves numbers."""
        return self.drawing.function(MOVING[name], (x, *arguments))

    def in_float(self, call: Call) -> fx.Node:
        """Any other operator that is known, as it is, between a dequantize and a quantize."""
        target = FLOAT.get(f"float.{call.key}")
        if target is None:
            raise call.refuse("an operator of a convolutional network", call.key)
        word = call.key.partition(".")[0]
        positional, keywords = [], {}
        for argument in call.schema.arguments:
            value = call.values[argument.name]
            if isinstance(value, torch.Tensor):
                origin = self.origins.get(id(value), call.named(argument.name))
                value = self.drawing.parameter(value, origin)
            if not argument.kwarg_only:
                positional.append(value)
            elif value != argument.default_value:
                keywords[argument.name] = value
        return self.drawing.function(target, tuple(positional), keywords, name=call.named(word))


def first(call: Call) -> fx.Node:
    """The first argument of a call, which depends on the images."""
    value = call.values["input" if "input" in call.values else "self"]
    if not isinstance(value, fx.Node):
        raise call.refuse("a tensor that depends on the images", "weights alone")
    return value


def set_weights(
    layer: nn.Conv2d | nn.Linear, weight: torch.Tensor, bias: torch.Tensor | None
) -> None:
    """Give a layer copies of weights; a missing bias is zero."""
    bias = torch.zeros(len(weight)) if bias is None else bias
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)


def pair(value: Any) -> tuple[int, int]:
    """Both of two sizes, of which torch may say one."""
    values = [value] if isinstance(value, int) else list(value)
    return (values[0], values[-1])


def inverted(order: tuple[int, ...]) -> tuple[int, ...]:
    """The permutation that undoes another."""
    return tuple(order.index(place) for place in range(len(order)))


def permuted_sizes(sizes: tuple[int, ...], order: tuple[int, ...]) -> tuple[int, ...]:
    """Numbers, one for each dimension, in another order."""
    return tuple(sizes[place] for place in order)


def is_reshape(before: tuple[int, ...], order: tuple[int, ...]) -> bool:
    """Whether a permutation moves nothing but dimensions of size 1."""
    moved = [place for place in order if before[place] != 1]
    return moved == sorted(moved)
