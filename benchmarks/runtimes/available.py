"""Which executions of an artefact this machine is capable of, and why not of the others."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.formats import ONNX, OPENVINO, TORCHSCRIPT, Format
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.runtimes.cpu_features import read_cpu_features
from eightbit.benchmarks.runtimes.cpu_names import ENGINES, OLD_CPU, ONEDNN_ENGINES, ONEDNN_LIMITS
from eightbit.benchmarks.runtimes.execution import Execution, emulator_problem
from eightbit.models.plain_text import printable

# One at a time, and several: there are runtimes that are right with one of the two alone.
OTHERS_IMAGES: Final = (1, 4)


@dataclass(frozen=True, kw_only=True)
class Availability:
    """What can be executed here, in the order of the tables, and why other executions cannot."""

    possible: tuple[Execution, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)


def possible_executions(format: Format, path: Path, *, thorough: bool) -> Availability:
    """Every way to execute an artefact that is possible here.

    Thorough includes what takes long: torch's other engines, an emulated processor.

    Raises:
        InputError: The artefact is not what its name says.
    """
    if format is TORCHSCRIPT:
        metadata = read_metadata(path)
        engine = metadata.engine if metadata else None
        return torchscript_executions(engine=engine, all_engines=thorough)
    if format is ONNX:
        return onnx_executions(thorough=thorough)
    return _available(
        [
            Execution(runtime=runtime, optimize=optimize)
            for runtime in format.runtimes
            for optimize in (True, False)
            if optimize or (thorough and "optimize" in runtime.options)
        ]
    )


def other_executions(format: Format) -> Availability:
    """The runtimes that take a format's files without being promised, some images at a time."""
    return _available(
        [
            Execution(runtime=runtime, images=images)
            for runtime in format.others
            for images in OTHERS_IMAGES
        ]
    )


def torchscript_executions(*, engine: str | None, all_engines: bool) -> Availability:
    """TorchScript by default, with fewer instruction sets, and with other engines if asked for."""
    cpu = read_cpu_features()
    possible = [Execution(runtime=TORCHSCRIPT.runtime)]
    missing = {}
    # The limits are oneDNN's; of another engine's artefact they show what oneDNN makes of it.
    limited = None if engine in ONEDNN_ENGINES else ONEDNN_ENGINES[0]
    for isa, limit in ONEDNN_LIMITS.items():
        execution = Execution(runtime=TORCHSCRIPT.runtime, engine=limited, max_isa=isa)
        if not limit.taken.isdisjoint(cpu.instructions):
            possible.append(execution)
        else:
            missing[execution.name] = f"takes an x86 CPU with {limit.spoken}"
    if all_engines:
        import torch

        there = torch.backends.quantized.supported_engines
        if engine is not None and engine not in there:
            plain = possible.pop(0)
            missing[plain.name] = (
                f"the file needs torch's quantized engine {printable(engine)}, which torch "
                f"{torch.__version__} lacks on this CPU; use the ONNX artefact"
            )
        for other in ENGINES:
            if other == engine:
                continue
            execution = Execution(runtime=TORCHSCRIPT.runtime, engine=other)
            if other in there:
                possible.append(execution)
            else:
                missing[execution.name] = "this build of torch has no such engine"
    return Availability(possible=tuple(possible), missing=missing)


def onnx_executions(*, thorough: bool) -> Availability:
    """ONNX Runtime with and without optimisation, and OpenVINO.

    Thorough includes an emulated old processor and OpenVINO without optimisation.
    """
    possible = [Execution(runtime=ONNX.runtime), Execution(runtime=ONNX.runtime, optimize=False)]
    missing = {}
    if thorough:
        old = Execution(runtime=ONNX.runtime, emulated_cpu=OLD_CPU)
        if (problem := emulator_problem()) is None:
            possible.append(old)
        else:
            missing[old.name] = problem
    openvino = [Execution(runtime=OPENVINO)]
    if thorough:
        openvino.append(Execution(runtime=OPENVINO, optimize=False))
    there = Availability(possible=tuple(possible), missing=missing)
    return joined([there, _available(openvino)])


def _available(executions: Collection[Execution]) -> Availability:
    """Those whose runtime is installed."""
    return Availability(
        possible=tuple(one for one in executions if one.runtime.is_installed),
        missing={
            one.name: one.runtime.not_installed
            for one in executions
            if not one.runtime.is_installed
        },
    )


def joined(parts: Collection[Availability]) -> Availability:
    """Several of them as one."""
    return Availability(
        possible=tuple(execution for part in parts for execution in part.possible),
        missing={name: reason for part in parts for name, reason in part.missing.items()},
    )
