"""Everything that is shipped, written from the fused network and its recipe."""

import platform
from collections.abc import Callable, Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.formats import (
    FORMATS,
    LITERT,
    ONNX,
    PROGRAM,
    TORCHSCRIPT,
    Precision,
)
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.artifact.model_input import ModelInput
from eightbit.benchmarks.report.stage import Stage
from eightbit.benchmarks.runtimes.cpu_names import is_x86
from eightbit.models.errors import InputError
from eightbit.models.spec import ModelSpec
from eightbit.quantize import bundle
from eightbit.quantize.artifacts.onnx_export import export_float_onnx, export_onnx
from eightbit.quantize.artifacts.pixel_input import with_input
from eightbit.quantize.config import OPSET, QuantConfig, Target
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import Recipe, write_recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.staging import scratch

# torch's quantized engines that compute what a recipe for a target says: oneDNN on x86, QNNPACK on
# ARM.
ENGINES: Final = {
    Target.PORTABLE: ("onednn", "qnnpack"),
    Target.X86_VNNI: ("onednn",),
    Target.ARM64: ("qnnpack",),
}

_BUILT_BY: Final = ("eightbit", "torch", "onnx")


def write_artifacts(
    quantized: Quantized,
    formats: Collection[str],
    folder: Path,
    stages: Stages,
) -> None:
    """Write the recipe, the INT8 artefacts in ``formats`` and the float ONNX model into ``folder``.

    Float network and recipe determine every byte on one kind of CPU.
    """
    write_recipe(quantized.recipe, folder)
    for key, format in FORMATS.items():
        if key in formats:
            with stages.stage(f"{Stage.EXPORT} {format.name}"):
                stages.note_memory(WRITERS[key](quantized, folder / format.file()))
            if format.note:
                stages.watcher.tell(format.note)
    with stages.stage(f"{Stage.EXPORT} float {ONNX.name}"):
        write_float_onnx(quantized, folder / bundle.FLOAT_ONNX)


def write_torchscript(quantized: Quantized, path: Path) -> int:
    """The INT8 network for torch; returns the highest resident memory of what built it."""
    # Here, since no other format needs torch.ao and torch.jit, which are to be removed from torch.
    from eightbit.quantize.artifacts.torchscript_export import export_torchscript

    recipe = quantized.recipe
    metadata = _metadata(recipe, Precision.INT8, engine=_engine(recipe.config.target))
    return export_torchscript(quantized, metadata, path)


def _engine(target: Target) -> str:
    """Torch's quantized engine for the target's CPU; for a portable model this machine's."""
    first, *others = ENGINES[target]
    return others[0] if others and not is_x86(platform.machine()) else first


def write_onnx(quantized: Quantized, path: Path) -> int:
    """The INT8 network for ONNX Runtime; returns 0, since no other process builds it."""
    export_onnx(quantized, _metadata(quantized.recipe, Precision.INT8), path)
    return 0


def write_program(quantized: Quantized, path: Path) -> int:
    """The INT8 network as a torch.export program; returns 0, since no other process builds it."""
    # Here, since torch.export takes a second to load.
    from eightbit.quantize.program.arithmetic import ProgramModule
    from eightbit.quantize.program.export import export_program

    metadata = _metadata(quantized.recipe, Precision.INT8)
    export_program(with_input(ProgramModule(quantized), metadata), metadata, path)
    return 0


def write_litert(quantized: Quantized, path: Path) -> int:
    """The INT8 network for LiteRT; returns 0, since no other process builds it."""
    # Here, since its package is an extra.
    from eightbit.quantize.litert.export import export_litert

    metadata = _metadata(quantized.recipe, Precision.INT8)
    versions = {**metadata.versions, "ai-edge-litert": version("ai-edge-litert")}
    export_litert(quantized, metadata.model_copy(update={"versions": versions}), path)
    return 0


def write_float_onnx(quantized: Quantized, path: Path) -> None:
    """The float network of a recipe for ONNX Runtime."""
    recipe = quantized.recipe
    metadata = _metadata(recipe, Precision.FP32)
    export_float_onnx(quantized.network, metadata, path, recipe.config.opset)


def refuse_unwritable(
    network: Network, spec: ModelSpec, config: QuantConfig, formats: Collection[str]
) -> None:
    """Refuse what would fail to be written, before any work is done.

    Raises:
        InputError: The opset or LiteRT lacks an operator, or LiteRT is not installed.
    """
    if LITERT.key in formats:
        if not LITERT.runtime.is_installed:
            raise InputError(f"--formats {LITERT.key}: {LITERT.runtime.not_installed}")
        from eightbit.quantize.litert.export import refuse_litert

        refuse_litert(network, spec)
    if config.opset != OPSET:
        taken = ModelInput.of(config.input)
        metadata = ArtifactMetadata(precision=Precision.FP32, spec=spec, input=taken)
        with scratch() as folder:
            export_float_onnx(network, metadata, folder / bundle.FLOAT_ONNX, config.opset)


def _metadata(recipe: Recipe, precision: Precision, engine: str | None = None) -> ArtifactMetadata:
    return ArtifactMetadata(
        precision=precision,
        spec=recipe.spec,
        input=ModelInput.of(recipe.config.input),
        recipe_sha256=recipe.sha256 if precision is Precision.INT8 else None,
        engine=engine,
        versions={package: version(package) for package in _BUILT_BY},
    )


# By format, what writes the INT8 network to a path, and returns the highest resident
# memory, in bytes, of the process that built it, or 0 where that is this one.
WRITERS: Final[Mapping[str, Callable[[Quantized, Path], int]]] = {
    TORCHSCRIPT.key: write_torchscript,
    ONNX.key: write_onnx,
    PROGRAM.key: write_program,
    LITERT.key: write_litert,
}
