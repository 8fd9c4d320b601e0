"""What keeps a TorchScript file from running here, or from exact results."""

from collections.abc import Iterator
from pathlib import Path

from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.benchmarks.runtimes.cpu_names import X86_ENGINES
from eightbit.models.plain_text import printable
from eightbit.quantize.artifacts.audit_process import audit_apart
from eightbit.quantize.doctor.findings import Examination, Finding, Severity, worst_first
from eightbit.quantize.doctor.host import TorchBuild
from eightbit.quantize.doctor.onnx_file import coverage_line, verdict
from eightbit.quantize.doctor.weights_at_risk import risk_findings


def examine_torchscript(
    path: Path, metadata: ArtifactMetadata | None, cpu: CpuFeatures, build: TorchBuild
) -> Examination:
    """Examine a TorchScript file for this processor: loaded in another process, but not run.

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
    audited = audit_apart(path)
    coverage = audited.coverage.kinds if audited.coverage else {}
    quantized = sum(kind.quantized for kind in coverage.values())
    in_float = sum(kind.total - kind.quantized for kind in coverage.values())
    facts += [
        ("engine", printable(engine or ("not said" if quantized else "any"))),
        ("in integers", coverage_line(coverage)),
    ]
    findings = list(_findings(quantized, in_float, engine, build, meant=metadata is not None))
    if engine is None or engine in X86_ENGINES:
        findings += risk_findings(audited.layers, cpu, "torch")
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
