"""What keeps a TorchScript file from running here, or from exact results."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch

from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.benchmarks.runtimes.cpu_names import X86_ENGINES
from eightbit.benchmarks.runtimes.torchscript_runner import load_module
from eightbit.calibration.saturation import channels_at_risk
from eightbit.models.plain_text import one_line, printable
from eightbit.quantize.artifacts.audit import count_torchscript
from eightbit.quantize.doctor.findings import Examination, Finding, Severity, worst_first
from eightbit.quantize.doctor.host import TorchBuild
from eightbit.quantize.doctor.onnx_file import coverage_line, verdict
from eightbit.quantize.doctor.weights_at_risk import LayerRisk, risk_findings

# torch's own classes: a method of any other would be code from the file.
_PACKED: Final = frozenset(
    f"__torch__.torch.classes.quantized.{name}PackedParamsBase" for name in ("Conv2d", "Linear")
)


def examine_torchscript(
    path: Path, metadata: ArtifactMetadata | None, cpu: CpuFeatures, build: TorchBuild
) -> Examination:
    """Examine a TorchScript file for this processor: loaded, but not run.

    Raises:
        InputError: torch cannot load it, for another reason than a missing engine.
    """
    engine = metadata.engine if metadata else None
    facts = [("made by", "eightbit" if metadata else "not said")]
    if metadata:
        taken = metadata.input
        shape = ", ".join(map(str, taken.image_shape(metadata.spec.preprocessing.crop)))
        facts.append(("input", f"{taken.dtype} (batch, {shape})"))
    if engine is not None and engine not in build.engines:
        missing = _missing_engine(engine, build)
        return Examination(
            verdict=verdict([missing]), facts=(*facts, ("engine", engine)), findings=(missing,)
        )
    module, _ = load_module(path)
    coverage = dict(count_torchscript(module))
    quantized = sum(kind.quantized for kind in coverage.values() if kind)
    in_float = sum(kind.total - kind.quantized for kind in coverage.values() if kind)
    facts += [
        ("engine", printable(engine or ("not said" if quantized else "any"))),
        ("in integers", coverage_line(coverage)),
    ]
    findings = list(_findings(quantized, in_float, engine, build, meant=metadata is not None))
    if engine is None or engine in X86_ENGINES:
        findings += risk_findings(_risks(module), cpu, "torch")
    return Examination(
        verdict=verdict(findings, in_float=in_float, quantized=bool(quantized)),
        facts=tuple(facts),
        findings=worst_first(findings),
    )


def _missing_engine(engine: str, build: TorchBuild) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        what=f"It needs torch's quantized engine {printable(engine)}",
        why=f"torch {build.version} has {', '.join(build.engines) or 'none'} here",
        remedy="Use the ONNX artefact, another build of torch, or quantize again on this machine",
    )


def _findings(
    quantized: int, in_float: int, engine: str | None, build: TorchBuild, *, meant: bool
) -> Iterator[Finding]:
    if not quantized:
        yield Finding(
            severity=Severity.WARNING,
            what="Nothing is quantized",
            why="The graph has no operator of torch's quantized ones",
            remedy="`eightbit quantize`, with the weights that it was made from",
        )
        return
    if engine is None:
        yield Finding(
            severity=Severity.WARNING,
            what="It does not say which quantized engine it was made for",
            why="It runs under the one that is set, and engines round and saturate differently; "
            f"here there are {', '.join(build.engines)}",
            remedy="Set torch.backends.quantized.engine to that of its qconfig. If that reduced "
            "activations to 7 bits (x86, fbgemm), no pair of weights saturates",
        )
    if in_float:
        yield Finding(
            severity=Severity.INFO if meant else Severity.WARNING,
            what=f"Operators in float: {in_float:,}",
            why="The recipe keeps layers in float"
            if meant
            else "They stand between dequantize and quantize, or before and after them",
            remedy="" if meant else "Give them a qconfig, and fuse convolutions with what follows",
        )


def _risks(module: torch.jit.ScriptModule) -> tuple[LayerRisk, ...]:
    """Saturation risk of every quantized layer."""
    risks = []
    for name, weight in _weights(module):
        at_risk = int(channels_at_risk(weight.to(torch.int64).numpy()).sum())
        risks.append(LayerRisk(name=one_line(name, 80), at_risk=at_risk, channels=len(weight)))
    return tuple(risks)


def _weights(module: torch.jit.ScriptModule) -> Iterator[tuple[str, torch.Tensor]]:
    """Integer weights (O, C, kH, kW) or (O, K): in the modules, or constants of a frozen graph."""
    for name, child in module.named_modules():
        yield from _unpacked(name, getattr(child, "_packed_params", None))
    graph: Any = module.inlined_graph  # its nodes live as long as it does
    for node in graph.findAllNodes("prim::Constant"):
        for use in node.output().uses():
            kind, result = use.user.kind(), next(use.user.outputs(), None)
            name = result.debugName() if result is not None else kind
            if kind.startswith("quantized::"):
                yield from _unpacked(name, _constant(node))
            elif kind == "aten::_int_mm":  # ours: a linear layer whose sums stay float
                value = _constant(node)
                if isinstance(value, torch.Tensor) and _is_int8_matrix(value):
                    yield name, value.t()


def _constant(node: Any) -> object:
    return node.output().toIValue()


def _unpacked(name: str, packed: Any) -> Iterator[tuple[str, torch.Tensor]]:
    if not isinstance(packed, torch.ScriptObject) or packed._type().qualified_name() not in _PACKED:
        return
    weight = packed.unpack()[0]  # type: ignore[attr-defined]  # of the classes named above
    if weight.dim() in (2, 4) and weight.numel():
        yield name, weight.int_repr()


def _is_int8_matrix(value: torch.Tensor) -> bool:
    return value.dtype is torch.int8 and value.dim() == 2 and bool(value.numel())
