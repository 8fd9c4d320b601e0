"""Opening a model file in the runtime that it is for, or in another that can execute it."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.artifact import Artifact, Runtime, runtime_of
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.feed import FileRunner


def open_runner(
    artifact: Artifact | Path, threads: int, execution: Execution | None = None
) -> FileRunner:
    """Loads a model file in this process.

    Only the runtime that executes it is imported. The instruction set and the processor of the
    execution are those of the process: see `isolated.IsolatedRunner`.

    Args:
        artifact: The model file.
        threads: Number of threads that one call may use, at least 1.
        execution: How to execute it; None for the runtime that the file's suffix asks for.

    Raises:
        InputError: The file cannot be loaded by the runtime on this machine.
    """
    path = artifact.path if isinstance(artifact, Artifact) else artifact
    execution = execution or Execution(runtime=runtime_of(path))
    return _OPENERS[execution.runtime](path, threads, execution)


def _open_onnx(path: Path, threads: int, execution: Execution) -> FileRunner:
    from eightbit.benchmarks.runtimes.onnx_runner import OnnxRunner

    return OnnxRunner(path, threads, optimize=execution.optimize)


def _open_torchscript(path: Path, threads: int, execution: Execution) -> FileRunner:
    from eightbit.benchmarks.runtimes.torchscript_runner import TorchScriptRunner

    return TorchScriptRunner(
        path, threads, engine=execution.engine, for_inference=execution.for_inference
    )


def _open_openvino(path: Path, threads: int, execution: Execution) -> FileRunner:
    from eightbit.benchmarks.runtimes.openvino_runner import OpenVinoRunner

    return OpenVinoRunner(path, threads, optimize=execution.optimize)


_OPENERS: Final[dict[Runtime, Callable[[Path, int, Execution], FileRunner]]] = {
    Runtime.ONNXRUNTIME: _open_onnx,
    Runtime.TORCHSCRIPT: _open_torchscript,
    Runtime.OPENVINO: _open_openvino,
}
