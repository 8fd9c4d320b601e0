"""TVM's Relax, compiled by LLVM without tuning."""

from typing import Any

from eightbit.benchmarks.runtimes.others.runner import CompiledRunner, imported
from eightbit.benchmarks.runtimes.runner import AnyArray


class TvmRunner(CompiledRunner):
    """See `OtherRunner`; it takes as many threads as the process may."""

    name = "TVM"

    def compile(self, batch: AnyArray) -> Any:
        """A virtual machine with the graph for a shape."""
        tvm, relax, frontend = imported("tvm", "tvm.relax", "tvm.relax.frontend.onnx")
        module = frontend.from_onnx(self._model, shape_dict={self.input: list(batch.shape)})
        return relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())

    def call(self, compiled: Any, batch: AnyArray) -> AnyArray:
        """The graph's main function."""
        (tvm,) = imported("tvm")
        answered = compiled["main"](tvm.runtime.tensor(batch))
        logits: AnyArray = (answered if hasattr(answered, "numpy") else answered[0]).numpy()
        return logits
