"""The operators that stay in float in ONNX Runtime, grouped by reason, with remedies.

And those that do not, though the file has their weights in float.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import onnx
from onnx import TensorProto

from eightbit.models.plain_text import one_line
from eightbit.quantize.artifacts.audit import MOVING_OPERATORS
from eightbit.quantize.doctor.findings import Finding, Severity, count
from eightbit.quantize.doctor.float_reasons import Cause, Reason, cause_of
from eightbit.quantize.doctor.graph_view import DEQUANTIZE, GraphView, input_of

_SHOWN: Final = 3
_STEPS: Final = 4

# Optimised operator to the written ones.
_HEAVY: Final[Mapping[str, frozenset[str]]] = {
    "Conv": frozenset({"Conv"}),
    "FusedConv": frozenset({"Conv"}),
    "Gemm": frozenset({"Gemm", "MatMul"}),
    "FusedGemm": frozenset({"Gemm", "MatMul"}),
    "MatMul": frozenset({"MatMul"}),
    "FusedMatMul": frozenset({"MatMul"}),
    "Add": frozenset({"Add"}),
    "Sum": frozenset({"Sum"}),
    "GlobalAveragePool": frozenset({"GlobalAveragePool"}),
    "AveragePool": frozenset({"AveragePool"}),
    "ReduceMean": frozenset({"ReduceMean"}),
}

# Operators with a weight, optimised to written.
_WITH_WEIGHTS: Final[Mapping[str, frozenset[str]]] = {
    "QLinearConv": frozenset({"Conv"}),
    "QGemm": frozenset({"Gemm", "MatMul"}),
    "QLinearMatMul": frozenset({"MatMul"}),
    "Conv": frozenset({"Conv"}),
    "FusedConv": frozenset({"Conv"}),
    "ConvTranspose": frozenset({"ConvTranspose"}),
    "Gemm": frozenset({"Gemm", "MatMul"}),
}

# No float arithmetic worth reporting.
_CONVERSIONS: Final = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant", "Cast", "Identity"}
)
_INTEGER: Final = ("QLinear", "QGemm", "NhwcMaxPool", "ConvInteger", "MatMulInteger", "DynamicQ")


def float_findings(
    written: GraphView, optimized: GraphView, *, meant: bool = False
) -> Iterator[Finding]:
    """Yield one finding per reason, most operators first.

    Args:
        written: The graph as stored in the file.
        optimized: The same graph after ONNX Runtime's optimisation.
        meant: Whether float operators are intended: findings are then INFO, not WARNING.
    """
    severity = Severity.INFO if meant else Severity.WARNING
    groups: dict[Cause, list[onnx.NodeProto]] = defaultdict(list)
    for node in optimized.nodes:
        kinds = _HEAVY.get(node.op_type)
        if kinds is not None:
            origin = _origin(written, node, kinds)
            cause = cause_of(written, origin) if origin else Cause(Reason.NOT_RECOGNISED)
            groups[cause].append(origin or node)
    for cause, nodes in sorted(groups.items(), key=lambda item: -len(item[1])):
        yield _finding(severity, cause, nodes)
    others = _other_operators(optimized)
    if others:
        yield Finding(
            severity=Severity.INFO,
            what=f"Also in float: {_counted(others)}",
            why="No integer kernel, or between float tensors",
        )


def rounded_on_loading(written: GraphView, optimized: GraphView) -> Iterator[Finding]:
    """Float weights that ONNX Runtime makes int8 by itself (its ``WeightBiasQuantization``)."""
    nodes = []
    for node in optimized.nodes:
        kinds = _WITH_WEIGHTS.get(node.op_type)
        origin = _origin(written, node, kinds) if kinds and node.output else None
        if origin is None or written.dtype(input_of(origin, 1)) != TensorProto.FLOAT:
            continue
        weight = optimized.producer(input_of(node, 1))
        dequantized = weight is not None and weight.op_type == DEQUANTIZE
        if node.op_type.startswith(_INTEGER) or dequantized:
            nodes.append(origin)
    if nodes:
        yield Finding(
            severity=Severity.WARNING,
            what=f"ONNX Runtime rounds float weights of {count(len(nodes), 'layer')} to int8",
            why="The file has them in float between quantized activations. ONNX Runtime 1.21 and "
            "later takes one scale for all channels; before, and in other runtimes, they are float "
            f"and the answers others ({_shown(nodes)})",
            remedy="Quantize the weights as well, with a scale per output channel. To keep them in "
            'float: InferenceSession(..., disabled_optimizers=["WeightBiasQuantization"])',
        )


def _shown(nodes: list[onnx.NodeProto]) -> str:
    """The first names."""
    shown = ", ".join(one_line(node.name or node.output[0], 60) for node in nodes[:_SHOWN])
    return shown + (f" and {len(nodes) - _SHOWN:,} more" if len(nodes) > _SHOWN else "")


def _origin(
    written: GraphView, node: onnx.NodeProto, kinds: frozenset[str]
) -> onnx.NodeProto | None:
    """The written operator behind an optimised node, which may be fused with its successors."""
    found = written.producer(node.output[0]) or written.named(node.name)
    for _ in range(_STEPS):
        if found is None or found.op_type in kinds:
            return found
        # A bias that is added may come first.
        sources = (written.producer(name) for name in found.input)
        found = next((source for source in sources if source is not None), None)
    return None


def _other_operators(optimized: GraphView) -> Counter[str]:
    """Count the other float operators; operators that only move integers do not count."""
    integers: set[str] = set()
    counts: Counter[str] = Counter()
    for node in optimized.nodes:
        moves = node.op_type in MOVING_OPERATORS and input_of(node, 0) in integers
        if moves or node.op_type.startswith(_INTEGER) or node.op_type == "QuantizeLinear":
            integers.update(node.output)
        elif node.op_type not in _CONVERSIONS and node.op_type not in _HEAVY:
            counts[node.op_type] += node.op_type not in {"Flatten", "Reshape"}
    return +counts


def _finding(severity: Severity, cause: Cause, nodes: list[onnx.NodeProto]) -> Finding:
    what, why, remedy = _TEXTS[cause.reason]
    operator = one_line(cause.operator, 60)
    kinds = _counted(Counter(node.op_type for node in nodes))
    return Finding(
        severity=severity,
        what=f"{kinds} in float: {what.format(operator)}",
        why=f"{why.format(operator)} ({_shown(nodes)})",
        remedy=remedy.format(operator),
    )


def _counted(operators: Counter[str]) -> str:
    """Such as "19 Conv, 9 Add"."""
    listed = [f"{number:,} {one_line(name, 40)}" for name, number in operators.most_common(8)]
    return ", ".join(listed)


# What, why and what to do; {} is the operator that the cause names.
_TEXTS: Final[Mapping[Reason, tuple[str, str, str]]] = {
    Reason.FLOAT_INPUT: (
        "the input comes in float from {}",
        "An integer operator needs a DequantizeLinear right before it",
        "Quantize the tensor between {} and the operator",
    ),
    Reason.MOVE_BETWEEN: (
        "{} stands between it and its DequantizeLinear",
        "ONNX Runtime does not take a Q/DQ pair away from around {} here",
        (
            "Put {} before the DequantizeLinear, on the integers (a Pad pads with the zero point), "
            "or into the operator's own pads"
        ),
    ),
    Reason.PER_CHANNEL_INPUT: (
        "its input has a scale per channel",
        (
            "Integer kernels take one scale for all activations; eightbit writes layers so that a "
            "recipe keeps in float"
        ),
        "Nothing, if they are meant to be float; otherwise one scale for the tensor",
    ),
    Reason.COMPUTED_SCALE: (
        "the scale of its input is computed",
        "Integer kernels need a constant scale and zero point",
        "Quantize statically",
    ),
    Reason.WEIGHT_NOT_CONSTANT: (
        "its weight is not a constant",
        "Only a weight that the file holds can be packed into integers",
        "Make the weight an initializer, and fold what computes it",
    ),
    Reason.WEIGHT_IN_FLOAT: (
        "its weight is float",
        "Only activations were quantized",
        "Quantize the weight as well (int8, with a scale per output channel)",
    ),
    Reason.WIDE_INTEGERS: (
        "its integers are not 8 bits wide",
        "ONNX Runtime's CPU kernels for these operators know int8 and uint8 only",
        "Quantize to 8 bits: uint8 activations, int8 weights",
    ),
    Reason.RELU_ZERO_POINT: (
        "the {} behind it is not part of the rounding",
        (
            "ONNX Runtime drops a {} only where the QuantizeLinear behind it clips in the same "
            "place: for Relu, where the zero point is the smallest integer"
        ),
        "Calibrate the tensor behind {}, so that its zero point is 0 (uint8) or -128 (int8)",
    ),
    Reason.BATCH_NORM: (
        "a BatchNormalization follows",
        "It was not folded into the convolution before quantization",
        "Fuse the float model first (onnxruntime.quantization.preprocess, or eightbit)",
    ),
    Reason.NOT_QUANTIZED_BEHIND: (
        "no QuantizeLinear behind it ({} follows)",
        "Its result is not rounded where it is made, so it is needed in float",
        "Quantize its output tensor",
    ),
    Reason.ALSO_READ_IN_FLOAT: (
        "{} reads its result in float",
        "A result that is needed in float as well is not made in integers",
        "Let {} read the dequantized tensor",
    ),
    Reason.ONE_SIDE: (
        "one of its two inputs is float, from {}",
        "An add in integers needs both sides quantized",
        "Quantize the other side, too",
    ),
    Reason.MEAN: (
        "it has no integer kernel",
        "ONNX Runtime makes one of GlobalAveragePool, none of ReduceMean",
        "Write the mean over height and width as GlobalAveragePool",
    ),
    Reason.INT8_ACTIVATIONS: (
        "int8 activations",
        (
            "On x86 ONNX Runtime makes uint8 of int8 activations that one operator reads; around "
            "residual adds some stay int8, and types no longer agree"
        ),
        "Quantize activations to uint8 (activation_type=QuantType.QUInt8)",
    ),
    Reason.NOT_RECOGNISED: (
        "reason not recognised",
        "All of the usual pattern seems to be there",
        "Look at it in the optimised graph (SessionOptions.optimized_model_filepath)",
    ),
}
