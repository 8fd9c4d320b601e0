"""Builds a torch module step by step, in torch's order of dimensions.

Keras' tensors are (N, H, W, C), torch's (N, C, H, W). Shapes here are Keras', without N, as its
options speak of them; what the steps compute is torch's.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAPS: Final = 3  # dimensions of (H, W, C)

# Zeros beside a map: (left, right, top, bottom), as torch's pad takes them.
Pads = tuple[int, int, int, int]
NO_PADS: Final[Pads] = (0, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Value:
    """What a step gives.

    Attributes:
        step: Its number.
        shape: Keras' shape, without the images.
        pads: Zeros that still have to be put beside it; the shape counts them.
        maps: Shape of the maps that a vector was made of in torch's order; None for any other.
        is_rectified: Whether none of its numbers is negative.
        is_reversed: Whether these are the images, whose channels are meant the other way round.
    """

    step: int
    shape: tuple[int, ...]
    pads: Pads = NO_PADS
    maps: tuple[int, ...] | None = None
    is_rectified: bool = False
    is_reversed: bool = False


@dataclass(frozen=True, kw_only=True)
class _Step:
    """A function, or a module by its name, of the results of earlier steps."""

    run: Callable[..., Tensor] | str
    inputs: tuple[int, ...]


class KerasNetwork(nn.Module):
    """The steps of a model on float32 images (N, C, H, W)."""

    def __init__(
        self, steps: Sequence[_Step], output: int, modules: Mapping[str, nn.Module]
    ) -> None:
        super().__init__()
        self._steps = tuple(steps)
        self._output = output
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        values = [x]
        for step in self._steps:
            run: Any = getattr(self, step.run) if isinstance(step.run, str) else step.run
            values.append(run(*(values[number] for number in step.inputs)))
        return values[self._output]


class Drawing:
    """Collects steps; the images are value number 0."""

    def __init__(self, shape: tuple[int, ...], *, is_reversed: bool = False) -> None:
        self.images = Value(step=0, shape=shape, is_reversed=is_reversed)
        self._steps: list[_Step] = []
        self._modules: dict[str, nn.Module] = {}

    def module(
        self, name: str, module: nn.Module, value: Value, shape: tuple[int, ...], **more: Any
    ) -> Value:
        """Append a layer with weights; its name is the layer's in Keras."""
        safe = re.sub(r"\W", "_", name)[:100]
        if not safe or safe[0].isdigit() or hasattr(nn.Module(), safe):
            safe = f"layer_{safe}"
        number = 1
        while (unique := safe if number == 1 else f"{safe}_{number}") in self._modules:
            number += 1
        self._modules[unique] = module
        return self._append(unique, (value,), shape, **more)

    def function(
        self,
        run: Callable[..., Tensor],
        values: Sequence[Value],
        shape: tuple[int, ...] | None = None,
        **more: Any,
    ) -> Value:
        """Append a function; the shape is that of its first value if none is given."""
        return self._append(run, tuple(values), values[0].shape if shape is None else shape, **more)

    def plain(self, value: Value) -> Value:
        """A value with nothing left to be done to it."""
        if value.is_reversed:
            value = self.function(_reversed, [value], pads=value.pads)
        if value.pads != NO_PADS:
            padded = partial(F.pad, pad=value.pads)
            return self.function(padded, [value], is_rectified=value.is_rectified)
        if value.maps is not None:
            ordered = partial(_in_their_order, maps=value.maps)
            return self.function(ordered, [value], is_rectified=value.is_rectified)
        return value

    def finished(self, value: Value) -> nn.Module:
        """The network whose result is this value, in evaluation mode."""
        output = self.plain(value).step
        return KerasNetwork(self._steps, output, self._modules).eval()

    def _append(
        self,
        run: Callable[..., Tensor] | str,
        values: tuple[Value, ...],
        shape: tuple[int, ...],
        **more: Any,
    ) -> Value:
        self._steps.append(_Step(run=run, inputs=tuple(value.step for value in values)))
        return Value(step=len(self._steps), shape=shape, **more)


def _in_their_order(x: Tensor, maps: tuple[int, ...]) -> Tensor:
    """A vector of maps in torch's order as one in Keras'."""
    height, width, channels = maps
    return x.reshape(-1, channels, height, width).permute(0, 2, 3, 1).flatten(1)


def _reversed(x: Tensor) -> Tensor:
    """The channels the other way round, by operators that only move numbers."""
    return torch.cat([x[:, place : place + 1] for place in reversed(range(x.shape[1]))], 1)
