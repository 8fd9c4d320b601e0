"""Counts the operators that compute in integers, after the runtime's own optimisation.

A runtime that cannot fuse quantization nodes computes in float between them, slower than without,
so the optimised graph is counted, not the written one.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import onnx
import onnxruntime as ort

from eightbit.benchmarks.artifact.formats import LITERT, ONNX, PROGRAM, TORCHSCRIPT, format_of
from eightbit.benchmarks.artifact.onnx_file import check_onnx
from eightbit.benchmarks.artifact.refusals import onnxruntime_refusal
from eightbit.benchmarks.report.document import CoverageSection, OperatorCoverage
from eightbit.models.plain_text import printable
from eightbit.quantize.staging import scratch

if TYPE_CHECKING:
    import torch

_ERRORS_ONLY = 3

# What ONNX Runtime puts behind a name when it changes a layout.
_NUMBERED: Final = re.compile(r"_token_\d+$")

_Kinds = Mapping[str, tuple[frozenset[str], frozenset[str]]]

# ONNX Runtime has no MaxPool of its own for integers: the ordinary one runs on uint8 as well.
_INTEGER_MAX_POOL: Final = "MaxPool on integers"
_WRITES_INTEGERS: Final = ("QLinear", "QGemm", "QuantizeLinear", "NhwcMaxPool")

# ONNX operators that move or choose numbers and compute none: integers come out as integers.
MOVING_OPERATORS: Final = frozenset(
    {
        *("MaxPool", "Transpose", "Slice", "Pad", "Reshape", "Flatten"),
        *("Squeeze", "Unsqueeze", "Concat", "Resize"),
    }
)

# ONNX Runtime lets a float convolution add its fourth input.
_FLOAT_CONVOLUTIONS: Final = frozenset({"Conv", "FusedConv", "NhwcFusedConv"})
_SUM_INPUT: Final = 3

# By kind: the operators that compute in integers, and those that compute in float.
_ONNX: Final[_Kinds] = {
    "conv": (
        frozenset({"QLinearConv"}),
        frozenset({"Conv", "FusedConv", "NhwcFusedConv", "ConvInteger"}),
    ),
    "add": (frozenset({"QLinearAdd"}), frozenset({"Add", "Sum"})),
    "linear": (
        frozenset({"QGemm", "QLinearMatMul"}),
        frozenset({"Gemm", "MatMul", "FusedGemm", "FusedMatMul", "MatMulInteger"}),
    ),
    "pool": (
        frozenset(
            {"QLinearGlobalAveragePool", "QLinearAveragePool", "NhwcMaxPool", _INTEGER_MAX_POOL}
        ),
        frozenset({"GlobalAveragePool", "AveragePool", "MaxPool", "ReduceMean"}),
    ),
    "product": (frozenset({"QLinearMul"}), frozenset({"Mul"})),
}

_TORCHSCRIPT: Final[_Kinds] = {
    "conv": (
        frozenset({"quantized::conv2d", "quantized::conv2d_relu"}),
        frozenset({"aten::conv2d", "aten::_convolution"}),
    ),
    "add": (
        frozenset({"quantized::add", "quantized::add_relu"}),
        frozenset({"aten::add", "aten::add_"}),
    ),
    "linear": (
        # Ours, whose sums stay float, and torch's.
        frozenset({"aten::_int_mm", "quantized::linear"}),
        frozenset({"aten::linear", "aten::addmm"}),
    ),
}

# torch computes in float with its own operators, whatever integers they are given. An add is told
# by nothing.
_PROGRAM: Final[_Kinds] = {
    "conv": (frozenset({"onednn.qconv_pointwise.default"}), frozenset({"aten.conv2d.default"})),
    "linear": (frozenset(), frozenset({"aten.linear.default"})),
    "add": (frozenset(), frozenset()),
}

# LiteRT takes the kernel of the input's type.
_LITERT: Final[_Kinds] = {
    kind: (
        frozenset(f"{name} of integers" for name in names),
        frozenset(f"{name} of reals" for name in names),
    )
    for kind, names in {
        "conv": ("CONV_2D", "DEPTHWISE_CONV_2D"),
        "linear": ("FULLY_CONNECTED",),
        "add": ("ADD",),
        "pool": ("MAX_POOL_2D", "MEAN_OF_WINDOWS"),
        "product": ("MUL",),
    }.items()
}

# What ONNX Runtime says when the disk has no room for the model that it optimised.
_NOT_WRITTEN: Final = "Protobuf serialization failed"


def audit(path: Path) -> CoverageSection | None:
    """Count the integer operators of an artefact, by kind; None where its format has no audit.

    Raises:
        InputError: The file is of no format, or its runtime cannot load it.
    """
    counts = _AUDITS.get(format_of(path).key)
    return counts(path) if counts else None


def audit_onnx(
    path: Path, apart: Collection[str] = (), products: Collection[str] = ()
) -> CoverageSection:
    """Count in the graph that ONNX Runtime runs on this CPU.

    Args:
        path: The model.
        apart: Names of tensors whose computation is of no kind that is counted.
        products: Names of those that are products of two tensors.

    Raises:
        InputError: ONNX Runtime cannot load the file.
    """
    check_onnx(path)
    with scratch() as folder:
        optimized = folder / "optimized.onnx"
        options = ort.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.optimized_model_filepath = str(optimized)
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # ONNX Runtime's exceptions have no common base
            if _NOT_WRITTEN in str(exc):
                # It does not say why; whoever writes as much here is told.
                (folder / "as_much").write_bytes(bytes(path.stat().st_size))
            raise onnxruntime_refusal(exc, printable(str(path)), ort.__version__) from exc
        graph = onnx.load(optimized).graph
    return count_onnx(graph, apart, products)


def count_onnx(
    graph: onnx.GraphProto, apart: Collection[str] = (), products: Collection[str] = ()
) -> CoverageSection:
    """Count the integer operators of a graph that ONNX Runtime has optimised, by kind."""
    return _section(_operators(graph, apart, frozenset(products)), _ONNX)


def _operators(
    graph: onnx.GraphProto, apart: Collection[str], products: frozenset[str]
) -> Counter[str]:
    """Nodes by operator; an integer MaxPool and an add fused into a float Conv count apart.

    A float multiplication counts where it is one of the network's products, which have names.
    """
    integers: set[str] = set()
    # What ONNX Runtime takes apart loses its name; what rounds its result has it.
    rounded = {
        node.input[0]: node.output[0] for node in graph.node if node.op_type == "QuantizeLinear"
    }
    counts: Counter[str] = Counter()
    for node in graph.node:
        moves_integers = node.op_type in MOVING_OPERATORS and node.input[0] in integers
        if moves_integers or node.op_type.startswith(_WRITES_INTEGERS):
            integers.update(node.output)
        names = (node.name, *node.output, *(rounded.get(name, "") for name in node.output))
        if any(_tensor(name) in apart for name in names):
            continue
        if node.op_type == "Mul" and products.isdisjoint(map(_tensor, names)):
            continue
        if _subsamples(node):
            continue
        if moves_integers and node.op_type == "MaxPool":
            counts[_INTEGER_MAX_POOL] += 1
        else:
            counts[node.op_type] += 1
        if node.op_type in _FLOAT_CONVOLUTIONS and any(node.input[_SUM_INPUT:]):
            counts["Add"] += 1
    return counts


def _subsamples(node: onnx.NodeProto) -> bool:
    """Whether it is a pool of single elements, which computes nothing."""
    return any(
        attribute.name == "kernel_shape" and set(attribute.ints) == {1}
        for attribute in node.attribute
        if node.op_type in ("MaxPool", "NhwcMaxPool")
    )


def _tensor(name: str) -> str:
    """The tensor that a node or its output is named after, as ONNX Runtime has left the name."""
    return _NUMBERED.sub("", name).partition("/")[0]


def _audit_torchscript(path: Path) -> CoverageSection:
    """Count in the graph that torch runs; its pooling is of either kind, and is not counted."""
    # Here, so that looking at an ONNX file does not load torch.
    from eightbit.benchmarks.runtimes.runners.torchscript_runner import load_module

    module, _ = load_module(path)
    return count_torchscript(module)


def count_torchscript(module: "torch.jit.ScriptModule") -> CoverageSection:
    """Count the integer operators of a loaded TorchScript module, by kind."""
    return _section(Counter(node.kind() for node in module.inlined_graph.nodes()), _TORCHSCRIPT)


def _audit_program(path: Path) -> CoverageSection:
    """Count in the program that this CPU is given, with its INT8 kernels."""
    # Here, so that looking at an ONNX file does not load torch.
    from eightbit.benchmarks.runtimes.runners.program_kernels import with_int8_kernels
    from eightbit.benchmarks.runtimes.runners.program_runner import load_program

    module = load_program(path)
    with_int8_kernels(module)
    called = [str(node.target) for node in module.graph.nodes if node.op == "call_function"]
    return _section(Counter(called), _PROGRAM)


def _audit_litert(path: Path) -> CoverageSection:
    """Count in the file: XNNPACK, where it is taken, computes in the types of the file too."""
    # Here, since LiteRT is an extra.
    from eightbit.benchmarks.runtimes.runners.litert_runner import litert_operators

    return _section(Counter(litert_operators(path)), _LITERT)


def _section(counts: Counter[str], kinds: _Kinds) -> CoverageSection:
    def coverage(kind: str) -> OperatorCoverage:
        integer, real = kinds[kind]
        quantized = sum(counts[name] for name in integer)
        return OperatorCoverage(
            quantized=quantized, total=quantized + sum(counts[name] for name in real)
        )

    return CoverageSection.model_validate({kind: coverage(kind) for kind in kinds})


_AUDITS: Final[Mapping[str, Callable[[Path], CoverageSection]]] = {
    ONNX.key: audit_onnx,
    TORCHSCRIPT.key: _audit_torchscript,
    PROGRAM.key: _audit_program,
    LITERT.key: _audit_litert,
}
