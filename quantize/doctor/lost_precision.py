"""What a file has lost when it was quantized, as far as its integers and scales show it.

No image is needed, and nothing is guessed: where the numbers admit an innocent reason, too, a
finding says "may".
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from eightbit.models.plain_text import one_line
from eightbit.quantize.doctor.findings import Finding, Severity, count
from eightbit.quantize.doctor.graph_view import GraphView, input_of
from eightbit.quantize.doctor.integer_layers import (
    Grid,
    IntegerLayer,
    Integers,
    Reals,
    integer_layers,
)

Flags = npt.NDArray[np.bool_]
Sums = npt.NDArray[np.int64]
# The channels of a layer, by its name.
_Place = tuple[str, Flags]

_INT32: Final = np.iinfo(np.int32)

# An eighth of the integers is three bits fewer.
_FEW: Final = 8

# Times the largest scale of the channels with weights, from which a scale was not chosen like them.
_OUT_OF_LINE: Final = 8

# A range that holds the weights has one at its end, or one at either; a tail has no more there than
# nearby. What is called clipped has many, where the next integers have few.
_AT_THE_ENDS: Final = 8
_SHARE_AT_THE_ENDS: Final = 0.01
_NEARBY: Final = 4
_DISTINCT: Final = 16

_SHOWN: Final = 3

# Where operators have scales.
_SCALES: Final[Mapping[str, tuple[int, ...]]] = {
    "QuantizeLinear": (1,),
    "DequantizeLinear": (1,),
    "QLinearConv": (1, 4, 6),
    "QLinearMatMul": (1, 4, 6),
    "QGemm": (1, 4, 7),
    "QLinearAdd": (1, 4, 6),
    "QLinearMul": (1, 4, 6),
    "QLinearAveragePool": (1, 3),
    "QLinearGlobalAveragePool": (1, 3),
    "QLinearLeakyRelu": (1, 3),
    "QLinearSigmoid": (1, 3),
    "MatMulIntegerToFloat": (2, 3),
}


class _Layer(NamedTuple):
    """What is kept of a layer; arrays of shape (O,).

    Attributes:
        largest: The largest magnitude of a channel's integers.
        scale: Of the weights.
        output_scale: None where the output is not rounded.
        lost_at_most: What a bias of 0 in a channel without weights can have been, 0 elsewhere; None
            where that is not known.
        lost_on_loading: What ONNX Runtime rounds off a float bias, 0 where it rounds none.
        constant: Whether all weights have one magnitude, which any scale can hold.
        matters: Whether the weights can move the output by a step.
    """

    name: str
    per_tensor: bool
    largest: Sums
    scale: Reals
    output_scale: float | None
    lost_at_most: Reals | None
    lost_on_loading: Reals
    constant: Flags
    matters: Flags
    clipped: Flags
    overflows: Flags


def precision_findings(view: GraphView) -> Iterator[Finding]:
    """What the integers of a graph as written, and their scales, say of what was lost."""
    layers = [_examined(layer) for layer in integer_layers(view)]
    yield from _unusable_scales(view)
    yield from _overflowing(layers)
    yield from _lost_biases(layers)
    yield from _biases_lost_on_loading(layers)
    yield from _shared_scales([layer for layer in layers if layer.per_tensor])
    yield from _wide_scales([layer for layer in layers if not layer.per_tensor])
    yield from _clipped(layers)


def _examined(layer: IntegerLayer) -> _Layer:
    channels = len(layer.weight)
    scale = np.broadcast_to(layer.scale, channels)
    largest = np.abs(layer.weight).max(axis=1).astype(np.int64)
    bias = layer.bias if layer.bias is not None else np.zeros(channels, np.int64)
    overflows = (bias >= _INT32.max) | (bias <= _INT32.min)
    lost, matters = None, np.ones(channels, bool)
    lost_on_loading = np.zeros(channels)
    if layer.input is not None:
        least, most = _reach(layer.weight, layer.input)
        overflows |= (bias + most > _INT32.max) | (bias + least < _INT32.min)
        step = layer.input.scale * scale
        if layer.output_scale is not None:
            matters = np.maximum(most, -least) * step >= layer.output_scale
            if layer.real_bias is not None:
                above_a_step = np.mod(layer.real_bias, step)
                lost_on_loading = np.minimum(above_a_step, step - above_a_step)
        if layer.bias is not None:
            lost = np.where((largest == 0) & (bias == 0), step / 2, 0.0)
    return _Layer(
        name=layer.name,
        per_tensor=layer.scale.size == 1 < channels,
        largest=largest,
        scale=scale,
        output_scale=layer.output_scale,
        lost_at_most=lost,
        lost_on_loading=lost_on_loading,
        constant=np.abs(layer.weight).min(axis=1) == largest,
        matters=matters,
        clipped=_clipped_channels(layer.weight),
        overflows=overflows,
    )


def _reach(weight: Integers, source: Grid) -> tuple[Sums, Sums]:
    """The least and the most that a channel's products can add up to, shape (O,) each."""
    above = np.maximum(weight, 0).sum(axis=1, dtype=np.int64)
    below = np.minimum(weight, 0).sum(axis=1, dtype=np.int64)
    least = above * source.low + below * source.high
    return least, above * source.high + below * source.low


def _clipped_channels(weight: Integers) -> Flags:
    """Where a channel's integers pile up at the ends of their range; (O, K) to (O,)."""
    lowest, highest = weight.min(axis=1), weight.max(axis=1)
    largest = np.maximum(-lowest, highest)
    at_the_ends, nearby = np.zeros((2, len(weight)), np.int64)
    # An end near zero is where weights of one sign begin.
    for end in (lowest, highest):
        away = np.abs(weight - end[:, np.newaxis])
        is_end = 2 * np.abs(end) >= largest
        at_the_ends += is_end * (away == 0).sum(axis=1)
        nearby += is_end * ((away > 0) & (away <= _NEARBY)).sum(axis=1)
    enough = max(_AT_THE_ENDS, _SHARE_AT_THE_ENDS * weight.shape[1])
    clipped: Flags = (lowest < highest) & (at_the_ends >= enough) & (at_the_ends > nearby)
    # Few values, as of a box filter or of weights of two bits, are exact as they are.
    magnitudes = np.sort(np.abs(weight[clipped]), axis=1)
    clipped[clipped] = np.count_nonzero(np.diff(magnitudes, axis=1), axis=1) >= _DISTINCT - 1
    return clipped


def _unusable_scales(view: GraphView) -> Iterator[Finding]:
    """Scales that are no positive number, or one so small that it has lost digits."""
    names = {
        input_of(node, index) for node in view.nodes for index in _SCALES.get(node.op_type, ())
    }
    wrong, subnormal = [], []
    for name in sorted(names):
        scale = view.reals(name)
        if scale is None:
            continue
        if not (np.isfinite(scale) & (scale > 0)).all():
            wrong.append(name)
        elif (scale < np.finfo(np.float32).tiny).any():
            subnormal.append(name)
    if wrong:
        yield Finding(
            severity=Severity.WARNING,
            what=f"{count(len(wrong), 'scale')} with a value that is no positive number",
            why=f"Zero, negative, infinite or NaN: what it rounds is lost ({_some(wrong)})",
            remedy="Look for NaN and infinity in the calibration's data, and quantize again",
        )
    if subnormal:
        yield Finding(
            severity=Severity.WARNING,
            what=f"{count(len(subnormal), 'scale')} below the normal numbers of float32",
            why="Such a number has lost digits, and is zero where a runtime flushes subnormal ones "
            f"({_some(subnormal)})",
            remedy="Quantize again with a lower bound for scales, or remove what is always zero",
        )


def _overflowing(layers: Sequence[_Layer]) -> Iterator[Finding]:
    found = [(layer.name, layer.overflows) for layer in layers if layer.overflows.any()]
    if found:
        yield Finding(
            severity=Severity.WARNING,
            what=f"Sums of {count(_total(found), 'output channel')} can leave int32",
            why="Their biases are at the end of int32, where larger ones were cut off, or so near "
            f"that products added to them go beyond and wrap around: {_named(found)}",
            remedy="Give these channels a larger weight scale, so that bias / (input scale x "
            "weight scale) stays below 2^30 (eightbit does)",
        )


def _lost_biases(layers: Sequence[_Layer]) -> Iterator[Finding]:
    """Biases of channels without weights, whose scale was not chosen to hold a bias."""
    everywhere = max((_usual_scale(layer) for layer in layers), default=0.0)
    found: list[_Place] = []
    lost, in_steps = 0.0, 0.0
    for layer in layers:
        usual = _usual_scale(layer) or everywhere
        if layer.lost_at_most is None or not usual:
            continue
        out_of_line = layer.lost_at_most * (layer.scale >= _OUT_OF_LINE * usual)
        if out_of_line.any():
            found.append((layer.name, out_of_line > 0))
            lost = max(lost, float(out_of_line.max()))
            in_steps = max(in_steps, _in_steps(float(out_of_line.max()), layer))
    if found:
        told = f" ({in_steps:.2g} steps of its output)" if np.isfinite(in_steps) else ""
        yield Finding(
            severity=Severity.WARNING if in_steps > 1 / 2 else Severity.INFO,
            what=f"Biases of {count(_total(found), 'channel')} without weights may have been lost",
            why="All weights of these channels are zero, their biases are 0, and their weight "
            "scale is far from the others' (ONNX Runtime's quantizer takes 1), by which a bias of "
            f"up to {lost:.2g}{told} rounds to 0: {_named(found)}",
            remedy="Compare with the float model's biases. Quantize it with eightbit, whose scales "
            "hold such a bias, or remove the channels first",
        )


def _biases_lost_on_loading(layers: Sequence[_Layer]) -> Iterator[Finding]:
    """Float biases whose int32 form would be off by more than half a step of the output."""
    found, lost = [], 0.0
    for layer in layers:
        coarse = layer.lost_on_loading > (layer.output_scale or np.inf) / 2
        if coarse.any():
            found.append((layer.name, coarse))
            lost = max(lost, _in_steps(float(layer.lost_on_loading.max()), layer))
    if found:
        yield Finding(
            severity=Severity.WARNING,
            what=f"ONNX Runtime rounds float biases of {count(_total(found), 'channel')} coarsely",
            why="ONNX Runtime 1.21 and later makes int32 of a float bias beside int8 weights, in "
            "steps of input scale x weight scale, which is large there: up to "
            f"{lost:.2g} steps of the output are lost: {_named(found)}",
            remedy="Give these channels a weight scale like the others'. To keep biases in float: "
            'InferenceSession(..., disabled_optimizers=["WeightBiasQuantization"])',
        )


def _in_steps(lost: float, layer: _Layer) -> float:
    """In steps of the layer's output; infinite where that is not rounded."""
    return lost / layer.output_scale if layer.output_scale else np.inf


def _usual_scale(layer: _Layer) -> float:
    """The largest of the channels with weights; 0 without any."""
    return float(layer.scale[layer.largest > 0].max(initial=0.0))


def _shared_scales(layers: Sequence[_Layer]) -> Iterator[Finding]:
    """Layers with one scale, whose channels of small weights have few integers left."""
    if not layers:
        return
    few = [(layer, _few(layer)) for layer in layers]
    found = [(layer.name, flags) for layer, flags in few if flags.any()]
    names = _some([layer.name for layer in layers])
    why = f"A channel of small weights has the steps of the largest one ({names})"
    if found:
        worst = min((layer for layer, flags in few if flags.any()), key=_smallest_part)
        why = (
            f"{count(_total(found), 'channel')} lost 3 bits or more; most in {worst.name}, "
            f"{-np.log2(_smallest_part(worst)):.1f} bits, where a channel's largest integer is "
            f"{_smallest(worst)} and the layer's {worst.largest.max()}: {_named(found)}"
        )
    yield Finding(
        severity=Severity.WARNING if found else Severity.INFO,
        what=f"{count(len(layers), 'layer')} with one weight scale for all output channels",
        why=why,
        remedy="Quantize weights per channel (per_channel=True)",
    )


def _wide_scales(layers: Sequence[_Layer]) -> Iterator[Finding]:
    """Channels with a scale of their own that is wider than their weights."""
    few = [(layer.name, _few(layer) & ~layer.constant) for layer in layers]
    found = [(name, flags) for name, flags in few if flags.any()]
    if found:
        yield Finding(
            severity=Severity.WARNING,
            what=f"{count(_total(found), 'output channel')} with weights of few integers",
            why="Each has a scale of its own, and yet no integer beyond an eighth of the layer's "
            f"largest: 3 bits or more are lost: {_named(found)}",
            remedy="Take each channel's scale from its own weights (max|w| / 127), unless a large "
            "bias needs another",
        )


def _few(layer: _Layer) -> Flags:
    """Channels with an eighth of the layer's integers or fewer, whose output shows it."""
    enough = layer.largest.max() / _FEW
    few: Flags = (layer.largest > 0) & (layer.largest <= enough)
    return few & layer.matters


def _smallest(layer: _Layer) -> int:
    return int(layer.largest[(layer.largest > 0) & layer.matters].min())


def _smallest_part(layer: _Layer) -> float:
    return _smallest(layer) / float(layer.largest.max())


def _clipped(layers: Sequence[_Layer]) -> Iterator[Finding]:
    found = [(layer.name, layer.clipped) for layer in layers if layer.clipped.any()]
    if found:
        yield Finding(
            severity=Severity.WARNING,
            what=f"Weights of {count(_total(found), 'output channel')} pile up at the end of their "
            "range",
            why="A range that holds all weights has one or two at its ends. They were clipped when "
            f"they were quantized, or the float weights were: {_named(found)}",
            remedy="Compare with the float weights; take the range of weights from their extremes "
            "(MinMax), not from a percentile",
        )


def _total(found: Sequence[_Place]) -> int:
    return sum(int(flags.sum()) for _, flags in found)


def _named(found: Sequence[_Place]) -> str:
    """Such as "conv1 channel 3, conv2 channels 0, 7, 8, ... (12)", most channels first."""
    parts = []
    for name, flags in sorted(found, key=lambda item: -int(item[1].sum()))[:_SHOWN]:
        places = np.flatnonzero(flags).tolist()
        shown = ", ".join(str(place) for place in places[:_SHOWN])
        more = f", ... ({len(places):,})" if len(places) > _SHOWN else ""
        parts.append(f"{name} channel{'s' * (len(places) > 1)} {shown}{more}")
    more = f"; and {count(len(found) - _SHOWN, 'layer')} more" if len(found) > _SHOWN else ""
    return "; ".join(parts) + more


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(one_line(name, 60) for name in names[:_SHOWN])
    return shown + ", ..." * (len(names) > _SHOWN)
