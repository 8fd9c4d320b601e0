"""Files of strangers: read within their own folder and size, or refused in one line."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.onnx_models import TAIL, convolution, numbers, saved, written

from eightbit.models.doors.onnx_graphs.reading import read_onnx_graph
from eightbit.models.errors import InputError

BODY = f"h = Conv(x, w) {TAIL}"

Change = Callable[[onnx.ModelProto], object]


def small() -> onnx.ModelProto:
    return written(BODY, convolution())


def with_external(folder: Path, location: str, **entries: object) -> Path:
    """A model whose weights lie in another file."""
    model = small()
    (tensor,) = model.graph.initializer
    data = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    place = {"location": location, "offset": 8, "length": len(data), **entries}
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
    (folder / "weights.bin").write_bytes(bytes(8) + data)
    return saved(model, folder)


def test_weights_may_lie_in_a_file_beside_it_that_belongs_to_the_digest(tmp_path: Path) -> None:
    path = with_external(tmp_path, "weights.bin")
    file = read_onnx_graph(path)
    np.testing.assert_array_equal(file.graph.constants["w"], convolution()["w"])
    beside = tmp_path / "weights.bin"
    content = bytearray(beside.read_bytes())
    content[-1] ^= 1
    beside.write_bytes(content)
    assert read_onnx_graph(path).sha256 != file.sha256


@pytest.mark.parametrize(
    ("location", "entries", "message"),
    [
        ("../weights.bin", {}, "expected weights in the model's folder, found '../weights.bin'"),
        ("/etc/passwd", {}, "expected weights in the model's folder, found '/etc/passwd'"),
        ("", {}, "expected weights in the model's folder"),
        ("link.bin", {}, "expected weights in the model's folder, found 'link.bin'"),
        ("a\0b", {}, "expected weights in the model's folder"),
        ("x" * 300, {}, "expected weights in the model's folder"),
        ("missing.bin", {}, "found no such file"),
        ("pipe", {}, "found a pipe"),
        ("weights.bin", {"offset": 9}, "found a file of 440"),
        ("weights.bin", {"offset": -1}, "found 432 at -1"),
        ("weights.bin", {"length": 2**40}, r"expected 432 bytes, as its shape says, and"),
        ("weights.bin", {"length": "many"}, "expected a place in a file"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_weights_elsewhere_are_refused(
    location: str, entries: dict[str, object], message: str, tmp_path: Path
) -> None:
    inner, outside = tmp_path / "inner", tmp_path / "outside.bin"
    inner.mkdir()
    outside.write_bytes(bytes(440))
    (inner / "link.bin").symlink_to(outside)
    os.mkfifo(inner / "pipe")
    path = with_external(inner, location, **entries)
    with pytest.raises(InputError, match=message):
        read_onnx_graph(path)


def _quantized(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]))


def _function(model: onnx.ModelProto, calls: str, name: str = "F") -> None:
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    nodes = [
        helper.make_node(calls, ["a"], ["b"], domain="own" if calls != "Relu" else ""),
        helper.make_node(calls, ["b"], ["c"], domain="own" if calls != "Relu" else ""),
    ]
    model.functions.append(helper.make_function("own", name, ["a"], ["c"], nodes, opset))


def _calling(model: onnx.ModelProto, name: str) -> None:
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node[0].output[0] = "g"
    model.graph.node.insert(1, helper.make_node(name, ["g"], ["h"], domain="own"))


def _bomb(model: onnx.ModelProto) -> None:
    _calling(model, "F40")
    _function(model, "Relu", "F0")
    for level in range(40):
        _function(model, f"F{level}", f"F{level + 1}")


def _endless(model: onnx.ModelProto) -> None:
    _calling(model, "F")
    _function(model, "F")


def _controlled(model: onnx.ModelProto) -> None:
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["r"])], "b", [], [])
    node = helper.make_node("If", ["w"], ["i"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)


HOSTILE: dict[str, tuple[Change, str]] = {
    "no nodes": (lambda m: m.graph.ClearField("node"), "an ONNX model with a graph, found none"),
    "quantized": (_quantized, "found QuantizeLinear: it is already quantized; give the float"),
    "control flow": (_controlled, "expected no control flow, found If"),
    "a function that calls itself": (_endless, "found one that calls itself"),
    "functions that grow": (_bomb, r"expected at most 20,000 nodes, found 2,199,023,255,555 in"),
    "another domain": (
        lambda m: m.graph.node[0].MergeFrom(onnx.NodeProto(domain="com.microsoft")),
        "expected operators of ONNX's own, found com.microsoft.Conv",
    ),
    "an old opset": (
        lambda m: setattr(m.opset_import[0], "version", 6),
        "expected opset 7 to 25, found 6",
    ),
    "a future opset": (
        lambda m: setattr(m.opset_import[0], "version", 2**62),
        "expected opset 7 to 25",
    ),
    "a shape beyond the data": (
        lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**50),
        "tensor 'w': expected as many numbers as its shape says",
    ),
    "a negative shape": (
        lambda m: m.graph.initializer[0].dims.__setitem__(0, -4),
        "tensor 'w': expected a shape, found a negative size",
    ),
    "strings": (
        lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.STRING),
        "tensor 'w': expected numbers of 32 bits and the like, found STRING",
    ),
    "a circle": (
        lambda m: m.graph.node[0].input.__setitem__(0, "y"),
        "expected nodes that read what an earlier one makes, found 'y'",
    ),
    "a name twice": (
        lambda m: m.graph.node.append(m.graph.node[0]),
        "expected names that are given once, found 'h'",
    ),
    "two inputs": (
        lambda m: m.graph.input.append(helper.make_tensor_value_info("x2", 1, [1])),
        r"expected one input, of images, and one output, of logits, found 2 \('x', 'x2'\) and 1",
    ),
    "two outputs": (
        lambda m: m.graph.output.append(helper.make_tensor_value_info("h", 1, None)),
        r"found 1 \('x'\) and 2 \('y', 'h'\); export these alone",
    ),
    "an output of nothing": (
        lambda m: setattr(m.graph.output[0], "name", "x"),
        "expected a graph that computes its output",
    ),
    "half precision": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", TensorProto.FLOAT16),
        "input 'x': expected float32 images, found FLOAT16",
    ),
    "sparse weights": (
        lambda m: m.graph.sparse_initializer.add(),
        "expected dense weights",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_float_classifier_is_refused(name: str, tmp_path: Path) -> None:
    change, message = HOSTILE[name]
    model = small()
    change(model)
    path = saved(model, tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        read_onnx_graph(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_every_cut_of_a_file_is_refused_or_read(tmp_path: Path) -> None:
    content = small().SerializeToString()
    path = tmp_path / "cut.onnx"
    for end in range(0, len(content), 7):
        path.write_bytes(content[:end])
        with pytest.raises(InputError, match=r"cut\.onnx: "):
            read_onnx_graph(path)


def test_functions_of_the_model_are_inlined(tmp_path: Path) -> None:
    model = small()
    _calling(model, "F")
    _function(model, "Relu")
    graph = read_onnx_graph(saved(model, tmp_path)).graph
    assert [node.op for node in graph.nodes] == [
        "Conv",
        "Relu",
        "Relu",
        "GlobalAveragePool",
        "Flatten",
    ]


def test_what_nobody_reads_is_left_out(tmp_path: Path) -> None:
    model = written(f"unused = LRN<size = 3>(x) {BODY}", {"w": numbers(4, 3, 3, 3)})
    graph = read_onnx_graph(saved(model, tmp_path)).graph
    assert [node.op for node in graph.nodes] == ["Conv", "GlobalAveragePool", "Flatten"]
