"""Output channels that may saturate on a processor without VNNI.

Only uint8 activations x int8 weights are at risk: ONNX Runtime computes uint8 x uint8, int8 x int8
and depthwise layers exactly, as emulation of such a processor showed (docs/doctor.md).
"""

from collections.abc import Iterator, Sequence

import onnx
from onnx import TensorProto

from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.calibration.saturation import channels_at_risk
from eightbit.models.plain_text import one_line
from eightbit.quantize.artifacts.audit_process import LayerRisk
from eightbit.quantize.doctor.findings import Finding, Severity, count
from eightbit.quantize.doctor.graph_view import GraphView, input_of
from eightbit.quantize.doctor.integer_layers import (
    CONVOLUTIONS,
    OPERANDS,
    Integers,
    Operands,
    rows,
)


def onnx_risks(view: GraphView) -> tuple[LayerRisk, ...]:
    """Saturation risk of every integer layer in ONNX Runtime's optimised graph."""
    risks = []
    for node in view.nodes:
        operands = OPERANDS.get(node.op_type)
        weight = _rows(view, node, operands.weight) if operands else None
        if operands is None or weight is None:
            continue
        saturates = _has_signed_weight(view, node, operands) and not _is_depthwise(node, weight)
        at_risk = int(channels_at_risk(weight).sum()) if saturates else 0
        name = one_line(node.name or node.output[0], 80)
        risks.append(LayerRisk(name=name, at_risk=at_risk, channels=len(weight)))
    return tuple(risks)


def risk_findings(layers: Sequence[LayerRisk], cpu: CpuFeatures, runtime: str) -> Iterator[Finding]:
    """One finding on the saturation risk on this processor; none without integer layers."""
    channels = sum(layer.channels for layer in layers)
    at_risk = sum(layer.at_risk for layer in layers)
    if at_risk:
        yield _at_risk(layers, cpu, f"{at_risk:,} of {count(channels, 'output channel')}")
    elif layers:
        yield Finding(
            severity=Severity.INFO,
            what=f"Portable: none of {count(channels, 'output channel')} can saturate",
            why=f"On x86 CPUs without VNNI, too, {runtime} adds up exact integers",
        )


def _at_risk(layers: Sequence[LayerRisk], cpu: CpuFeatures, share: str) -> Finding:
    worst = sorted((layer for layer in layers if layer.at_risk), key=lambda layer: -layer.at_risk)
    named = ", ".join(f"{layer.name} {layer.at_risk:,}/{layer.channels:,}" for layer in worst[:3])
    more = f", and {count(len(worst) - 3, 'layer')} more" if len(worst) > 3 else ""
    here = cpu.pairs_saturate
    return Finding(
        severity=Severity.WARNING if here else Severity.INFO,
        what=f"{share} can saturate {'here' if here else 'on x86 CPUs without VNNI'}",
        why="Pairs of large weights overflow a 16-bit sum, and results are silently wrong: "
        f"{named}{more}. {'This CPU is one of those' if here else 'Not on this one'}",
        remedy="Quantize it with eightbit (--target portable, the default) or with reduce_range",
    )


def _rows(view: GraphView, node: onnx.NodeProto, index: int) -> Integers | None:
    """A weight as integers, output channels first: (O, C, positions, 1) or (O, K)."""
    weight = view.integers(input_of(node, index))
    found = None if weight is None else rows(node, weight)
    if found is None or node.op_type not in CONVOLUTIONS:
        return found
    return found.reshape(*found.shape[:2], -1, 1)


def _has_signed_weight(view: GraphView, node: onnx.NodeProto, operands: Operands) -> bool:
    if view.dtype(node.input[operands.weight]) != TensorProto.INT8:
        return False
    if operands.input_zero_point is None:
        return True
    # Dynamic quantization computes it, as uint8.
    return view.dtype(input_of(node, operands.input_zero_point)) in (None, TensorProto.UINT8)


def _is_depthwise(node: onnx.NodeProto, weight: Integers) -> bool:
    groups = next((entry.i for entry in node.attribute if entry.name == "group"), 1)
    return node.op_type in CONVOLUTIONS and weight.shape[1] == 1 and groups == len(weight) > 1
