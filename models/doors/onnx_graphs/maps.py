"""Operators that move numbers or resize maps, as functions of torch."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from eightbit.models.doors.onnx_graphs.graphs import Node, bounded
from eightbit.models.doors.onnx_graphs.host import axes_of, numbers, slices

Compute = Callable[..., Any]

_MAX_SIDE: Final = 8192
_MAX_PARTS: Final = 64
_MAPS: Final = 4


def _whole(node: Node, value: Any) -> list[Any]:
    """A constant, or sizes: never what is computed of pixels."""
    if not isinstance(value, np.ndarray):
        raise node.refuse("constant sizes", "sizes that depend on the image")
    return numbers(value)


def _of_batch(node: Node, x: Tensor, sizes: list[Any]) -> list[Any]:
    """Sizes that are written for a fixed number of images, for any."""
    is_fixed = node.batch and sizes and sizes[0] == node.batch and isinstance(sizes[0], int)
    return [x.shape[0], *sizes[1:]] if is_fixed else sizes


def _reshape(node: Node, x: Tensor, shape: Any) -> Tensor:
    sizes = _whole(node, shape)
    if node.get("allowzero", 0) and 0 in sizes:
        raise node.refuse("a shape without zeros", sizes)
    sizes = [x.shape[at] if size == 0 else size for at, size in enumerate(sizes)]
    return x.reshape(_of_batch(node, x, sizes))


def _flatten(node: Node, x: Tensor) -> Tensor:
    axis = node.get("axis", 1) % x.dim()
    if axis != 1:
        raise node.refuse("flattening of all but the images (axis=1)", f"axis={axis}")
    return x.flatten(1)


def _squeeze(node: Node, x: Tensor, axes: Any = None) -> Tensor:
    if axes is None and "axes" not in node.attributes:
        raise node.refuse("axes", "none, which would also take away that of a single image")
    for axis in sorted(axes_of(node, x.dim(), axes), reverse=True):
        if x.shape[axis] != 1 or axis == 0:
            raise node.refuse("a dimension of size 1", f"dimension {axis} of {tuple(x.shape)}")
        x = x.squeeze(axis)
    return x


def _unsqueeze(node: Node, x: Tensor, axes: Any = None) -> Tensor:
    given = node.get("axes", None) if axes is None else _whole(node, axes)
    for axis in sorted(axis % (x.dim() + len(given)) for axis in given):
        x = x.unsqueeze(axis)
    return x


def _concat(node: Node, *parts: Any) -> Tensor:
    return torch.cat([torch.as_tensor(part) for part in parts], node.get("axis", 1))


def _slice(node: Node, x: Tensor, *inputs: Any) -> Tensor:
    for value in inputs:
        if value is not None:
            _whole(node, value)
    for axis, start, end, step in slices(node, x.shape, inputs):
        if step < 1:
            raise node.refuse("a slice forwards", f"step {step}")
        cuts: list[Any] = [slice(None)] * x.dim()
        cuts[axis] = slice(start, end, step)
        x = x[tuple(cuts)]
    return x


def _split(node: Node, x: Tensor, sizes: Any = None) -> list[Tensor]:
    axis = node.get("axis", 0) % x.dim()
    given = node.get("split", None) if sizes is None else _whole(node, sizes)
    count = node.get("num_outputs", len(node.outputs))
    if given is None:
        given = -(-int(x.shape[axis]) // count)
    return list(x.split(given, axis))


def _gather(node: Node, x: Any, index: Any) -> Any:
    """One index, or several: as few pieces as they make."""
    if not isinstance(x, Tensor):
        raise node.refuse("constant indices", "indices that depend on the image")
    axis, places = node.get("axis", 0) % x.dim(), _whole(node, index)
    size = int(x.shape[axis]) if axis else 0
    places = [place % size if size else place for place in places]
    if np.ndim(index) == 0:
        return x.select(axis, places[0])
    if np.ndim(index) != 1 or not places:
        raise node.refuse("one index or a list of them", f"shape {np.shape(index)}")
    steps = {after - before for before, after in pairwise(places)}
    if len(steps) <= 1 and (step := next(iter(steps), 1)) > 0:
        cuts: list[Any] = [slice(None)] * x.dim()
        cuts[axis] = slice(places[0], places[-1] + 1, step)
        return x[tuple(cuts)]
    starts = [0, *(at for at in range(1, len(places)) if places[at] != places[at - 1] + 1)]
    if len(starts) > _MAX_PARTS:
        raise node.refuse(f"indices in at most {_MAX_PARTS} pieces", f"{len(starts)}")
    ends = [*starts[1:], len(places)]
    pieces = [x.narrow(axis, places[a], b - a) for a, b in zip(starts, ends, strict=True)]
    return torch.cat(pieces, axis)


def _pad(node: Node, x: Tensor, pads: Any = None, value: Any = None, axes: Any = None) -> Tensor:
    sizes = node.get("pads", None) if pads is None else _whole(node, pads)
    filling = node.get("value", 0.0) if value is None else _whole(node, value)[0]
    places = axes_of(node, x.dim(), axes)
    mode = node.get("mode", "constant")
    pairs = [(0, 0)] * x.dim()
    half = len(places)
    for at, place in enumerate(places):
        pairs[place] = (sizes[at], sizes[half + at])
    if any(not -_MAX_SIDE <= size <= _MAX_SIDE for pair in pairs for size in pair):
        raise node.refuse(f"padding of at most {_MAX_SIDE}", sizes)
    first = next((at for at, pair in enumerate(pairs) if pair != (0, 0)), None)
    if first is None:
        return x
    kept = pairs[max(first, 0) :] if mode == "constant" else pairs[2:]
    if mode not in ("constant", "reflect", "edge") or (mode != "constant" and first < 2):
        raise node.refuse("padding by a constant, or of maps by reflection", mode)
    flat = [size for pair in reversed(kept) for size in pair]
    if mode == "constant":
        return F.pad(x, flat, value=float(filling))
    return F.pad(x, flat, mode={"edge": "replicate"}.get(mode, mode))


def _expand(node: Node, x: Tensor, shape: Any) -> Tensor:
    sizes = _of_batch(node, x, _whole(node, shape))
    wide = [1] * (len(sizes) - x.dim()) + list(x.shape)
    full = [b if isinstance(a, int) and a == 1 else a for a, b in zip(sizes, wide, strict=True)]
    bounded(node, full[1:])
    return x.expand(full)


def _tile(node: Node, x: Tensor, repeats: Any) -> Tensor:
    times = _whole(node, repeats)
    bounded(node, [int(size) * by for size, by in zip(x.shape[1:], times[1:], strict=True)])
    return x.repeat(times)


def _resize(node: Node, x: Tensor, *inputs: Any) -> Tensor:
    """Resize of versions 10, 11 and on, and Upsample, for the sides of maps."""
    scales, sizes, is_scaled = _sides(node, x, inputs)
    mode = node.get("mode", "nearest")
    where = node.get("coordinate_transformation_mode", _coordinates(node))
    if node.get("antialias", 0) or node.get("exclude_outside", 0):
        raise node.refuse("resizing without antialias", "antialias or exclude_outside")
    if node.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise node.refuse("stretching", node.get("keep_aspect_ratio_policy", ""))
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    corners = {} if mode == "nearest" else {"align_corners": where == "align_corners"}
    usual = node.get("cubic_coeff_a", -0.75) == -0.75 or mode != "bicubic"
    if mode == "nearest":
        _check_copying(node, scales, where)
    elif mode not in ("bilinear", "bicubic") or where not in _EXACT or not usual:
        raise node.refuse("nearest, or linear or cubic with half_pixel", f"{mode}, {where}")
    if is_scaled:
        return F.interpolate(x, scale_factor=scales, mode=mode, **corners)
    return F.interpolate(x, size=sizes, mode=mode, **corners)


_EXACT: Final = ("half_pixel", "pytorch_half_pixel", "align_corners")


def _coordinates(node: Node) -> str:
    return "half_pixel" if node.op == "Resize" and node.opset >= 11 else "asymmetric"


def _sides(node: Node, x: Tensor, inputs: tuple[Any, ...]) -> tuple[list[float], list[int], bool]:
    """How many times larger the sides become, what they are then, and whether scales say so."""
    before = [int(side) for side in x.shape[2:]]
    if x.dim() != _MAPS:
        raise node.refuse("maps (N, C, H, W)", f"{x.dim()} dimensions")
    at = 1 if node.op == "Resize" and node.opset >= 11 else 0
    given = [None if value is None or np.size(value) == 0 else value for value in inputs]
    given += [None] * 4
    if given[at + 1] is not None:
        wanted = _whole(node, given[at + 1])[-2:]
        scales = [after / side for after, side in zip(wanted, before, strict=True)]
    else:
        found = node.get("scales", None) if given[at] is None else _whole(node, given[at])
        if found is None or (len(found) == _MAPS and list(found[:2]) != [1, 1]):
            raise node.refuse("scales or sizes of the sides of maps", found)
        scales = [float(scale) for scale in found[-2:]]
        wanted = [int(side * scale) for side, scale in zip(before, scales, strict=True)]
    if min(wanted) < 1 or max(wanted) > _MAX_SIDE:
        raise node.refuse(f"sides of 1 to {_MAX_SIDE}", wanted)
    return scales, [int(side) for side in wanted], given[at + 1] is None


def _check_copying(node: Node, scales: list[float], where: str) -> None:
    """Refuse to copy other pixels than torch does."""
    whole = all(scale >= 1 and scale == int(scale) for scale in scales)
    rounding = node.get("nearest_mode", "round_prefer_floor")
    floors = where == "asymmetric" and (rounding == "floor" or node.op == "Upsample")
    older = node.op == "Resize" and node.opset < 11
    if not (floors or older or (whole and where in ("half_pixel", "pytorch_half_pixel"))):
        raise node.refuse("copying (asymmetric, floor)", f"{where}, {rounding}")


def _depth_to_space(node: Node, x: Tensor) -> Tensor:
    size = node.get("blocksize", 1)
    batch, channels, height, width = x.shape
    rest = channels // size**2
    if node.get("mode", "DCR") == "CRD":
        x = x.reshape(batch, rest, size, size, height, width).permute(0, 1, 4, 2, 5, 3)
    else:
        x = x.reshape(batch, size, size, rest, height, width).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(batch, rest, height * size, width * size)


def _space_to_depth(node: Node, x: Tensor) -> Tensor:
    size = node.get("blocksize", 1)
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // size, size, width // size, size)
    x = x.permute(0, 3, 5, 1, 2, 4)
    return x.reshape(batch, channels * size**2, height // size, width // size)


MAPS: Final[Mapping[str, Compute]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": lambda node, x: x.permute(node.get("perm", tuple(range(x.dim()))[::-1])),
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "Pad": _pad,
    "Expand": _expand,
    "Tile": _tile,
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Shape": lambda node, x: _shape(node, x),
}


def _shape(node: Node, x: Tensor) -> Any:
    found = np.empty(x.dim(), dtype=object)
    found[:] = list(x.shape)
    return found[node.get("start", 0) : node.get("end", None)]
