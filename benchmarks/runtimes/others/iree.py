"""IREE, compiled ahead of time for this processor."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import onnx

from eightbit.benchmarks.runtimes.others.runner import CompiledRunner, imported
from eightbit.benchmarks.runtimes.runner import AnyArray

_OPSET: Final = "21"  # to which its importer converts


class IreeRunner(CompiledRunner):
    """See `OtherRunner`."""

    name = "IREE"

    def compile(self, batch: AnyArray) -> Any:
        """The function of the graph, for a number of images."""
        tools, importer, runtime = imported(
            "iree.compiler.tools", "iree.compiler.tools.import_onnx.__main__", "iree.runtime"
        )
        fixed = onnx.ModelProto()
        fixed.CopyFrom(self._model)
        fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = len(batch)
        with TemporaryDirectory() as folder:
            graph, code = Path(folder) / "model.onnx", Path(folder) / "model.mlir"
            onnx.save(fixed, graph)
            given = [str(graph), "-o", str(code), "--opset-version", _OPSET]
            importer.main(importer.parse_arguments(given))
            binary = tools.compile_file(
                str(code),
                input_type="onnx",
                target_backends=["llvm-cpu"],
                extra_args=["--iree-llvmcpu-target-cpu=host"],
            )
        context = runtime.SystemContext(config=runtime.Config("local-task"))
        context.add_vm_module(runtime.VmModule.copy_buffer(context.instance, binary))
        return context.modules.module[fixed.graph.name]

    def call(self, compiled: Any, batch: AnyArray) -> AnyArray:
        """One call."""
        logits: AnyArray = compiled(batch).to_host()
        return logits
