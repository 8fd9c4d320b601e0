"""Layers and operations that compute with several results, or with constants."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Final, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from eightbit.models.doors.keras.drawing import MAPS, Value
from eightbit.models.doors.keras.graph import Result
from eightbit.models.doors.keras.making import Making
from eightbit.models.doors.keras.options import AxisOptions, Number, Options

# Normalization divides by no less (`keras.backend.epsilon`).
_LEAST_DEVIATION: Final = 1e-7

_Numbers = Annotated[tuple[Number, ...], Field(max_length=2**16)]


class RescalingOptions(Options):
    """Of `Rescaling`."""

    scale: Number | _Numbers
    offset: Number | _Numbers = 0.0


class NormalizationOptions(Options):
    """Of `Normalization`; where it has been adapted, its numbers are among the weights."""

    axis: int | tuple[int, ...] | None = -1
    mean: Any = None
    variance: Any = None
    invert: Literal[False] = False


Affine = tuple[Tensor, Tensor]
"""A factor and a summand, each one number or one per channel: float64, shape (1,) or (C,)."""


def rescaled(making: Making[RescalingOptions]) -> Affine:
    """`x * scale + offset`."""
    return (
        _numbers(making, making.options.scale),
        _numbers(making, making.options.offset),
    )


def normalized(making: Making[NormalizationOptions]) -> Affine:
    """`(x - mean) / max(sqrt(variance), 1e-7)`."""
    options, channels = making.options, making.inputs[0].shape[-1]
    axes = (options.axis,) if isinstance(options.axis, int) else options.axis or ()
    rank = len(making.inputs[0].shape) + 1
    if tuple(axis % rank for axis in axes) not in ((), (rank - 1,)):
        raise making.refuse("axis: the channels, or none", options.axis)
    if options.mean is None or options.variance is None:
        shape = (channels,) if axes else ()
        found = making.arrays(("mean", shape), ("variance", shape), skipped=("count",))
        mean, variance = (part.double().flatten() for part in found)
    else:
        mean, variance = _numbers(making, options.mean), _numbers(making, options.variance)
    if bool((variance < 0).any()):
        raise making.refuse("variances that are not negative", "others")
    deviation = variance.sqrt().clamp(min=_LEAST_DEVIATION)
    return 1 / deviation, -mean / deviation


def constant_part(making: Making[Options], name: str, second: str) -> Affine:
    """An operation on a result and a constant."""
    operands = [*making.call.operands]
    operands += [making.call.arguments[second]] if second in making.call.arguments else []
    constants = [value for value in operands if not isinstance(value, Result)]
    if len(operands) != 2 or len(constants) != 1:
        raise making.refuse("a result and a constant", f"{len(operands)} operands")
    number = _numbers(making, constants[0])
    one = torch.ones(1, dtype=torch.float64)
    is_first = not isinstance(operands[0], Result)
    if name == "add":
        return one, number
    if name == "multiply":
        return number, 0 * one
    if name == "subtract":
        return (-one, number) if is_first else (one, -number)
    if is_first or bool((number == 0).any()):
        raise making.refuse("a divisor that is a constant other than 0", "another")
    return 1 / number, 0 * one


def affine(find: Callable[[Any], Affine]) -> Callable[[Any], Value]:
    """A layer that multiplies by constants and adds constants."""

    def draw(making: Making[Any]) -> Value:
        value = making.one()
        factor, summand = find(making)
        return making.drawing.module(
            making.name, ByChannel(factor, summand, len(value.shape)), value, value.shape
        )

    return draw


def operation(name: str, second: str) -> Callable[[Any], Value]:
    """An operation of two results, or of one and a constant."""
    fold = _FOLDS[name]

    def draw(making: Making[Options]) -> Value:
        if len(making.inputs) == 1:
            return affine(partial(constant_part, name=name, second=second))(making)
        one, other = (making.drawing.plain(value) for value in making.inputs)
        return _folded(making, fold, one, other)

    return draw


def merged(fold: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Any], Value]:
    """A layer that folds several inputs; vectors are for every position of maps."""

    def draw(making: Making[Options]) -> Value:
        values = [making.drawing.plain(value) for value in making.inputs]
        if len(values) < 2:
            raise making.refuse("several inputs", len(values))
        rank = max(len(value.shape) for value in values)
        result, *others = (
            making.drawing.function(_everywhere, [value], (1, 1, value.shape[0]))
            if rank == MAPS and len(value.shape) == 1
            else value
            for value in values
        )
        for value in others:
            result = _folded(making, fold, result, value)
        return result

    return draw


def average(making: Making[Options]) -> Value:
    """The mean of several inputs."""
    total = merged(torch.add)(making)
    return making.elementwise(partial(torch.mul, other=1 / len(making.inputs)), total)


def concatenate(making: Making[AxisOptions]) -> Value:
    """Along a dimension other than the images."""
    values = [making.drawing.plain(value) for value in making.inputs]
    rank = len(values[0].shape) + 1 if values else 1
    axis = making.chosen("axis", making.options.axis)
    axis = axis % rank if isinstance(axis, int) and -rank <= axis < rank else 0
    others = {value.shape[: axis - 1] + value.shape[axis:] for value in values}
    if axis == 0 or len(others) != 1:
        raise making.refuse(
            "inputs that are alike but for one dimension", [value.shape for value in values]
        )
    shape = list(values[0].shape)
    shape[axis - 1] = sum(value.shape[axis - 1] for value in values)
    place = {1: 2, 2: 3, 3: 1}[axis] if rank == MAPS + 1 else axis
    joined = partial(_joined, dim=place)
    rectified = all(value.is_rectified for value in values)
    return making.drawing.function(joined, values, tuple(shape), is_rectified=rectified)


class ByChannel(nn.Module):
    """`x * factor + summand`, float32, one number or one per channel."""

    factor: Tensor
    summand: Tensor

    def __init__(self, factor: Tensor, summand: Tensor, rank: int) -> None:
        super().__init__()
        shape = (-1, 1, 1) if rank == MAPS else (-1,)
        self.has_factor = bool((factor != 1).any())
        self.has_summand = bool((summand != 0).any())
        self.register_buffer("factor", factor.float().reshape(shape))
        self.register_buffer("summand", summand.float().reshape(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to itself."""
        x = x * self.factor if self.has_factor else x
        return x + self.summand if self.has_summand else x


def _numbers(making: Making[Any], value: object) -> Tensor:
    """A number, or one per channel of the input: finite float64 (1,) or (C,)."""
    channels = making.inputs[0].shape[-1]
    try:
        tensor = torch.tensor(value, dtype=torch.float64).flatten()
    except (TypeError, ValueError, RuntimeError, OverflowError) as exc:
        raise making.refuse("numbers", value) from exc
    if len(tensor) not in (1, channels) or not torch.isfinite(tensor).all():
        raise making.refuse(f"one finite number, or one for each of {channels} channels", value)
    return tensor


def _folded(
    making: Making[Any], fold: Callable[[Tensor, Tensor], Tensor], one: Value, other: Value
) -> Value:
    """Append a function of two, of which one may be the same at every position."""
    pairs = list(zip(one.shape, other.shape, strict=False))
    fits = all(mine == theirs or 1 in (mine, theirs) for mine, theirs in pairs)
    if len(one.shape) != len(other.shape) or not fits:
        raise making.refuse("inputs of one shape", f"{one.shape} and {other.shape}")
    shape = tuple(max(pair) for pair in pairs)
    rectified = one.is_rectified and other.is_rectified and fold is not torch.sub
    return making.drawing.function(fold, [one, other], shape, is_rectified=rectified)


def _everywhere(x: Tensor) -> Tensor:
    return x[:, :, None, None]


def _joined(*tensors: Tensor, dim: int) -> Tensor:
    return torch.cat(tensors, dim)


_FOLDS: Final[dict[str, Callable[[Tensor, Tensor], Tensor]]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
}
