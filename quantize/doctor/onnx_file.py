"""What keeps an ONNX file from running here, from running fast, or from exact results."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import onnx
from onnx import TensorProto

from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.artifact.refusals import onnxruntime_sentence
from eightbit.benchmarks.artifact.untrusted_onnx import read_foreign
from eightbit.benchmarks.report.document import OperatorCoverage
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.models.plain_text import one_line
from eightbit.quantize.artifacts.audit import count_onnx
from eightbit.quantize.doctor.findings import Examination, Finding, Severity, count, worst_first
from eightbit.quantize.doctor.float_operators import float_findings, rounded_on_loading
from eightbit.quantize.doctor.graph_view import DEQUANTIZE, QUANTIZE, GraphView, input_of
from eightbit.quantize.doctor.host import OnnxRuntimeBuild
from eightbit.quantize.doctor.integer_layers import OPERANDS
from eightbit.quantize.doctor.lost_precision import precision_findings
from eightbit.quantize.doctor.onnx_trial import Trial, try_model
from eightbit.quantize.doctor.weights_at_risk import onnx_risks, risk_findings

# The first in which DequantizeLinear has an axis.
_PER_CHANNEL_OPSET: Final = 13
_FIRST_QUANTIZED_OPSET: Final = 10
_DEFAULT_DOMAINS: Final = frozenset({"", "ai.onnx"})
_INTEGER_OPERATORS: Final = ("QLinear", "QGemm", "MatMulInteger")
_FLOAT: Final = "float"
_DYNAMIC: Final = "dynamic: ranges are computed in each run"
_DYNAMIC_OPERATORS: Final = frozenset(
    {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "ConvInteger"}
)


def examine_onnx(
    path: Path, metadata: ArtifactMetadata | None, cpu: CpuFeatures, runtime: OnnxRuntimeBuild
) -> Examination:
    """Examine an ONNX file for this processor.

    Raises:
        InputError: Not ONNX, too large, or incomplete.
    """
    model = read_foreign(path)
    written = GraphView(model.graph)
    form = _form(written)
    trial = try_model(model)
    facts = [("form", form), *_facts(model, written, metadata)]
    findings = [*_trouble(model, written, trial, runtime), *_interface(model)]
    findings += precision_findings(written)
    in_float = 0
    if trial.optimized is not None:
        coverage = count_onnx(trial.optimized.graph).kinds
        in_float = sum(kind.total - kind.quantized for kind in coverage.values())
        facts.append(("in integers", coverage_line(coverage)))
        optimized = GraphView(trial.optimized.graph)
        findings += _computing(form, written, optimized, meant=metadata is not None)
        findings += _signed_activations(optimized, cpu)
        findings += risk_findings(onnx_risks(optimized), cpu, "ONNX Runtime")
    return Examination(
        verdict=verdict(findings, in_float=in_float, quantized=form != _FLOAT),
        facts=tuple(facts),
        findings=worst_first(findings),
    )


def coverage_line(coverage: Mapping[str, OperatorCoverage]) -> str:
    """Integer operators by kind, such as "conv 19/19, add 9/9"."""
    kinds = {kind: entry for kind, entry in coverage.items() if entry.total}
    parts = [f"{kind} {entry.quantized:,}/{entry.total:,}" for kind, entry in kinds.items()]
    return ", ".join(parts) or "nothing"


def verdict(findings: list[Finding], *, in_float: int = 0, quantized: bool = True) -> str:
    """One sentence on the findings; `in_float` is the number of float operators."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    warnings = [finding for finding in findings if finding.severity is Severity.WARNING]
    if errors:
        return f"It does not run here: {count(len(errors), 'error')}."
    if not quantized:
        return "It runs here, in float: nothing was quantized."
    if in_float:
        return f"It runs here, but not all in integers: {count(in_float, 'operator')} in float."
    if warnings:
        more = f" (and {count(len(warnings) - 1, 'more warning')})" if len(warnings) > 1 else ""
        return f"It runs here, but: {warnings[0].what}{more}."
    return "It runs well here: everything that matters computes in integers."


def _form(view: GraphView) -> str:
    operators = {node.op_type for node in view.nodes}
    if not operators.isdisjoint(_DYNAMIC_OPERATORS):
        return _DYNAMIC
    if any(operator.startswith(_INTEGER_OPERATORS) for operator in operators):
        return "QOperator: integer operators"
    return "QDQ: QuantizeLinear/DequantizeLinear pairs" if DEQUANTIZE in operators else _FLOAT


def _facts(
    model: onnx.ModelProto, view: GraphView, metadata: ArtifactMetadata | None
) -> Iterator[tuple[str, str]]:
    maker = model.producer_name or "no name"
    yield "made by", "eightbit" if metadata else one_line(f"{maker} {model.producer_version}", 80)
    opsets = [f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import]
    yield "opset", one_line(", ".join(opsets) or "none", 120)
    for value in _inputs(model)[:4]:
        yield "input", one_line(f"{value.name}: {_type(value)} {_shape(value)}", 120)
    integers = Counter(
        _type_name(tensor.data_type)
        for tensor in model.graph.initializer
        if tensor.data_type in {TensorProto.INT8, TensorProto.UINT8} and len(tensor.dims) > 1
    )
    if integers:
        yield "weights", ", ".join(f"{number:,} {name}" for name, number in integers.items())


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    held = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in held]


def _type(value: onnx.ValueInfoProto) -> str:
    return _type_name(value.type.tensor_type.elem_type)


def _type_name(number: int) -> str:
    try:
        return str(TensorProto.DataType.Name(number)).lower()
    except ValueError:
        return f"unknown type {number}"


def _shape(value: onnx.ValueInfoProto) -> str:
    sizes = [
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?"
        for dim in value.type.tensor_type.shape.dim[:8]
    ]
    return f"({', '.join(sizes)})"


def _trouble(
    model: onnx.ModelProto, view: GraphView, trial: Trial, runtime: OnnxRuntimeBuild
) -> Iterator[Finding]:
    """What keeps the file from being loaded here or by other runtimes."""
    severity = Severity.ERROR if trial.refused else Severity.WARNING
    understood = list(_opset_trouble(severity, model, view, runtime))
    yield from understood
    if trial.refused and not understood:
        why, remedy = onnxruntime_sentence(trial.refused, runtime.version)
        yield Finding(
            severity=Severity.ERROR,
            what=f"ONNX Runtime {runtime.version} does not load it",
            why=_capital(why.removeprefix(f"ONNX Runtime {runtime.version} cannot load it: ")),
            remedy=remedy if remedy.startswith("pip ") else _capital(remedy),
        )
    if trial.invalid and not understood:
        yield Finding(
            severity=Severity.WARNING,
            what="It is not valid ONNX",
            why=trial.invalid,
            remedy="" if trial.refused else "Other runtimes may refuse it: export it again",
        )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _opset_trouble(
    severity: Severity, model: onnx.ModelProto, view: GraphView, runtime: OnnxRuntimeBuild
) -> Iterator[Finding]:
    """Conflicts between the operators and the imported opsets."""
    imported = {entry.domain: entry.version for entry in model.opset_import}
    opset = max((imported[domain] for domain in _DEFAULT_DOMAINS & imported.keys()), default=None)
    used = {node.domain if node.domain not in _DEFAULT_DOMAINS else "" for node in view.nodes}
    for domain in sorted(used - imported.keys() - (_DEFAULT_DOMAINS if opset else frozenset())):
        yield Finding(
            severity=severity,
            what=f"No opset import for {one_line(domain, 60) or 'ai.onnx'}",
            why="The file uses operators of a set whose version it does not name",
            remedy="Add it to opset_import" + " (version 1)" * (domain == "com.microsoft"),
        )
    if opset is None:
        return
    if opset > runtime.newest_opset:
        yield Finding(
            severity=severity,
            what=f"Opset {opset} is too new for ONNX Runtime {runtime.version}",
            why=f"It knows the operators up to opset {runtime.newest_opset}",
            remedy="Export with a lower opset, or install a newer ONNX Runtime",
        )
    converters = [node for node in view.nodes if node.op_type in {QUANTIZE, DEQUANTIZE}]
    per_channel = sum(_is_per_channel(view, node) for node in converters)
    needed = _PER_CHANNEL_OPSET if per_channel else _FIRST_QUANTIZED_OPSET if converters else 0
    wanted = "a scale per channel" if per_channel else "quantization"
    if opset < needed:
        yield Finding(
            severity=severity,
            what=f"Opset {opset} is too old for {wanted}",
            why=f"That came with opset {needed}; what a runtime makes of it is its own guess",
            remedy=f"Convert the float model to opset {needed} or later, and quantize it again",
        )


def _is_per_channel(view: GraphView, node: onnx.NodeProto) -> bool:
    scale = view.constant(input_of(node, 1))
    return scale is not None and any(size > 1 for size in scale.dims)


def _interface(model: onnx.ModelProto) -> Iterator[Finding]:
    for value in _inputs(model)[:1]:
        dims = value.type.tensor_type.shape.dim
        if dims and dims[0].HasField("dim_value"):
            yield Finding(
                severity=Severity.INFO,
                what=f"The batch is fixed at {dims[0].dim_value}",
                why=f"Input {one_line(value.name, 60)!r} has a number as its first dimension",
                remedy="If you need other batches, export it with a symbolic first dimension",
            )


def _computing(
    form: str, written: GraphView, optimized: GraphView, *, meant: bool
) -> Iterator[Finding]:
    """Float operators and their reasons."""
    if form == _FLOAT:
        yield Finding(
            severity=Severity.WARNING,
            what="Nothing is quantized",
            why="The graph has no QuantizeLinear and no integer operator",
            remedy="`eightbit quantize`, with the weights that it was exported from",
        )
    elif form == _DYNAMIC:
        yield Finding(
            severity=Severity.WARNING,
            what="It is quantized dynamically",
            why="In each run each activation is searched for its range and rounded again, and goes "
            "back to float behind each layer; all else is float",
            remedy="Quantize a convolutional network statically, with calibration images",
        )
    else:
        yield from float_findings(written, optimized, meant=meant)
        yield from rounded_on_loading(written, optimized)


def _signed_activations(optimized: GraphView, cpu: CpuFeatures) -> Iterator[Finding]:
    layers = [
        one_line(node.name or node.output[0], 60)
        for node in optimized.nodes
        if optimized.dtype(_input_zero_point(node)) == TensorProto.INT8
    ]
    if layers and cpu.is_x86 and "avx_vnni_int8" not in cpu.instructions:
        yield Finding(
            severity=Severity.WARNING,
            what=f"{count(len(layers), 'layer')} with int8 activations, slow on x86",
            why="x86 multiplies unsigned with signed bytes: ONNX Runtime has no fast kernel for "
            f"int8 x int8 here ({', '.join(layers[:3])}{', ...' * (len(layers) > 3)})",
            remedy="Quantize activations to uint8 (activation_type=QuantType.QUInt8)",
        )


def _input_zero_point(node: onnx.NodeProto) -> str:
    operands = OPERANDS.get(node.op_type)
    if operands is None or operands.input_zero_point is None:
        return ""
    return input_of(node, operands.input_zero_point)
