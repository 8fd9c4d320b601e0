"""Output channels that may saturate on a processor without VNNI.

Only uint8 activations x int8 weights are at risk: ONNX Runtime computes uint8 x uint8, int8 x int8
and depthwise layers exactly, as emulation of such a processor showed (docs/doctor.md).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.calibration.saturation import channels_at_risk
from eightbit.models.plain_text import one_line
from eightbit.quantize.artifacts.audit_process import LayerRisk
from eightbit.quantize.doctor.findings import Finding, Severity, count
from eightbit.quantize.doctor.graph_view import GraphView, input_of

# Input indices of the activations' zero point (None: always uint8) and of the weight.
_OPERANDS: Final[Mapping[str, tuple[int | None, int]]] = {
    "QLinearConv": (2, 3),
    "QLinearMatMul": (2, 3),
    "QGemm": (2, 3),
    "ConvInteger": (2, 1),
    "MatMulInteger": (2, 1),
    "MatMulIntegerToFloat": (4, 1),
    "DynamicQuantizeMatMul": (None, 1),
}
_CONVOLUTIONS: Final = frozenset({"QLinearConv", "ConvInteger"})


def onnx_risks(view: GraphView) -> tuple[LayerRisk, ...]:
    """Saturation risk of every integer layer in ONNX Runtime's optimised graph."""
    risks = []
    for node in view.nodes:
        operands = _OPERANDS.get(node.op_type)
        weight = _rows(view, node, operands[1]) if operands else None
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


def _rows(view: GraphView, node: onnx.NodeProto, index: int) -> npt.NDArray[np.int16] | None:
    """A weight as integers, output channels first: (O, C, positions, 1) or (O, K)."""
    weight = view.integers(input_of(node, index))
    if weight is None or weight.ndim < 2 or not weight.size:
        return None
    if node.op_type in _CONVOLUTIONS:
        return weight.reshape(*weight.shape[:2], -1, 1)
    if weight.ndim > 2:
        return None  # a stack of matrices is no layer of a classifier
    transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
    return weight if transposed else weight.T


def _has_signed_weight(
    view: GraphView, node: onnx.NodeProto, operands: tuple[int | None, int]
) -> bool:
    zero_point, weight = operands
    if view.dtype(node.input[weight]) != TensorProto.INT8:
        return False
    if zero_point is None:
        return True
    # Dynamic quantization computes it, as uint8.
    return view.dtype(input_of(node, zero_point)) in (None, TensorProto.UINT8)


def _is_depthwise(node: onnx.NodeProto, weight: npt.NDArray[np.int16]) -> bool:
    groups = next((entry.i for entry in node.attribute if entry.name == "group"), 1)
    return node.op_type in _CONVOLUTIONS and weight.shape[1] == 1 and groups == len(weight) > 1
