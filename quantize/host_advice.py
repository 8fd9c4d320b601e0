"""What to run on a machine, and with how many threads: a function of its features alone."""

from collections.abc import Iterator
from typing import Final

from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.benchmarks.runtimes.execution import ONEDNN_VARIABLES
from eightbit.benchmarks.runtimes.executions import X86_ENGINES
from eightbit.models.plain_text import printable
from eightbit.quantize.doctor.findings import Examination, Finding, Severity, count, worst_first
from eightbit.quantize.doctor.host import Host

# As oneDNN's documentation lists them: below these it has no VNNI.
_ONEDNN_WITHOUT_VNNI: Final = frozenset({"SSE41", "AVX", "AVX2", "AVX512_CORE"})

_SPOKEN: Final = {
    "avx2": "AVX2",
    "avx512_bw": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
    "avx_vnni_int8": "AVX-VNNI-INT8",
    "avx512_bf16": "AVX512-BF16",
    "amx_int8": "AMX-INT8",
    "neon": "NEON",
    "dot": "dot product",
    "i8mm": "I8MM",
    "sve": "SVE",
    "sve2": "SVE2",
}


def advise(host: Host) -> Examination:
    """What a machine has, and what to run on it."""
    findings = [_what_to_run(host.cpu), _threads(host.cpu), *_build(host), *_limits(host)]
    return Examination(
        verdict=_verdict(host.cpu), facts=_facts(host), findings=worst_first(findings)
    )


def cpu_line(cpu: CpuFeatures) -> str:
    """The processor with its instruction sets for INT8, on one line."""
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
    """What makes this process slower than the machine."""
    cpu, variables = host.cpu, host.variables
    for name in ONEDNN_VARIABLES:
        isa = variables.get(name, "").upper()
        if isa in _ONEDNN_WITHOUT_VNNI and cpu.has_vnni:
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
