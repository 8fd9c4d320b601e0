"""What a machine offers to INT8, and why a model file is slow or wrong on it."""

from pathlib import Path

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT, format_of
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.artifact.trust import trusting
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures, read_cpu_features
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable
from eightbit.models.torch_state import own_state
from eightbit.quantize.doctor.findings import Examination
from eightbit.quantize.doctor.host import advise, cpu_line, read_host, read_onnxruntime, read_torch


@own_state()
def examine_host() -> Examination:
    """Report the processor, its limits and the recommended runtime of this machine."""
    return advise(read_host())


@own_state()
def examine_file(path: Path, cpu: CpuFeatures | None = None, *, trust: bool = False) -> Examination:
    """Examine an .onnx or .pt file made by any tool, for a processor (None: this machine's).

    The file is untrusted: an ONNX model is checked and optimised, for this machine's processor, in
    a child process with limits. A TorchScript file is loaded, but not called, if its code asks for
    nothing but operators that compute; with `trust`, whatever it asks for.

    Raises:
        InputError: The file is of neither kind, or its code asks for more.
    """
    here = cpu or read_cpu_features()
    metadata = read_metadata(path)
    format = format_of(path)
    if format not in (ONNX, TORCHSCRIPT):
        raise InputError(
            f"{printable(str(path))}: expected an .onnx or .pt file, found one of {format.name}; "
            "eightbit inspect counts its operators"
        )
    if format is TORCHSCRIPT:
        from eightbit.quantize.doctor.torchscript_file import examine_torchscript

        with trusting(trust):
            found = examine_torchscript(path, metadata, here, read_torch())
    else:
        from eightbit.quantize.doctor.onnx_file import examine_onnx

        found = examine_onnx(path, metadata, here, read_onnxruntime())
    return found.model_copy(update={"facts": (*found.facts, ("processor", cpu_line(here)))})
