"""One call of a function in a traced network, and what every writer of such calls needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import fx

from eightbit.calibration import QuantParams
from eightbit.models.errors import InputError
from eightbit.quantize.litert.emitter import Emitter, last
from eightbit.quantize.litert.graph import Shape, Tensor
from eightbit.quantize.network.graph import tensor_name


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of a function: where it is written, what it reads, and its shape in torch."""

    emitter: Emitter
    node: fx.Node
    sources: Sequence[Tensor]
    shape: Shape

    @property
    def name(self) -> str:
        """Of the tensor that it gives."""
        return tensor_name(self.node) or self.node.name

    @property
    def given(self) -> QuantParams | None:
        """The grid of its result."""
        return self.emitter.grid(tensor_name(self.node))

    def unwritten(self, found: str) -> InputError:
        """That LiteRT has no such operator."""
        return InputError(
            f"{self.node.name}: expected an operator that LiteRT has, found {found}; "
            "leave litert out of --formats"
        )

    def argument(self, place: int, keyword: str = "", default: Any = None) -> Any:
        """An argument that is no tensor."""
        if place < len(self.node.args):
            return self.node.args[place]
        return self.node.kwargs.get(keyword, default)

    def number(self, word: str, number: float) -> Tensor:
        """A real number as a constant."""
        array = np.array([number], np.float32)
        return self.emitter.graph.constant(f"{self.name}.{word}", array)

    def step(self, word: str, code: int, sources: Sequence[Tensor], options: Any = None) -> Tensor:
        """An operator on real numbers of the result's shape, one of several."""
        name = f"{self.name}/{word}"
        return self.emitter.emit(code, sources, name, last(self.shape), None, options)

    def elementwise(self, code: int, sources: Sequence[Tensor], options: Any = None) -> Tensor:
        """An operator on numbers: integers where all are and the result is, otherwise float."""
        given, emitter, shape = self.given, self.emitter, last(self.shape)
        if given is not None and all(source.params is not None for source in sources):
            return emitter.emit(code, sources, self.name, shape, given, options)
        real = [emitter.real(source) for source in sources]
        result = emitter.emit(code, real, self.name, shape, None, options)
        return emitter.rounded(result, given)
