"""What is written around LiteRT's operators: grids changed, borders put on, layouts turned."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from eightbit.benchmarks.artifact.litert_file import SIGNED
from eightbit.calibration import QuantDType, QuantParams
from eightbit.quantize.litert.graph import GraphWriter, Operator, Shape, Tensor
from eightbit.quantize.litert.windows import Window
from eightbit.quantize.recipe.recipe import LayerParams, Recipe

_LOWEST: Final = float(np.finfo(np.float32).min)
TO_LAST: Final = (0, 2, 3, 1)
TO_FIRST: Final = (0, 3, 1, 2)

Borders = Sequence[tuple[int, int]]


class Emitter:
    """Writes operators for the values of a network; a value is a tensor, on a grid or not.

    Without a recipe everything is float.
    """

    def __init__(self, recipe: Recipe | None) -> None:
        self.graph = GraphWriter()
        self._recipe = recipe
        self._forms: dict[tuple[int, str], Tensor] = {}

    def grid(self, tensor: str | None) -> QuantParams | None:
        """The grid that an activation is rounded to, None if it is not."""
        if self._recipe is None or tensor is None:
            return None
        return self._recipe.activations.get(tensor)

    def layer(self, name: str) -> LayerParams | None:
        """The integers of a layer, None if it computes in float."""
        return None if self._recipe is None else self._recipe.layers.get(name)

    def emit(
        self,
        code: int,
        inputs: Sequence[Tensor],
        name: str,
        shape: Shape,
        params: QuantParams | None,
        options: Any = None,
    ) -> Tensor:
        """Append an operator that gives a tensor of that name, shape and grid."""
        return self.graph.operator(code, inputs, self.graph.tensor(name, shape, params), options)

    def real(self, x: Tensor) -> Tensor:
        """A value as real numbers."""
        if x.params is None:
            return x
        return self._once(x, f"real/{x.index}", Operator.DEQUANTIZE, None)

    def rounded(self, x: Tensor, params: QuantParams | None) -> Tensor:
        """A value on a grid, from real numbers or from another grid; itself where None.

        From one grid to the other by way of real numbers: XNNPACK's direct step is coarse.
        """
        if params is None or x.params == params:
            return x
        key = f"{params.scale[0]!r},{params.zero_point[0]}/{x.index}"
        return self._once(self.real(x), key, Operator.QUANTIZE, params)

    def dequantized(self, name: str, weight: Tensor) -> Tensor:
        """A constant of integers as real numbers: LiteRT makes them once, as it loads the file."""
        real = self.graph.fixed_tensor(name, weight.shape)
        return self.graph.operator(Operator.DEQUANTIZE, [weight], real)

    def _once(self, x: Tensor, form: str, code: int, params: QuantParams | None) -> Tensor:
        key = (x.index, form)
        if key not in self._forms:
            self._forms[key] = self.emit(code, [x], form, x.shape, params)
        return self._forms[key]

    def constant(self, name: str, numbers: npt.ArrayLike) -> Tensor:
        """An int32 constant: a shape, borders, an order of axes."""
        return self.graph.constant(name, np.asarray(numbers, np.int32))

    def bordered(self, name: str, x: Tensor, borders: Borders, *, lowest: bool = False) -> Tensor:
        """A value with borders on each axis: of zeros, or of the lowest number for a maximum."""
        if not any(map(any, borders)):
            return x
        shape = tuple(
            size + before + behind for size, (before, behind) in zip(x.shape, borders, strict=True)
        )
        inputs = [x, self.constant(f"{name}.borders", borders)]
        smallest = x.params is None or x.params.zero_point[0] != QuantDType.UINT8.qmin
        if not (lowest and smallest):
            return self.emit(Operator.PAD, inputs, name, shape, x.params)
        inputs.append(self.lowest(x.params))
        return self.emit(Operator.PADV2, inputs, name, shape, x.params)

    def lowest(self, params: QuantParams | None) -> Tensor:
        """The lowest number of a grid, or of float32, as a constant."""
        if params is None:
            return self.graph.constant("lowest", np.array([_LOWEST], np.float32))
        lowest = np.array([QuantDType.UINT8.qmin + SIGNED], np.int8)
        return self.graph.constant(f"lowest/{params.scale[0]!r}", lowest, params)

    def windowed(
        self, name: str, x: Tensor, over: tuple[Window, Window], *, lowest: bool = False
    ) -> tuple[Tensor, int]:
        """The input that a window moves over, and LiteRT's word for the border that it lacks."""
        if all(window.is_same for window in over):
            return x, schema.Padding.SAME
        rows, columns = (window.border for window in over)
        borders = [(0, 0), rows, columns, (0, 0)]
        return self.bordered(f"{name}/border", x, borders, lowest=lowest), schema.Padding.VALID

    def turned(self, name: str, x: Tensor, order: Sequence[int]) -> Tensor:
        """A value with its axes in another order."""
        shape = tuple(x.shape[axis] for axis in order)
        axes = self.constant(f"{name}.order", order)
        return self.emit(Operator.TRANSPOSE, [x, axes], name, shape, x.params)

    def channels_first(self, name: str, x: Tensor) -> Tensor:
        """A value in torch's layout."""
        return self.turned(f"{name}/nchw", x, TO_FIRST) if len(x.shape) == 4 else x

    def channels_last(self, name: str, x: Tensor) -> Tensor:
        """A value that is in torch's layout, in LiteRT's."""
        return self.turned(f"{name}/nhwc", x, TO_LAST) if len(x.shape) == 4 else x

    def reshaped(self, name: str, x: Tensor, shape: Shape) -> Tensor:
        """A value in another shape, in the order of its own layout; the batch stays free."""
        free = [-1, *shape[1:]]
        options = schema.ReshapeOptionsT()
        options.newShape = free
        wanted = self.constant(f"{name}.shape", free)
        return self.emit(Operator.RESHAPE, [x, wanted], name, shape, x.params, options)


def last(shape: Sequence[int]) -> Shape:
    """A shape of torch's in LiteRT's layout: channels last, where there are maps."""
    return tuple(shape[axis] for axis in TO_LAST) if len(shape) == 4 else tuple(shape)


def last_axis(axis: int, rank: int) -> int:
    """An axis of torch's in LiteRT's layout."""
    axis %= rank
    return TO_LAST.index(axis) if rank == 4 else axis
