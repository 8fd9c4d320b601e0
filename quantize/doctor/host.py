"""This machine as a place for INT8: its processor, its runtimes, and what limits them."""

import os
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures, read_cpu_features
from eightbit.benchmarks.runtimes.execution import ONEDNN_VARIABLES, emulator_problem
from eightbit.models.spec import FrozenModel

# Variables that change which kernels run, or with how many threads.
VARIABLES: Final = (
    *ONEDNN_VARIABLES,
    "ATEN_CPU_CAPABILITY",
    "OMP_NUM_THREADS",
)

_ERRORS_ONLY: Final = 3


class TorchBuild(FrozenModel):
    """The installed torch.

    Attributes:
        version: Of the package.
        engines: Quantized engines that it has on this processor.
        kernels: Which of its float kernels run here, such as "AVX2".
    """

    version: str
    engines: tuple[str, ...]
    kernels: str


class OnnxRuntimeBuild(FrozenModel):
    """The installed ONNX Runtime.

    Attributes:
        version: Of the package.
        providers: What it can execute on.
        newest_opset: Newest version of ONNX's operators that it loads.
    """

    version: str
    providers: tuple[str, ...]
    newest_opset: int


class Host(FrozenModel):
    """A machine with its runtimes.

    Attributes:
        cpu: The processor.
        torch: The installed torch.
        onnxruntime: The installed ONNX Runtime.
        openvino: Version of the installed OpenVINO, or None.
        no_emulator: Why programs cannot run here as on another x86 processor; None where they can.
        variables: Those of `VARIABLES` that are set.
    """

    cpu: CpuFeatures
    torch: TorchBuild
    onnxruntime: OnnxRuntimeBuild
    openvino: str | None = None
    no_emulator: str | None = None
    variables: Mapping[str, str] = {}


def read_host() -> Host:
    """Reads this machine; imports torch and ONNX Runtime."""
    return Host(
        cpu=read_cpu_features(),
        torch=read_torch(),
        onnxruntime=read_onnxruntime(),
        openvino=_version("openvino"),
        no_emulator=emulator_problem(),
        variables={name: os.environ[name] for name in VARIABLES if os.environ.get(name)},
    )


def read_onnxruntime() -> OnnxRuntimeBuild:
    """What the installed ONNX Runtime can do; asks it, by loading models of one node."""
    import onnxruntime as ort

    return OnnxRuntimeBuild(
        version=ort.__version__,
        providers=tuple(ort.get_available_providers()),
        newest_opset=next(_loadable_opsets(), 0),
    )


def read_torch() -> TorchBuild:
    """What the installed torch can do on this processor."""
    import torch

    engines = (name for name in torch.backends.quantized.supported_engines if name != "none")
    return TorchBuild(
        version=torch.__version__,
        engines=tuple(sorted(engines)),
        kernels=torch.backends.cpu.get_cpu_capability(),
    )


def _loadable_opsets() -> Iterator[int]:
    """Versions of ONNX's operators that ONNX Runtime loads, newest first."""
    import onnxruntime as ort
    from onnx import TensorProto, defs, helper

    options = ort.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:])
    for opset in range(defs.onnx_opset_version(), 0, -1):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 8  # as old as opset 17 is: only the operators are asked for
        try:
            ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        except Exception:
            continue
        yield opset


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
