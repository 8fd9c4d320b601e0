"""Opening a model file in the runtime that it is for."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact import Artifact, Runtime, runtime_of
from eightbit.benchmarks.contract import Runner


def open_runner(artifact: Artifact | Path, threads: int) -> Runner:
    """Loads a model file in this process.

    Only the runtime that the file needs is imported.

    Args:
        artifact: The model file.
        threads: Number of threads that one call may use, at least 1.

    Raises:
        InputError: The file cannot be loaded by its runtime on this machine.
    """
    path = artifact.path if isinstance(artifact, Artifact) else artifact
    return _OPENERS[runtime_of(path)](path, threads)


def _open_onnx(path: Path, threads: int) -> Runner:
    from eightbit.benchmarks.onnx_runner import OnnxRunner

    return OnnxRunner(path, threads)


def _open_torchscript(path: Path, threads: int) -> Runner:
    from eightbit.benchmarks.torchscript_runner import TorchScriptRunner

    return TorchScriptRunner(path, threads)


_OPENERS: Final[dict[Runtime, Callable[[Path, int], Runner]]] = {
    Runtime.ONNXRUNTIME: _open_onnx,
    Runtime.TORCHSCRIPT: _open_torchscript,
}
