"""This machine as an INT8 target: its processor, its runtimes, and their limits."""

import os
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures, read_cpu_features
from eightbit.benchmarks.runtimes.cpu_names import (
    ARM,
    ONEDNN_VARIABLES,
    ONEDNN_WITHOUT_VNNI,
    X86,
    X86_ENGINES,
)
from eightbit.benchmarks.runtimes.execution import emulator_problem
from eightbit.models.plain_text import printable
from eightbit.models.spec import FrozenModel
from eightbit.quantize.doctor.findings import Examination, Finding, Severity, count, worst_first

# Variables that change which kernels run, or with how many threads.
VARIABLES: Final = (*ONEDNN_VARIABLES, "ATEN_CPU_CAPABILITY", "OMP_NUM_THREADS")

_ERRORS_ONLY: Final = 3


class TorchBuild(FrozenModel):
    """The installed torch: quantized engines and float kernels ("AVX2") on this processor."""

    version: str
    engines: tuple[str, ...]
    kernels: str


class OnnxRuntimeBuild(FrozenModel):
    """The installed ONNX Runtime: execution providers and the newest ONNX opset that it loads."""

    version: str
    providers: tuple[str, ...]
    newest_opset: int


class Host(FrozenModel):
    """A machine with its runtimes.

    Attributes:
        openvino: Version; None if not installed.
        no_emulator: Why another x86 processor cannot be emulated; None if it can.
        variables: The environment variables of `VARIABLES` that are set.
    """

    cpu: CpuFeatures
    torch: TorchBuild
    onnxruntime: OnnxRuntimeBuild
    openvino: str | None = None
    no_emulator: str | None = None
    variables: Mapping[str, str] = {}


def read_host() -> Host:
    """Examine this machine; imports torch and ONNX Runtime."""
    return Host(
        cpu=read_cpu_features(),
        torch=read_torch(),
        onnxruntime=read_onnxruntime(),
        openvino=_version("openvino"),
        no_emulator=emulator_problem(),
        variables={name: os.environ[name] for name in VARIABLES if os.environ.get(name)},
    )


def read_onnxruntime() -> OnnxRuntimeBuild:
    """Query the installed ONNX Runtime, for the opset by loading models of one node."""
    import onnxruntime as ort

    return OnnxRuntimeBuild(
        version=ort.__version__,
        providers=tuple(ort.get_available_providers()),
        newest_opset=next(_loadable_opsets(), 0),
    )


def read_torch() -> TorchBuild:
    """Query the installed torch on this processor."""
    import torch

    engines = (name for name in torch.backends.quantized.supported_engines if name != "none")
    return TorchBuild(
        version=torch.__version__,
        engines=tuple(sorted(engines)),
        kernels=torch.backends.cpu.get_cpu_capability(),
    )


def _loadable_opsets() -> Iterator[int]:
    """Opsets that ONNX Runtime loads, newest first."""
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


_SPOKEN: Final = X86 | ARM


def advise(host: Host) -> Examination:
    """Facts about a machine, and the runtime and number of threads to use on it."""
    findings = [_what_to_run(host.cpu), _threads(host.cpu), *_build(host), *_limits(host)]
    return Examination(
        verdict=_verdict(host.cpu), facts=_facts(host), findings=worst_first(findings)
    )


def cpu_line(cpu: CpuFeatures) -> str:
    """The processor and its INT8 instruction sets, on one line."""
    sets = ", ".join(_SPOKEN[name] for name in cpu.instructions) or "nothing for INT8"
    return f"{printable(cpu.name)}: {sets}"


def _verdict(cpu: CpuFeatures) -> str:
    portable = "a portable" if cpu.pairs_saturate else "the"
    run = f"run {portable} ONNX artefact in ONNX Runtime with {count(cpu.threads, 'thread')}"
    if cpu.has_vnni:
        return f"Good for INT8, with VNNI: {run}."
    if cpu.is_x86:
        return f"INT8 works, but without VNNI: {run}."
    if cpu.is_arm and "dot" in cpu.instructions:
        return f"Good for INT8, with dot products: {run}."
    if cpu.is_arm:
        return f"INT8 works, but without dot products it gains less: {run}."
    return f"Not a processor that was tried; {run}."


def _facts(host: Host) -> tuple[tuple[str, str], ...]:
    cpu = host.cpu
    cores = f"{cpu.usable_physical} physical, {cpu.usable_logical} logical usable"
    cores += f", of {cpu.logical_cores} logical"
    if cpu.quota is not None:
        cores += f"; the container grants {cpu.quota:.3g}"
    torch, ort = host.torch, host.onnxruntime
    return (
        ("processor", cpu_line(cpu)),
        ("it lacks", ", ".join(_SPOKEN[name] for name in cpu.missing) or "nothing for INT8"),
        ("cores", cores),
        ("torch", f"{torch.version}; engines {', '.join(torch.engines)}; {torch.kernels} kernels"),
        (
            "ONNX Runtime",
            f"{ort.version}; {', '.join(ort.providers)}; opset up to {ort.newest_opset}",
        ),
        ("OpenVINO", host.openvino or "not installed: pip install 'eightbit[openvino]'"),
        ("old CPUs", host.no_emulator or "can be emulated (qemu-user)"),
        *((name, printable(value)) for name, value in host.variables.items()),
    )


def _what_to_run(cpu: CpuFeatures) -> Finding:
    if cpu.has_vnni:
        return Finding(
            severity=Severity.INFO,
            what="Run the ONNX artefact in ONNX Runtime",
            why="VNNI sums products of bytes in int32, four at a time, and nothing saturates. On "
            "such a CPU resnet50 ran 3.4 times as fast as float (docs/measured/line.md)",
        )
    if cpu.is_x86:
        return Finding(
            severity=Severity.WARNING,
            what="Without VNNI, sums of two products saturate at 16 bits",
            why="Kernels for uint8 x int8 use vpmaddubsw: two large weights of one sign that meet "
            "give another sum than the model means (docs/portability.md)",
            remedy="Deploy a portable artefact, eightbit's default; check others with "
            "`eightbit doctor FILE`. Expect less speed than the measured figures, which are with "
            "VNNI",
        )
    return Finding(
        severity=Severity.INFO,
        what="Run the ONNX artefact in ONNX Runtime",
        why="Its integers are the same here; this project has measured no speed on such a CPU",
        remedy="Measure it: `eightbit benchmark DIR`",
    )


def _threads(cpu: CpuFeatures) -> Finding:
    shared = cpu.usable_logical > cpu.usable_physical
    why = "One thread per physical core: "
    why += "hyper-threads of a core share its multipliers" if shared else "there are as many"
    if cpu.threads < cpu.usable_physical:
        why = f"The container grants {cpu.quota:.3g} cores: more threads would be paused in turns"
    return Finding(
        severity=Severity.INFO,
        what=f"Use {count(cpu.threads, 'thread')}",
        why=why,
        remedy=f"--threads {cpu.threads}; in ONNX Runtime intra_op_num_threads = {cpu.threads}",
    )


def _build(host: Host) -> Iterator[Finding]:
    if host.cpu.is_x86 and not X86_ENGINES.intersection(host.torch.engines):
        yield Finding(
            severity=Severity.WARNING,
            what="This torch has no quantized engine for x86",
            why=f"It has {', '.join(host.torch.engines) or 'none'}; eightbit's TorchScript "
            "artefacts need onednn",
            remedy="Use the ONNX artefact, or another build of torch",
        )
    if "CPUExecutionProvider" not in host.onnxruntime.providers:
        yield Finding(
            severity=Severity.ERROR,
            what="This ONNX Runtime cannot execute on the CPU",
            remedy="Install the package onnxruntime",
        )


def _limits(host: Host) -> Iterator[Finding]:
    """Settings that keep this process from using all of the machine."""
    cpu, variables = host.cpu, host.variables
    for name in ONEDNN_VARIABLES:
        isa = variables.get(name, "").upper()
        if isa in ONEDNN_WITHOUT_VNNI and cpu.has_vnni:
            yield Finding(
                severity=Severity.WARNING,
                what=f"{name}={isa} hides VNNI from oneDNN",
                why="TorchScript artefacts run slower, and unprotected weights saturate",
                remedy=f"Unset {name}, unless that is what you want to try",
            )
    kernels = variables.get("ATEN_CPU_CAPABILITY")
    if kernels is not None:
        yield Finding(
            severity=Severity.WARNING,
            what=f"ATEN_CPU_CAPABILITY={printable(kernels)} chooses torch's float kernels",
            why=f"They are {host.torch.kernels} ones now; pooling and (de)quantizing use them",
            remedy="Unset ATEN_CPU_CAPABILITY",
        )
    threads = variables.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) != cpu.threads:
        more = int(threads) > cpu.threads
        yield Finding(
            severity=Severity.WARNING if more else Severity.INFO,
            what=f"OMP_NUM_THREADS={int(threads)} gives torch {'more' if more else 'fewer'} "
            f"threads than {count(cpu.threads, 'core')}",
            why="Threads without a core wait for each other" if more else "Cores stay idle",
            remedy="Set --threads, which goes before it; ONNX Runtime does not read it",
        )
    if cpu.usable_logical < cpu.logical_cores:
        yield Finding(
            severity=Severity.INFO,
            what=f"This process may use {cpu.usable_logical} of {cpu.logical_cores} logical cores",
            why="Its affinity (taskset, a container's cpuset) leaves out the others",
        )
