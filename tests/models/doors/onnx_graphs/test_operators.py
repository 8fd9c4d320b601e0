"""Every operator, with every attribute, answers what ONNX Runtime answers."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from tests.onnx_models import SIDE, TAIL, Weights, convolution, numbers, saved, written

from eightbit.models.doors.onnx_graphs.graphs import Graph
from eightbit.models.doors.onnx_graphs.module import OnnxNetwork
from eightbit.models.doors.onnx_graphs.operators import OPERATORS
from eightbit.models.doors.onnx_graphs.reading import read_onnx_graph
from eightbit.models.errors import InputError

WHOLE = np.int64
CONV = "c = Conv<pads = [1, 1, 1, 1]>(x, w) "


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=WHOLE)


def after(call: str) -> str:
    """A body that ends with a call of the maps `c`."""
    return f"{CONV} h = {call} {TAIL}"


# Body, weights, opset.
CASES: dict[str, tuple[str, Weights, int]] = {
    "Conv, groups": (
        (
            "h = Conv<group = 3, strides = [2, 1], dilations = [1, 2], pads = [1, 0, 0, "
            f"2]>(x, w, b) {TAIL}"
        ),
        {"w": numbers(6, 1, 3, 3), "b": numbers(6)},
        18,
    ),
    "Conv, SAME_UPPER": (
        f'h = Conv<auto_pad = "SAME_UPPER", strides = [2, 2]>(x, w) {TAIL}',
        convolution(),
        18,
    ),
    "Conv, SAME_LOWER": (
        f'h = Conv<auto_pad = "SAME_LOWER", strides = [2, 2]>(x, w) {TAIL}',
        convolution(),
        18,
    ),
    "Conv, VALID": (f'h = Conv<auto_pad = "VALID">(x, w) {TAIL}', convolution(), 11),
    "ConvTranspose": (
        (
            "h = ConvTranspose<strides = [2, 2], pads = [1, 1, 1, 1], output_padding = "
            f"[1, 1]>(x, w) {TAIL}"
        ),
        {"w": numbers(3, 4, 3, 3)},
        18,
    ),
    "Gemm": (
        "f = Flatten(x) y = Gemm<alpha = 0.5, beta = 2.0>(f, w, b)",
        {"w": numbers(3 * SIDE * SIDE, 5), "b": numbers(1, 5)},
        13,
    ),
    "Gemm, transB": (
        "f = Flatten(x) y = Gemm<transB = 1>(f, w)",
        {"w": numbers(5, 3 * SIDE * SIDE)},
        11,
    ),
    "MatMul and a bias": (
        "f = Flatten(x) m = MatMul(f, w) y = Add(b, m)",
        {"w": numbers(3 * SIDE * SIDE, 5), "b": numbers(5)},
        13,
    ),
    "MatMul of two": (
        "f = Reshape(x, s) t = Transpose<perm = [0, 2, 1]>(f) m = MatMul(f, t) y = Flatten(m)",
        {"s": ints(0, 3, -1)},
        13,
    ),
    "BatchNormalization": (
        after("BatchNormalization<epsilon = 0.01>(c, s, b, m, v)"),
        convolution(s=numbers(4), b=numbers(4), m=numbers(4), v=np.abs(numbers(4)) + 1),
        9,
    ),
    "LayerNormalization": (
        (
            f"{CONV} t = Transpose<perm = [0, 2, 3, 1]>(c) n = LayerNormalization(t, s, b) "
            f"h = Transpose<perm = [0, 3, 1, 2]>(n) {TAIL}"
        ),
        convolution(s=numbers(4), b=numbers(4)),
        17,
    ),
    "InstanceNormalization": (
        after("InstanceNormalization(c, s, b)")
        .replace("h =", "i =")
        .replace(TAIL, f"h = Exp(i) {TAIL}"),
        convolution(s=numbers(4), b=numbers(4)),
        18,
    ),
    "GroupNormalization": (
        after("GroupNormalization<num_groups = 2>(c, s, b)"),
        convolution(s=numbers(4), b=numbers(4)),
        21,
    ),
    "MaxPool": (
        after("MaxPool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(c)"),
        convolution(),
        9,
    ),
    "MaxPool, ceil_mode and dilations": (
        after(
            "MaxPool<kernel_shape = [2, 3], strides = [2, 2], dilations = [2, 1], ceil_mode = 1>(c)"
        ),
        convolution(),
        12,
    ),
    "MaxPool, SAME_UPPER": (
        after('MaxPool<kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER">(c)'),
        convolution(),
        12,
    ),
    "MaxPool, SAME_LOWER": (
        after('MaxPool<kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_LOWER">(c)'),
        convolution(),
        12,
    ),
    "MaxPool, more padding on one side": (
        after("MaxPool<kernel_shape = [3, 2], strides = [1, 2], pads = [0, 1, 1, 0]>(c)"),
        convolution(),
        12,
    ),
    "AveragePool": (
        after("AveragePool<kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]>(c)"),
        convolution(),
        11,
    ),
    "AveragePool, count_include_pad": (
        after("AveragePool<kernel_shape = [3, 3], pads = [1, 0, 1, 1], count_include_pad = 1>(c)"),
        convolution(),
        11,
    ),
    "AveragePool, SAME_UPPER": (
        after('AveragePool<kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER">(c)'),
        convolution(),
        11,
    ),
    "AveragePool, ceil_mode": (
        after("AveragePool<kernel_shape = [3, 3], strides = [2, 2], ceil_mode = 1>(c)"),
        convolution(),
        11,
    ),
    "GlobalMaxPool": (f"{CONV} p = GlobalMaxPool(c) y = Flatten(p)", convolution(), 18),
    "ReduceMean, axes as an attribute": (
        f"{CONV} y = ReduceMean<axes = [-1, 2], keepdims = 0>(c)",
        convolution(),
        13,
    ),
    "ReduceMean, axes as an input": (
        f"{CONV} m = ReduceMean(c, a) y = Squeeze(m, a)",
        convolution(a=ints(2, 3)),
        18,
    ),
    "ReduceSum and others": (
        (
            f"{CONV} s = ReduceSum(c, a) t = ReduceMax<axes = [2, 3]>(c) u = "
            "ReduceMin<axes = [2, 3]>(c) "
            "v = ReduceL2<axes = [2, 3]>(c) w2 = Concat<axis = 1>(s, t, u, v) y = Flatten(w2)"
        ),
        convolution(a=ints(2, 3)),
        13,
    ),
    "Clip of attributes": (after("Clip<min = -0.5, max = 6.0>(c)"), convolution(), 9),
    "Clip of inputs": (
        after("Clip(c, l, g)"),
        convolution(l=np.float32(0), g=np.float32(6)),
        13,
    ),
    "Clip, one side": (after("Clip(c, , g)"), convolution(g=np.float32(1)), 13),
    "arithmetic": (
        (
            f"{CONV} a = Sub(o, c) b = Div(a, d) e = Mul(b, c) g = Pow(e, two) i = "
            "Min(g, o) j = Max(i, c) "
            f"k = Neg(j) l = Sum(k, c, g) m = Abs(l) n = Sqrt(m) h = Reciprocal(n) {TAIL}"
        ),
        convolution(o=numbers(4, 1, 1), d=np.float32(3), two=np.float32(2)),
        13,
    ),
    "activations": (
        (
            f"{CONV} a = Relu(c) b = LeakyRelu<alpha = 0.2>(c) d = Elu(c) e = "
            "PRelu(c, s) f = Sigmoid(c) "
            "g = HardSigmoid(c) i = HardSigmoid<alpha = 0.1666667, beta = 0.5>(c) j "
            "= Tanh(c) k = Softplus(c) "
            "l = Erf(c) m = Exp(c) n = Floor(c) o = Log(m) "
            f"h = Concat<axis = 1>(a, b, d, e, f, g, i, j, k, l, m, n, o) {TAIL}"
        ),
        convolution(s=numbers(4, 1, 1)),
        16,
    ),
    "newer activations": (
        (
            f'{CONV} a = HardSwish(c) b = Mish(c) d = Gelu(c) e = Gelu<approximate = "tanh">(c) '
            f"h = Concat<axis = 1>(a, b, d, e) {TAIL}"
        ),
        convolution(),
        20,
    ),
    "Softmax over channels": (after("Softmax<axis = 1>(c)"), convolution(), 13),
    "Softmax of old, over all dimensions from there on": (
        after("Softmax(c)")
        .replace("h =", "i =")
        .replace(TAIL, f"h = LogSoftmax<axis = 1>(i) {TAIL}"),
        convolution(),
        11,
    ),
    "Slice, Split and Concat of old": (
        (
            f"{CONV} a, b = Split<axis = 1, split = [1, 3]>(c) d = Slice<axes = [2, "
            "3], starts = [1, -3], ends = [9999, 8]>(c) "
            "e = GlobalAveragePool(a) f = GlobalAveragePool(b) g = GlobalAveragePool(d) "
            "i = Concat<axis = 1>(f, e, g) y = Flatten(i)"
        ),
        convolution(),
        9,
    ),
    "Slice and Split of inputs": (
        (
            f"{CONV} a, b = Split<axis = 1>(c, s) d = Slice(c, zero, end, axes, steps) "
            "e = GlobalAveragePool(a) f = GlobalAveragePool(b) g = GlobalAveragePool(d) "
            "i = Concat<axis = 1>(f, e, g) y = Flatten(i)"
        ),
        convolution(
            s=ints(1, 3), zero=ints(1, 0), end=ints(8, 7), axes=ints(2, 3), steps=ints(2, 3)
        ),
        13,
    ),
    "Gather": (
        (
            f"{CONV} a = Gather<axis = 1>(c, i) b = Gather<axis = 3>(a, j) d = "
            "ReduceMean<axes = [2], keepdims = 0>(b) "
            "y = Flatten(d)"
        ),
        convolution(i=ints(2, 3, 0, 1), j=np.array(-1)),
        13,
    ),
    "Pad": (
        (
            f'{CONV} a = Pad(c, p, v) b = Pad<mode = "reflect">(a, q) h = Pad<mode = '
            f'"edge">(b, q) {TAIL}'
        ),
        convolution(
            p=ints(0, 0, 1, 2, 0, 0, 0, 1), v=np.float32(2), q=ints(0, 0, 1, 0, 0, 0, 2, 1)
        ),
        13,
    ),
    "Pad of old": (after("Pad<pads = [0, 0, 0, 0, 0, 1, 2, 3]>(c)"), convolution(), 9),
    "Resize by copying": (
        after(
            'Resize<mode = "nearest", coordinate_transformation_mode = "asymmetric", '
            'nearest_mode = "floor">(c, , s)'
        ),
        convolution(s=np.array([1, 1, 2, 3], np.float32)),
        13,
    ),
    "Resize, linear": (
        after('Resize<mode = "linear", coordinate_transformation_mode = "half_pixel">(c, , s)'),
        convolution(s=np.array([1, 1, 1.5, 0.6], np.float32)),
        13,
    ),
    "Resize of old": (after("Resize(c, s)"), convolution(s=np.array([1, 1, 2, 2], np.float32)), 10),
    "Upsample": (after("Upsample(c, s)"), convolution(s=np.array([1, 1, 2, 2], np.float32)), 9),
    "DepthToSpace and SpaceToDepth": (
        (
            f"{CONV} a = DepthToSpace<blocksize = 2>(c) b = SpaceToDepth<blocksize = "
            f'4>(a) h = DepthToSpace<blocksize = 2, mode = "CRD">(b) {TAIL}'
        ),
        convolution(),
        13,
    ),
    "shapes that are computed": (
        (
            f"{CONV} s = Shape(c) n = Gather(s, zero) u = Unsqueeze(n, a) t = "
            "Concat<axis = 0>(u, minus) "
            "f = Reshape(c, t) y = MatMul(f, w2)"
        ),
        convolution(zero=np.array(0), a=ints(0), minus=ints(-1), w2=numbers(4 * SIDE * SIDE, 2)),
        13,
    ),
    "Expand and Tile": (
        (
            f"{CONV} p = GlobalAveragePool(c) e = Expand(p, s) t = Tile(e, r) m = Mul(t, "
            f"c) h = Identity(m) {TAIL}"
        ),
        convolution(s=ints(1, 4, 8, 1), r=ints(1, 1, 1, 8)),
        13,
    ),
    "weights that are made of weights": (
        (
            "a = Constant<value_float = 2.0>() b = ConstantOfShape(s) d = Add(b, a) "
            "e = Sqrt(d) f = Mul(w, e) "
            f"g = Cast<to = 1>(f) c = Conv(x, g) h = Dropout(c) {TAIL}"
        ),
        convolution(s=ints(4, 1, 1, 1)),
        13,
    ),
    "sizes of where and equal": (
        (
            f"{CONV} p = GlobalAveragePool(c) o = ConstantOfShape<value = int64[1] "
            f"{{1}}>(four) m = Mul(o, minus) q = Equal(s, m) "
            f"r = Where(q, o, s) e = Expand(p, r) z = Add(e, c) h = Cast<to = 1>(z) {TAIL}"
        ),
        convolution(four=ints(4), minus=np.array(-1), s=ints(-1, -1, 8, 8)),
        13,
    ),
}


def opened(tmp_path: Path, name: str) -> tuple[Path, Graph]:
    body, weights, opset = CASES[name]
    path = saved(written(body, weights, opset=opset), tmp_path)
    return path, read_onnx_graph(path).graph


@pytest.mark.parametrize("name", CASES)
def test_it_answers_what_onnx_runtime_answers(name: str, tmp_path: Path) -> None:
    path, graph = opened(tmp_path, name)
    images = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    module = OnnxNetwork(graph, channels_last=False).eval()
    (expected,) = ort.InferenceSession(path).run(None, {"x": images.numpy()})
    with torch.inference_mode():
        found = module(images).numpy()
    np.testing.assert_allclose(found, expected.reshape(found.shape), rtol=1e-4, atol=1e-5)
    assert module.outputs(SIDE) == found.shape[1]


def test_every_operator_is_among_them() -> None:
    used = {
        node.op_type
        for body, weights, opset in CASES.values()
        for node in written(body, weights, opset=opset).graph.node
    }
    assert OPERATORS.keys() - used <= {"Swish"}  # of opset 24, made of a product and a sigmoid


REFUSED = {
    "LRN": ("h = LRN<size = 3>(c)", r"\(LRN\): expected an operator of a convolutional network"),
    "an attribute": ("h = Relu<slope = 2>(c)", r"\(Relu\): expected attributes that are known"),
    "indices": ("h, i = MaxPool<kernel_shape = [2, 2]>(c)", r"\(MaxPool\): expected the largest"),
    "a stride of 0": (
        "h = MaxPool<kernel_shape = [2, 2], strides = [0, 1]>(c)",
        r"\(MaxPool\): expected strides of at least 1",
    ),
    "another padding": (
        "h = MaxPool<kernel_shape = [2, 2], pads = [0, 0, 90000, 0]>(c)",
        r"expected strides of at least 1, padding of 0 to 1024",
    ),
    "training": (
        "h = BatchNormalization<training_mode = 1>(c, g, g, g, g)",
        r"expected BatchNormalization in evaluation mode",
    ),
    "no axes": ("h = Squeeze(c)", r"\(Squeeze\): expected axes, found none"),
    "a shape that does not fit": ("h = Reshape(c, s)", r"expected inputs and attributes that fit"),
    "too large a map": ("h = Expand(c, huge)", r"expected a result of at most 268,435,456 numbers"),
    "too many weights": (
        "a = ConstantOfShape(huge) h = Add(c, a)",
        r"expected a result of at most",
    ),
    "many large weights": (
        "a = ConstantOfShape(large) b = Add(a, a) d = Add(b, a) e = Add(d, a) h = Add(c, e)",
        "expected weights made of at most 2,147,483,648 bytes",
    ),
    "many large maps": (
        "a = Tile(c, six) b = Relu(a) d = Relu(b) e = Relu(d) h = Concat<axis = 1>(a, b, d, e)",
        "expected maps of at most 268,435,456 numbers at a time",
    ),
    "a division by 0": ("a = Mod(s, none) h = Reshape(c, a)", "expected inputs and attributes"),
    "too large a convolution": (
        "h = Conv(c, wide)",
        r"expected maps of at most 268,435,456 numbers at a time",
    ),
    "infinite weights": ("h = Mul(c, f)", r"expected finite weights"),
    "sizes of pixels": ("h = Reshape(c, c)", r"expected constant sizes"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_computed_is_refused_by_name(name: str, tmp_path: Path) -> None:
    body, message = REFUSED[name]
    weights = convolution(
        f=np.full((4, 1, 1) if name == "infinite weights" else 4, np.inf, np.float32),
        g=np.ones(4, np.float32),
        s=ints(0, 7, -1),
        huge=ints(1, 4, 8 * 10**8, 10**9),
        large=ints(2, 10**8),
        six=ints(1, 1, 500, 300),
        none=ints(0),
        wide=np.zeros((4_000_000, 4, 1, 1), np.float32)
        if name == "too large a convolution"
        else np.zeros(1, np.float32),
    )
    graph = read_onnx_graph(saved(written(f"{CONV} {body} {TAIL}", weights), tmp_path)).graph
    with pytest.raises(InputError, match=message):
        OnnxNetwork(graph, channels_last=False).outputs(SIDE)
