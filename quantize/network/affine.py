"""Numbers for each channel, multiplied and added: part of the layer before, or one of their own.

So BatchNorm is written by whoever takes it apart, biases by whoever has none in a layer.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch import fx, nn

from eightbit.quantize.network.lowered_layers import LOWERED_LAYERS
from eightbit.quantize.network.lowering import MAPS, Call, Lowering, set_weights
from eightbit.quantize.network.operators import FLOAT

Lower = Callable[[Lowering, Call], Any]


def _scaled(lowering: Lowering, call: Call) -> Any:
    return _affine(lowering, call, lambda factor: (factor, torch.zeros_like(factor)))


def _divided(lowering: Lowering, call: Call) -> Any:
    return _affine(lowering, call, lambda divisor: (1 / divisor, torch.zeros_like(divisor)))


def _shifted(lowering: Lowering, call: Call) -> Any:
    return _affine(lowering, call, lambda summand: (torch.ones_like(summand), summand))


def _lessened(lowering: Lowering, call: Call) -> Any:
    return _affine(lowering, call, lambda summand: (torch.ones_like(summand), -summand))


def _affine(
    lowering: Lowering,
    call: Call,
    parts: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
) -> Any:
    """Factor and summand of each channel, in integers where they can be."""
    usual = LOWERED_LAYERS[call.key]
    x, known = call["self"], call["other"]
    if isinstance(known, fx.Node) and call.key in _COMMUTE:
        x, known = known, x
    values = _for_channels(call, known)
    if not isinstance(x, fx.Node) or values is None or call.values.get("alpha", 1) != 1:
        return usual(lowering, call)
    factor, summand = parts(values)
    if not (torch.isfinite(factor).all() and torch.isfinite(summand).all()):
        return usual(lowering, call)
    layer = lowering.drawing.module_of(x) if call.is_only_reader else None
    if type(layer) in (nn.Conv2d, nn.Linear):
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        wide = factor.reshape(-1, *[1] * (layer.weight.dim() - 1))
        bias = summand if layer.bias is None else layer.bias * factor + summand
        set_weights(layer, layer.weight * wide, bias)
        return x
    if _is_number(known) or len(call.shape) != MAPS or _is_float(lowering, x):
        return usual(lowering, call)
    return lowering.add_convolution(
        *(call, x, factor.reshape(-1, 1, 1, 1), summand), groups=len(factor)
    )


def _for_channels(call: Call, known: Any) -> torch.Tensor | None:
    """One number, or one for each channel of maps or vectors; None for anything else."""
    channels = call.shape[1] if len(call.shape) in (2, MAPS) else 0
    if call.input_shape != call.shape or not channels or isinstance(known, bool):
        return None
    if isinstance(known, int | float):
        return torch.full((channels,), float(known))
    if not isinstance(known, torch.Tensor) or known.dim() > len(call.shape):
        return None
    shape = (1,) * (len(call.shape) - known.dim()) + tuple(known.shape)
    if any(size != 1 for place, size in enumerate(shape) if place != 1):
        return None
    return known.detach().float().reshape(-1).expand(channels)


def _is_number(known: Any) -> bool:
    return isinstance(known, int | float) or known.numel() == 1


def _is_float(lowering: Lowering, x: fx.Node) -> bool:
    """Whether it is computed in float, as the images are."""
    return x is lowering.drawing.input or x.target in FLOAT.values()


_COMMUTE: Final = ("add.Tensor", "mul.Tensor")

LOWERED_AFFINE: Final[Mapping[str, Lower]] = {
    "mul.Tensor": _scaled,
    "mul.Scalar": _scaled,
    "div.Tensor": _divided,
    "div.Scalar": _divided,
    "add.Tensor": _shifted,
    "add.Scalar": _shifted,
    "sub.Tensor": _lessened,
    "sub.Scalar": _lessened,
}
