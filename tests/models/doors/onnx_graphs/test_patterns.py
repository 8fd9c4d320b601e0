"""Activations that exporters write out are recognised, and nothing else is."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from tests.onnx_models import SIDE, TAIL, convolution, saved, written

from eightbit.models.doors.onnx_graphs.module import OnnxNetwork
from eightbit.models.doors.onnx_graphs.patterns import simplified
from eightbit.models.doors.onnx_graphs.reading import read_onnx_graph

CONV = "c = Conv<pads = [1, 1, 1, 1]>(x, w) "

WRITTEN_OUT = {
    "Swish": "s = Sigmoid(c) h = Mul(c, s)",
    "HardSwish": "s = HardSigmoid<alpha = 0.16666667, beta = 0.5>(c) h = Mul(s, c)",
    "HardSigmoid": "a = Add(c, three) b = Clip(a, zero, six) h = Div(b, six)",
    "HardSwish, all of it": (
        "a = Add(three, c) b = Clip(a, zero, six) d = Mul(b, sixth) h = Mul(c, d)"
    ),
    "Gelu": "a = Div(c, root) b = Erf(a) d = Add(b, one) e = Mul(c, d) h = Mul(e, half)",
    "Gelu, the half first": (
        "a = Mul(c, inverse) b = Erf(a) d = Add(b, one) e = Mul(c, half) h = Mul(e, d)"
    ),
    "Gelu, the half inside": (
        "a = Mul(c, inverse) b = Erf(a) d = Add(one, b) e = Mul(half, d) h = Mul(c, e)"
    ),
}
FACTORS = {
    "three": np.float32(3),
    "zero": np.float32(0),
    "six": np.float32(6),
    "sixth": np.float32(1 / 6),
    "one": np.float32(1),
    "half": np.float32(0.5),
    "root": np.float32(2**0.5),
    "inverse": np.float32(0.5**0.5),
}


@pytest.mark.parametrize("name", WRITTEN_OUT)
def test_what_is_written_out_is_one_activation(name: str, tmp_path: Path) -> None:
    path = saved(written(f"{CONV} {WRITTEN_OUT[name]} {TAIL}", convolution(**FACTORS)), tmp_path)
    graph = simplified(read_onnx_graph(path).graph)
    assert [node.op for node in graph.nodes][1:-2] == [name.partition(",")[0]]
    images = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    (expected,) = ort.InferenceSession(path).run(None, {"x": images.numpy()})
    found = OnnxNetwork(graph, channels_last=False)(images).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        "s = Sigmoid(c) h = Mul(x2, s)",
        "a = Add(c, three) b = Clip(a, zero, three) h = Div(b, six)",
        "a = Div(c, six) b = Erf(a) d = Add(b, one) e = Mul(c, d) h = Mul(e, half)",
    ],
    ids=["another factor", "another bound", "another divisor"],
)
def test_what_is_nearly_an_activation_stays_as_it_is(body: str, tmp_path: Path) -> None:
    text = f"{CONV} x2 = Relu(c) {body} {TAIL}"
    graph = read_onnx_graph(saved(written(text, convolution(**FACTORS)), tmp_path)).graph
    assert simplified(graph).nodes == graph.nodes
