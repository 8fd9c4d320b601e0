"""tract, in Rust."""

from typing import Any, Final

from eightbit.benchmarks.runtimes.others.runner import CompiledRunner, imported
from eightbit.benchmarks.runtimes.runner import AnyArray

_TYPES: Final = {"float32": "f32", "uint8": "u8"}


class TractRunner(CompiledRunner):
    """See `OtherRunner`; it has one thread."""

    name = "tract"

    def compile(self, batch: AnyArray) -> Any:
        """The graph, typed for a shape, optimised."""
        (tract,) = imported("tract")
        model = tract.onnx().load(str(self.path))
        sizes = ",".join(str(size) for size in batch.shape)
        model.set_input_fact(0, f"{sizes},{_TYPES[batch.dtype.name]}")
        return model.into_model().into_runnable()

    def call(self, compiled: Any, batch: AnyArray) -> AnyArray:
        """One run."""
        logits: AnyArray = compiled.run([batch])[0].to_numpy()
        return logits
