"""ONNX's own evaluator: numpy, node by node, as the standard defines them."""

from pathlib import Path
from typing import Any, Final

from eightbit.benchmarks.runtimes.others.runner import OtherRunner
from eightbit.benchmarks.runtimes.runner import AnyArray

# It knows DequantizeLinear from opset 19 on.
_OPSET: Final = 21


class ReferenceRunner(OtherRunner):
    """See `OtherRunner`; graphs of older opsets are converted."""

    name = "ONNX's evaluator"

    def load(self, path: Path, threads: int) -> None:
        """Converts the graph where it is older than the evaluator's quantization."""
        from onnx.reference import ReferenceEvaluator
        from onnx.version_converter import convert_version

        opset = next(one.version for one in self._model.opset_import if not one.domain)
        model = self._model if opset >= _OPSET else convert_version(self._model, _OPSET)
        self._evaluator: Any = ReferenceEvaluator(model)

    def run(self, batch: AnyArray) -> AnyArray:
        """Every node in numpy."""
        logits: AnyArray = self._evaluator.run([self.output], {self.input: batch})[0]
        return logits
