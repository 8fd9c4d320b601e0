"""Says what a machine offers to INT8, and why a model file is slow or wrong on it."""

from pathlib import Path

from eightbit.benchmarks.artifact.artifact import Runtime, read_metadata, runtime_of
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures, read_cpu_features
from eightbit.quantize.doctor.findings import Examination
from eightbit.quantize.doctor.host import advise, cpu_line, read_host, read_onnxruntime, read_torch


def examine_host() -> Examination:
    """What this machine has, what limits it, and what to run on it."""
    return advise(read_host())


def examine_file(path: Path, cpu: CpuFeatures | None = None) -> Examination:
    """Why an .onnx or .pt file, of whoever made it, may be slow or wrong on a processor.

    The file is not trusted: an ONNX model is checked and optimised in a process of its own, with
    limits. A TorchScript file is loaded as a runner loads it, and its `forward` not called: torch
    executes what such a file asks for when it is loaded.

    Args:
        path: The file.
        cpu: The processor to judge by; None for this one. (Operators are optimised for this one.)

    Raises:
        InputError: It is no file of either kind.
    """
    here = cpu or read_cpu_features()
    metadata = read_metadata(path)
    if runtime_of(path) is Runtime.TORCHSCRIPT:
        from eightbit.quantize.doctor.torchscript_file import examine_torchscript

        found = examine_torchscript(path, metadata, here, read_torch())
    else:
        from eightbit.quantize.doctor.onnx_file import examine_onnx

        found = examine_onnx(path, metadata, here, read_onnxruntime())
    return found.model_copy(update={"facts": (*found.facts, ("processor", cpu_line(here)))})
