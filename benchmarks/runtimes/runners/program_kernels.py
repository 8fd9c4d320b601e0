"""The convolutions of a program in oneDNN's INT8 kernels, with the same results.

A `.pt2` file holds its integers in torch's plain operators, which any torch loads and computes with
float kernels (`eightbit.quantize.program.arithmetic` writes them). Here the operators that make up
one convolution, from its sums to the rounding of its results, are replaced by one call of
``onednn::qconv_pointwise``, which a torch that was built with oneDNN has by itself. What does not
look exactly so stays as it is. The results are the same integers: the sums are whole numbers in
int32, the multiplier of each channel is the program's own, and there is one rounding.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import torch
from torch import Tensor, fx

from eightbit.benchmarks.runtimes.cpu_features import read_cpu_features

_ATEN: Final = torch.ops.aten
_HIGHEST: Final = 255
# The largest sum of two weights whose products with 255 a signed 16-bit integer holds.
_PAIR_LIMIT: Final = 128
# Where a slice ends that takes the rest.
_ALL: Final = 2**63 - 1
# Of a convolution: stride, padding, dilation, groups.
_DEFAULTS: Final[tuple[Any, ...]] = ([1, 1], [0, 0], [1, 1], 1)

# Give the numbers of their first input, zeros beside them at the most.
_MOVING: Final[frozenset[Callable[..., Any]]] = frozenset(
    {
        *(_ATEN.max_pool2d.default, _ATEN.pad.default, _ATEN.constant_pad_nd.default),
        *(_ATEN.slice.Tensor, _ATEN.reshape.default, _ATEN.view.default, _ATEN.permute.default),
        *(_ATEN.flatten.using_ints, _ATEN.upsample_nearest2d.vec, _ATEN.to.dtype),
    }
)


def with_int8_kernels(module: fx.GraphModule) -> int:
    """Let a program's convolutions be computed by INT8 kernels, where this CPU has exact ones.

    Args:
        module: A program as a module, which is changed.

    Returns:
        How many convolutions are.
    """
    if not torch.backends.mkldnn.is_available():
        return 0
    for node in module.graph.find_nodes(
        op="call_function", target=_ATEN._assert_tensor_metadata.default
    ):
        module.graph.erase_node(node)
    zero_points = _zero_points(module.graph)
    found = [
        convolution
        for node in module.graph.find_nodes(op="call_function", target=_ATEN.mul.Tensor)
        if (convolution := _convolution(module, node, zero_points)) is not None
    ]
    integers: dict[fx.Node, fx.Node] = {}
    for number, convolution in enumerate(found):
        kernel = _replace(module, convolution, integers, f"_int8_{number}")
        # Its steps are looked up without the type that they are given.
        integers[_without_type(convolution.result)] = kernel
    module.graph.eliminate_dead_code()
    module.recompile()
    return len(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Convolution:
    """What one convolution is made of, and where.

    Attributes:
        steps: Its input, as steps from ``zero_point``.
        weight: int8, (O, C, kH, kW).
        bias: int32, (O,).
        multiplier: float32, (O,): from sums to steps of the output.
        window: Stride, padding, dilation and groups.
        result: Its output, as steps from ``result_zero_point``, none below zero if ``rectified``.
    """

    steps: fx.Node
    zero_point: int
    weight: Tensor
    bias: Tensor
    multiplier: Tensor
    window: tuple[list[int], list[int], list[int], int]
    result: fx.Node
    result_zero_point: int
    rectified: bool


def _convolution(
    module: fx.GraphModule, scaled: fx.Node, zero_points: dict[fx.Node, int]
) -> _Convolution | None:
    """The convolution whose sums a multiplication scales; None where it is none of the kind."""
    added, multipliers = _arguments(scaled)
    if not _calls(added, _ATEN.add.Tensor):
        return None
    multiplier, bias = _channels(module, multipliers), _channels(module, added.args[1])
    sums = _sums(module, added.args[0])
    rounded = _only_user(scaled, _ATEN.round.default)
    clamped = rounded and _only_user(rounded, _ATEN.clamp.default)
    result = clamped and _only_user(clamped, _ATEN.to.dtype)
    if multiplier is None or bias is None or sums is None or result is None:
        return None
    bounds = _bounds(cast("fx.Node", clamped))
    if bounds is None or sums.steps not in zero_points or not _exact(sums.weight):
        return None
    zero_point, rectified = bounds
    return _Convolution(
        steps=sums.steps,
        zero_point=zero_points[sums.steps],
        weight=sums.weight,
        bias=bias,
        multiplier=multiplier,
        window=sums.window,
        result=result,
        result_zero_point=zero_point,
        rectified=rectified,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Sums:
    """Sums of products: all of one weight and its input, or those of some input channels."""

    steps: fx.Node
    weight: Tensor
    window: tuple[list[int], list[int], list[int], int]
    start: int
    end: int


def _sums(module: fx.GraphModule, node: Any) -> _Sums | None:
    """The sums of all input channels that a node gives, in parts or at once."""
    parts = _parts(module, node)
    if not parts:
        return None
    first, ends = parts[0], [(part.start, part.end) for part in parts]
    starts = [0, *(end for _, end in ends)]
    same = all(
        part.steps is first.steps and part.weight is first.weight and part.window == first.window
        for part in parts
    )
    whole = starts[-1] == first.weight.shape[1]
    return first if same and whole and [start for start, _ in ends] == starts[:-1] else None


def _parts(module: fx.GraphModule, node: Any) -> list[_Sums]:
    """The convolutions that a node adds up, in order; none where there is something else."""
    if _calls(node, _ATEN.to.dtype):
        return _parts(module, node.args[0])
    if _calls(node, _ATEN.round.default):
        return _parts(module, node.args[0])
    if _calls(node, _ATEN.add.Tensor):
        one, other = (_parts(module, part) for part in node.args)
        return [*one, *other] if one and other else []
    if not _calls(node, _ATEN.conv2d.default) or node.args[2:3] not in ((), (None,)):
        return []
    taken, weight = (_without_type(part) for part in node.args[:2])
    start, end = 0, None
    if _calls(weight, _ATEN.slice.Tensor):
        _, axis, start, end = weight.args
        if axis != 1 or taken.args[1:] != weight.args[1:]:
            return []
        taken, weight = (_without_type(_without_slice(part.args[0])) for part in (taken, weight))
    values = _buffer(module, weight)
    if values is None or values.dtype is not torch.int8:
        return []
    given = _arguments(node)[3:]
    if not all(isinstance(one, list) for one in given[:3]):
        return []
    stride, padding, dilation, groups = (*given, *_DEFAULTS[len(given) :])
    return [
        _Sums(
            steps=taken,
            weight=values,
            window=(list(stride), list(padding), list(dilation), groups),
            start=start,
            end=values.shape[1] if end is None else min(end, values.shape[1]),
        )
    ]


def _zero_points(graph: fx.Graph) -> dict[fx.Node, int]:
    """The zero point of every tensor of steps: whole numbers that it makes 0 to 255."""
    found: dict[fx.Node, int] = {}
    for node in graph.nodes:
        given = _arguments(node)
        if _calls(node, _ATEN.clamp.default) and _calls(given[0], _ATEN.round.default):
            bounds = _bounds(node)
            if bounds is not None:
                found[node] = bounds[0]
        elif node.op == "call_function" and node.target in _MOVING and given[0] in found:
            padded = given[3] if node.target is _ATEN.pad.default and given[3:] else 0
            if padded in (0, None):
                found[node] = found[given[0]]
        elif _calls(node, _ATEN.cat.default):
            (zero_point, *others) = {found.get(part) for part in given[0]}
            if zero_point is not None and not others:
                found[node] = zero_point
    return found


def _bounds(clamped: fx.Node) -> tuple[int, bool] | None:
    """Zero point of the grid that a clamp ends, and whether it leaves out what is below zero."""
    _, lowest, highest = _arguments(clamped)
    if not isinstance(lowest, int) or not isinstance(highest, int) or not 0 <= highest <= _HIGHEST:
        return None
    zero_point = _HIGHEST - highest
    return (zero_point, lowest == 0) if lowest in (0, -zero_point) else None


def _exact(weight: Tensor) -> bool:
    """Whether no sum of two products saturates here: oneDNN pairs channels of one position.

    See ``docs/measured/pairs.md``.
    """
    if not read_cpu_features().pairs_saturate:
        return True
    paired = weight[:, : weight.shape[1] - weight.shape[1] % 2].short()
    return bool(((paired[:, 0::2] + paired[:, 1::2]).abs() <= _PAIR_LIMIT).all())


def _replace(
    module: fx.GraphModule, found: _Convolution, integers: dict[fx.Node, fx.Node], name: str
) -> fx.Node:
    """Call the kernel in the place of what gave the result; its integers, uint8.

    ``integers`` are those of results whose steps another convolution may read.
    """
    scale, (stride, padding, dilation, groups) = found.multiplier, found.window
    # The scales of input and output are in the multiplier.
    packed = torch.ops.onednn.qconv_prepack(
        found.weight, scale, 1.0, found.zero_point, stride, padding, dilation, groups, None
    )
    buffers = {
        "weight": packed,
        "scale": scale,
        "zero_point": torch.zeros(len(scale), dtype=torch.int32),
        "bias": (found.bias.double() * scale.double()).float(),
    }
    for key, value in buffers.items():
        module.register_buffer(f"{name}_{key}", value)
    graph = module.graph
    with graph.inserting_before(found.result):
        weight, scales, zeros, bias = (graph.get_attr(f"{name}_{key}") for key in buffers)
        read = integers.get(found.steps)
        if read is None:
            shifted = _shifted(graph, found.steps, found.zero_point)
            read = graph.call_function(_ATEN.to.dtype, (shifted, torch.uint8))
        kernel = graph.call_function(
            torch.ops.onednn.qconv_pointwise.default,
            (
                *(read, 1.0, found.zero_point, weight, scales, zeros, bias),
                *(stride, padding, dilation, groups, 1.0, found.result_zero_point, torch.uint8),
                *("relu" if found.rectified else "none", [], ""),
            ),
        )
        real = graph.call_function(_ATEN.to.dtype, (kernel, torch.float32))
        steps = _shifted(graph, real, -found.result_zero_point)
    found.result.replace_all_uses_with(steps)
    return kernel


def _shifted(graph: fx.Graph, node: fx.Node, by: int) -> fx.Node:
    return graph.call_function(_ATEN.add.Scalar, (node, by)) if by else node


def _calls(node: Any, target: Callable[..., Any]) -> bool:
    return isinstance(node, fx.Node) and node.op == "call_function" and node.target is target


def _arguments(node: fx.Node) -> tuple[Any, ...]:
    return node.args


def _only_user(node: fx.Node, target: Callable[..., Any]) -> fx.Node | None:
    users = list(node.users)
    return users[0] if len(users) == 1 and _calls(users[0], target) else None


def _without_type(node: Any) -> Any:
    while _calls(node, _ATEN.to.dtype):
        node = node.args[0]
    return node


def _without_slice(node: Any) -> Any:
    """What a slice of all images, or of all output channels, is taken of."""
    if _calls(node, _ATEN.slice.Tensor) and node.args[1:3] == (0, 0) and node.args[3] == _ALL:
        return node.args[0]
    return node


def _channels(module: fx.GraphModule, node: Any) -> Tensor | None:
    """A buffer of one number a channel, which a node gives as (O, 1, 1) of float64."""
    if not _calls(node, _ATEN.reshape.default) or list(node.args[1]) != [-1, 1, 1]:
        return None
    return _buffer(module, _without_type(node.args[0]))


def _buffer(module: fx.GraphModule, node: Any) -> Tensor | None:
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    return dict(module.named_buffers()).get(cast("str", node.target))
