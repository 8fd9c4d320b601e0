"""Operators with windows or weights, as functions of torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eightbit.models.doors.onnx_graphs.graphs import MAX_NUMBERS, Array, Node

Compute = Callable[..., Any]

_MAX_PADDING: Final = 1024
_MAPS: Final = 4


@dataclass(frozen=True, kw_only=True)
class _Window:
    """Where a convolution or a pool looks, for each of its dimensions.

    Attributes:
        begin: Padding above and left.
        end: Padding below and right.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]

    @property
    def is_even(self) -> bool:
        """Whether there is as much padding on both sides."""
        return self.begin == self.end

    @property
    def pads(self) -> list[int]:
        """As torch has it, the last dimension first."""
        pairs = zip(reversed(self.begin), reversed(self.end), strict=True)
        return [size for pair in pairs for size in pair]

    @property
    def extent(self) -> tuple[int, ...]:
        """How far a window reaches."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def outputs(self, sides: Sequence[int], *, ceil: bool) -> list[int]:
        """How many windows there are."""
        wholes = [
            (side + begin + end - extent, stride)
            for side, begin, end, extent, stride in zip(
                *(sides, self.begin, self.end, self.extent, self.stride), strict=True
            )
        ]
        return [(-(-whole // stride) if ceil else whole // stride) + 1 for whole, stride in wholes]


def _window(node: Node, x: Tensor, kernel: Sequence[int]) -> _Window:
    rank = x.dim() - 2
    stride = tuple(node.get("strides", [1] * rank))
    dilation = tuple(node.get("dilations", [1] * rank))
    pads = list(node.get("pads", [0] * 2 * rank))
    named = tuple(node.get("kernel_shape", kernel))
    sizes = (*named, *stride, *dilation)
    if named != tuple(kernel) or len(sizes) != 3 * rank or len(pads) != 2 * rank:
        raise node.refuse(f"attributes of {rank} dimensions that fit its weights", sizes)
    if min(sizes) < 1 or min(pads) < 0 or max(pads) > _MAX_PADDING:
        raise node.refuse(f"strides of at least 1, padding of 0 to {_MAX_PADDING}", (sizes, pads))
    begin, end = tuple(pads[:rank]), tuple(pads[rank:])
    automatic = node.get("auto_pad", "NOTSET")
    if automatic == "VALID":
        begin = end = (0,) * rank
    elif automatic in ("SAME_UPPER", "SAME_LOWER"):
        extents = [(k - 1) * d + 1 for k, d in zip(named, dilation, strict=True)]
        totals = [
            max((-(-int(side) // step) - 1) * step + extent - int(side), 0)
            for side, step, extent in zip(x.shape[2:], stride, extents, strict=True)
        ]
        small, large = tuple(t // 2 for t in totals), tuple(t - t // 2 for t in totals)
        begin, end = (small, large) if automatic == "SAME_UPPER" else (large, small)
    elif automatic != "NOTSET":
        raise node.refuse("a known auto_pad", automatic)
    return _Window(kernel=named, stride=stride, dilation=dilation, begin=begin, end=end)


def _conv(node: Node, x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    if weight.dim() != x.dim() or weight.dim() not in (3, _MAPS):
        raise node.refuse("a convolution of one or two dimensions", f"weights {weight.dim() - 2}")
    window = _window(node, x, weight.shape[2:])
    padding = window.begin
    if not window.is_even:
        x, padding = F.pad(x, window.pads), (0,) * len(padding)
    function = F.conv2d if weight.dim() == _MAPS else F.conv1d
    groups = node.get("group", 1)
    return function(x, weight, bias, window.stride, padding, window.dilation, groups)


def _conv_transpose(node: Node, x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    if weight.dim() != _MAPS or "output_shape" in node.attributes:
        raise node.refuse("a transposed convolution of two dimensions with pads", "another")
    if node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise node.refuse("pads", node.get("auto_pad", ""))
    window = _window(node, x, weight.shape[2:])
    if not window.is_even:
        raise node.refuse("the same padding on both sides", window.pads)
    more = tuple(node.get("output_padding", (0, 0)))
    groups = node.get("group", 1)
    return F.conv_transpose2d(
        x, weight, bias, window.stride, window.begin, more, groups, window.dilation
    )


def _max_pool(node: Node, x: Tensor) -> Tensor:
    if node.get("storage_order", 0) or any(node.outputs[1:]):
        raise node.refuse("the largest numbers alone", "their indices")
    window = _pool_window(node, x)
    wanted = window.outputs(x.shape[2:], ceil=bool(node.get("ceil_mode", 0)))
    # Torch pads alike on both sides. What is too much before drops its first windows; what is
    # missing behind are windows that reach over the border.
    sides = list(zip(window.begin, window.end, window.stride, strict=True))
    before = [
        end if end > begin and (end - begin) % step == 0 else begin for begin, end, step in sides
    ]
    drops = [(pad - side[0]) // side[2] for pad, side in zip(before, sides, strict=True)]
    if any(2 * pad > size for pad, size in zip(before, window.kernel, strict=True)):
        raise node.refuse("padding of at most half a window", window.pads)
    even = replace(window, begin=tuple(before), end=tuple(before))
    floor = even.outputs(x.shape[2:], ceil=False)
    ceil = any(found - drop < size for found, drop, size in zip(floor, drops, wanted, strict=True))
    pooled = F.max_pool2d(x, even.kernel, even.stride, even.begin, even.dilation, ceil_mode=ceil)
    for axis, (drop, size) in enumerate(zip(drops, wanted, strict=True), start=2):
        found = pooled.shape[axis] - drop
        if found < size and not node.get("ceil_mode", 0):
            raise node.refuse("windows that all reach into the map", window.pads)
        if drop or found > size:
            pooled = pooled.narrow(axis, drop, min(size, found))
    return pooled


def _pool_window(node: Node, x: Tensor) -> _Window:
    kernel = node.get("kernel_shape", ())
    if x.dim() != _MAPS or len(kernel) != 2:
        raise node.refuse("a pool of two dimensions", f"{len(kernel)}")
    return _window(node, x, kernel)


def _average_pool(node: Node, x: Tensor) -> Tensor:
    window = _pool_window(node, x)
    if any(step != 1 for step in window.dilation):
        raise node.refuse("windows without dilation", window.dilation)
    ceil, with_zeros = bool(node.get("ceil_mode", 0)), bool(node.get("count_include_pad", 0))
    halves = all(2 * pad <= size for pad, size in zip(window.begin, window.kernel, strict=True))
    if window.is_even and halves:
        return F.avg_pool2d(
            *(x, window.kernel, window.stride, window.begin),
            ceil_mode=ceil,
            count_include_pad=with_zeros,
        )
    if ceil:
        raise node.refuse("the same padding on both sides, or ceil_mode=0", window.pads)
    summed = F.avg_pool2d(F.pad(x, window.pads), window.kernel, window.stride)
    if with_zeros:
        return summed
    ones = torch.ones(1, 1, *x.shape[2:])
    shares = F.avg_pool2d(F.pad(ones, window.pads), window.kernel, window.stride)
    return summed / shares.to(x.device)


def _global_pool(node: Node, x: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(x, 1)


def _global_max_pool(node: Node, x: Tensor) -> Tensor:
    return F.max_pool2d(x, [int(side) for side in x.shape[2:]])


def _linear(node: Node, x: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    """A product with weights, which `prepared` turned to torch's order."""
    if isinstance(weight, Tensor) and node.get("prepared", 0):
        return F.linear(x, weight, bias)
    if node.op != "MatMul":
        raise node.refuse("weights that are constant", "others")
    sizes = [int(size) for size in (*x.shape[1:-1], *weight.shape[1:])]
    if np.prod(sizes, dtype=np.float64) > MAX_NUMBERS:
        raise node.refuse(f"a result of at most {MAX_NUMBERS:,} numbers", sizes)
    return torch.matmul(x, torch.as_tensor(weight))


def prepared(node: Node, constants: Mapping[int, Array]) -> dict[int, Array] | None:
    """Weights (outputs, inputs) and bias of a Gemm or a MatMul, by input; None if they are none.

    Raises:
        InputError: A Gemm has other forms than a layer's.
    """
    weight = constants.get(1)
    if weight is None or weight.ndim != 2 or 0 in constants:
        return None
    if node.op == "MatMul":
        return {1: weight.T}
    bias = constants.get(2)
    if node.get("transA", 0) or (len(node.inputs) > 2 and node.inputs[2] and bias is None):
        raise node.refuse("a layer with constant weights", "another product (transA, C)")
    if not node.get("transB", 0):
        weight = weight.T
    found = {1: weight * np.float32(node.get("alpha", 1.0))}
    if bias is not None:
        if bias.size not in (1, len(weight)) or bias.shape[-1:] not in ((), (1,), (len(weight),)):
            raise node.refuse(f"a bias of {len(weight)} numbers", f"shape {bias.shape}")
        scaled = bias.reshape(-1) * np.float32(node.get("beta", 1.0))
        found[2] = np.broadcast_to(scaled, (len(weight),))
    return found


def _batch_norm(node: Node, x: Tensor, *parameters: Any) -> Tensor:
    scale, bias, mean, variance = parameters
    if node.get("training_mode", 0) or node.get("spatial", 1) != 1 or any(node.outputs[1:]):
        raise node.refuse("BatchNormalization in evaluation mode", "that of training")
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, node.get("epsilon", 1e-5))


def _layer_norm(node: Node, x: Tensor, scale: Tensor, bias: Any = None) -> Tensor:
    axis = node.get("axis", -1) % x.dim()
    if node.get("stash_type", 1) != 1 or any(node.outputs[1:]):
        raise node.refuse("one result, computed in float32", "others")
    shape = [int(size) for size in x.shape[axis:]]
    scale = scale.expand(shape)
    bias = None if bias is None else bias.expand(shape)
    return F.layer_norm(x, shape, scale, bias, node.get("epsilon", 1e-5))


def _instance_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=node.get("epsilon", 1e-5))


def _group_norm(node: Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups = node.get("num_groups", 1)
    if node.opset < 21 and scale.numel() != x.shape[1]:
        repeats = x.shape[1] // groups
        scale, bias = (part.repeat_interleave(repeats) for part in (scale, bias))
    return F.group_norm(x, groups, scale, bias, node.get("epsilon", 1e-5))


LAYERS: Final[Mapping[str, Compute]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_max_pool,
    "Gemm": _linear,
    "MatMul": _linear,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": _layer_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
}
