"""Scales that fit each other: raised a little until no result of an operation is near a tie."""

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import fx

from eightbit.calibration import QuantParams
from eightbit.calibration.qparams import DoubleArray, FloatArray, with_scale
from eightbit.calibration.ties import (
    raised,
    tie_free_add,
    tie_free_mean,
    tie_free_multipliers,
    tie_free_product,
    tie_free_products,
    tie_free_scale,
)
from eightbit.models.images.preprocessing import normalise
from eightbit.models.spec import Preprocessing
from eightbit.quantize.network.graph import (
    INPUT,
    operation_kind,
    source_name,
    sources,
    tensor_name,
)
from eightbit.quantize.network.operators import Kind
from eightbit.quantize.recipe.curves import Curve, curves
from eightbit.quantize.recipe.grids import share_grids, upper_bounds, within

# In steps: how far the results of a curve should keep from ties, though SAFE_DISTANCE would do.
_WANTED_DISTANCE: Final = 2e-3


def align(
    activations: Mapping[str, QuantParams], traced: fx.GraphModule, preprocessing: Preprocessing
) -> dict[str, QuantParams]:
    """Raise the scales of calibrated activations a little, until no result is near a tie.

    In order of execution: the input, the residual adds, the average pools, the concatenations; for
    convolutions see `tie_free_weights`. Curves and products fit the scale of what they read where
    nothing else needs it as it is, and so come behind all others, the last one first. Tensors that
    nothing but a concatenation reads have its grid from the start. ``preprocessing`` gives the
    input's size and possible values.
    """
    alignment = _Alignment(activations, traced, preprocessing)
    waiting = [node for node in traced.graph.nodes if alignment.fit(node)]
    for node in reversed(waiting):
        alignment.fit_sources(node)
    return alignment.grids


class _Alignment:
    """The grids, and which of them may not change any more."""

    def __init__(
        self,
        activations: Mapping[str, QuantParams],
        traced: fx.GraphModule,
        preprocessing: Preprocessing,
    ) -> None:
        self._traced, self._preprocessing = traced, preprocessing
        self.grids, self._together = share_grids(activations, traced)
        self._settled: set[str] = set()
        self._highest = upper_bounds(traced)
        self._curves = curves(traced, activations.keys())

    def fit(self, node: fx.Node) -> bool:
        """Settle what an operation writes, and maybe what it reads; whether it has to wait."""
        name = tensor_name(node)
        if name is None or name not in self.grids:
            return False
        kind, wanted = operation_kind(node), self.grids[name].scale[0]
        if name == INPUT:
            self._settle(name, tie_free_scale(_levels(self._preprocessing), wanted))
        elif kind is Kind.ADD:
            self._fit_add(node, name)
        elif kind is Kind.CONCAT:
            for source in sources(node):
                if self._is_free(source) and source not in self._together:
                    (ratio,) = tie_free_multipliers(
                        np.array([self.grids[source].scale[0] / wanted])
                    )
                    self._settle(source, float(ratio) * wanted)
        elif kind is Kind.POOL and name not in self._settled:
            (source,) = sources(node)
            positions = _positions(self._traced, node, self._preprocessing.crop_size)
            self._settle(name, tie_free_mean(self.grids[source].scale[0], positions, wanted))
            self._keep(source)
        elif kind is Kind.PRODUCT or name in self._curves:
            if any(self._is_free(source) for source in self._read_by(node, name)):
                return True
            self._fit_result(node, name)
        return False

    def fit_sources(self, node: fx.Node) -> None:
        """Settle what a curve or a product reads, by a result that may be settled."""
        name = str(tensor_name(node))
        read = self._read_by(node, name)
        if name in self._curves:
            self._fit_curve(self._curves[name], name)
        else:
            free = [source for source in read if self._is_free(source)]
            # Of two the one that a curve makes: that has a scale to give way itself.
            free.sort(key=lambda source: source not in self._curves)
            for factor in free[1:]:
                if factor in self._curves:
                    self._fit_curve(self._curves[factor], factor)
            if free and len(set(read)) == len(read):
                self._fit_factor(free[0], read, name)
            else:
                self._fit_result(node, name)
            # By whose grids those of the factors were chosen.
            read += [source_name(self._curves[one].source) for one in free if one in self._curves]
        for tensor in (name, *read):
            self._keep(tensor)

    def _read_by(self, node: fx.Node, name: str) -> list[str]:
        """Names of the quantized tensors that an operation, or a whole curve, takes."""
        if name in self._curves:
            return [source_name(self._curves[name].source)]
        return list(sources(node))

    def _fit_add(self, node: fx.Node, name: str) -> None:
        # What an earlier add has settled comes second.
        first, second = sorted(sources(node), key=lambda source: source in self._settled)
        scales = (self.grids[first].scale[0], self.grids[second].scale[0])
        (a, b), total = tie_free_add(
            scales, self.grids[name].scale[0], fixed=second in self._settled
        )
        for tensor, scale in ((first, a), (second, b), (name, total)):
            if tensor not in self._settled:
                self._settle(tensor, scale)

    def _fit_result(self, node: fx.Node, name: str) -> None:
        """Raise the scale of what a curve or a product writes, if that is not settled."""
        if name in self._settled:
            return
        wanted = self.grids[name].scale[0]
        if name in self._curves:
            self._fit_curve(self._curves[name], name)
            return
        first, second = (self.grids[source].scale[0] for source in sources(node))
        self._settle(name, tie_free_product((first, second), wanted))

    def _fit_factor(self, factor: str, read: list[str], name: str) -> None:
        """Raise the scale of one factor until no product is near a tie."""
        (other,) = (source for source in read if source != factor)
        unit = self.grids[name].scale[0] / self.grids[other].scale[0]
        scales = tie_free_products(self.grids[factor].scale[0] / unit) * unit
        best = 0
        if factor in self._curves:
            # Of scales that are alike good for the product the first that is good for the curve.
            curve = self._curves[factor]
            source = self.grids[source_name(curve.source)]
            results = [self._grid(factor, scale) for scale in scales]
            best = _first_good(curve.distances([source] * len(results), results))
        self._settle(factor, float(scales[best]))

    def _fit_curve(self, curve: Curve, name: str) -> None:
        """Raise the scale of what a curve writes, or of what it reads, whichever may change."""
        source = source_name(curve.source)
        tensor = name if self._is_free(name) else source
        if not self._is_free(tensor):
            return
        scales = raised(self.grids[tensor].scale[0])
        candidates = [self._grid(tensor, scale) for scale in scales]
        same = [self.grids[source if tensor == name else name]] * len(candidates)
        distances = curve.distances(*((same, candidates) if tensor == name else (candidates, same)))
        self._settle(tensor, float(scales[np.argmax(distances)]))

    def _is_free(self, tensor: str) -> bool:
        return tensor in self.grids and tensor not in self._settled

    def _grid(self, tensor: str, scale: float) -> QuantParams:
        """The grid of a tensor with its scale raised, as far as its bound allows."""
        return within(with_scale(self.grids[tensor], scale), self._highest.get(tensor))

    def _settle(self, name: str, scale: float) -> None:
        for tensor in self._together.get(name, (name,)):
            self.grids[tensor] = self._grid(tensor, scale)
            self._settled.add(tensor)

    def _keep(self, name: str) -> None:
        self._settled.update(self._together.get(name, (name,)))


def _first_good(distances: DoubleArray) -> int:
    """The first that is as far as wanted, or else the farthest."""
    return int(np.argmax(np.minimum(distances, _WANTED_DISTANCE)))


def _levels(preprocessing: Preprocessing) -> FloatArray:
    """Every value that the input can have: float32, shape (1, 256, 3)."""
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    return normalise(pixels, preprocessing)


def _positions(traced: fx.GraphModule, node: fx.Node, size: tuple[int, int]) -> int:
    """How many positions a pool averages, for images of that height and width.

    Where there are fewer at the border, the number is a multiple of all.
    """
    if node.op == "call_function":
        kernel: Any = node.args[1]
        counts_padding = node.args[5]
        if counts_padding:
            return math.prod(kernel)
        return math.prod(math.lcm(*range(1, size + 1)) for size in kernel)
    shapes: list[torch.Size] = []
    module = traced.get_submodule(str(node.target))
    hook = module.register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape))
    with hook, torch.inference_mode():
        traced(torch.zeros(1, 3, *size))
    return shapes[0][-2] * shapes[0][-1]
