"""Files of strangers: the doctor says what is wrong with them, in one line or as a finding."""

import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from tests.quantize.foreign_models import one_convolution

from eightbit.benchmarks.artifact import untrusted_onnx
from eightbit.models.errors import InputError
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize import Severity, examine_file
from eightbit.quantize.doctor import onnx_trial
from eightbit.quantize.doctor.graph_view import GraphView


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "hostile.onnx"
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.onnx", b""),
        ("picture.onnx", b"\x89PNG\r\n\x1a\n" * 20),
        ("empty.pt", b""),
        ("picture.pt", b"\x89PNG\r\n\x1a\n" * 20),
        ("model.h5", b"\x89HDF"),
    ],
)
def test_a_file_that_is_no_model_is_refused_in_one_line(name, content, eightbit, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert name in eightbit("doctor", tmp_path / name).error


def test_a_file_that_is_not_there_is_refused_in_one_line(eightbit, tmp_path):
    assert "found no such file; check the path" in eightbit("doctor", tmp_path / "none.onnx").error


def external(tensor: onnx.TensorProto) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="/etc/hostname")


def test_tensors_in_other_files_are_not_followed(eightbit, tmp_path):
    model = one_convolution()
    external(model.graph.initializer[0])
    assert "in another one" in eightbit("doctor", saved(model, tmp_path)).error


def test_tensors_in_other_files_are_found_inside_of_nodes(tmp_path):
    model = one_convolution()
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["k"], value=numpy_helper.from_array(np.zeros(3)))],
        "inner",
        [],
        [],
    )
    external(inner.node[0].attribute[0].t)
    model.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=inner))
    with pytest.raises(InputError, match="in another one"):
        examine_file(saved(model, tmp_path))


def test_too_many_nodes_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(untrusted_onnx, "MAX_NODES", 3)
    with pytest.raises(InputError, match="at most 3 nodes"):
        examine_file(saved(one_convolution(), tmp_path))


def test_graphs_in_each_other_are_bounded(tmp_path):
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [], [])
    for _ in range(20):
        graph = helper.make_graph(
            [helper.make_node("If", ["x"], ["y"], then_branch=graph)], "g", [], []
        )
    model = helper.make_model(graph, ir_version=8)
    with pytest.raises(InputError, match="graphs in each other"):
        examine_file(saved(model, tmp_path))


def unknown_type(model):
    model.graph.initializer[0].data_type = 77


def unknown_type_of_the_input(model):
    model.graph.input[0].type.tensor_type.elem_type = 99


def too_short(model):
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == "w")
    weight.raw_data = b"123"


def negative_size(model):
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == "w")
    weight.dims[0], weight.dims[1] = -8, -4


def missing(model):
    del model.graph.initializer[0]


def circle(model):
    model.graph.node[0].input[0] = "y"


def unknown_operator(model):
    model.graph.node[2].op_type = "Bogus\x1b[31m"


def no_outputs(model):
    for node in model.graph.node:
        del node.output[:]


def test_a_torchscript_file_with_a_name_that_is_no_text_is_refused(eightbit, tmp_path):
    path = tmp_path / "names.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("é/constants.pkl", b"")
    path.write_bytes(path.read_bytes().replace("é".encode(), b"\xc3("))
    assert "expected a TorchScript archive" in eightbit("doctor", path).error


def test_a_torchscript_file_with_a_class_that_is_no_text_is_refused(eightbit, tmp_path):
    path = tmp_path / "class.pt"
    with expected_deprecations():
        torch.jit.script(torch.nn.Flatten()).save(str(path))
    path.write_bytes(path.read_bytes().replace(b"Flatten", b"\xec(atten", 1))
    assert "that cannot be read" in eightbit("doctor", path).error


class WithoutForward(torch.nn.Module):
    @torch.jit.export
    def other(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_a_torchscript_file_with_nothing_to_call_is_refused(eightbit, tmp_path):
    path = tmp_path / "uncallable.pt"
    with expected_deprecations():
        torch.jit.script(WithoutForward()).save(str(path))
    assert "found no forward" in eightbit("doctor", path).error


@pytest.mark.parametrize("dims", [(-8, -1), (8, 2), (2**62, 4), (8, 0)])
def test_integers_of_an_impossible_shape_are_not_there(dims):
    tensor = numpy_helper.from_array(np.ones(8, np.int8), "w")
    tensor.dims[:] = dims
    graph = helper.make_graph([], "g", [], [], [tensor])
    assert GraphView(graph).integers("w") is None


@pytest.mark.parametrize(
    "spoil",
    [
        unknown_type,
        unknown_type_of_the_input,
        too_short,
        negative_size,
        missing,
        circle,
        unknown_operator,
        no_outputs,
    ],
)
def test_a_broken_model_is_an_error_and_no_traceback(spoil, eightbit, tmp_path):
    model = one_convolution()
    spoil(model)
    outcome = eightbit("doctor", saved(model, tmp_path))
    assert outcome.code == 0, outcome
    assert outcome.out.startswith("It does not run here: 1 error.")
    assert "ONNXRuntimeError" not in outcome.out
    assert "onnxruntime_src" not in outcome.out
    assert "\x1b" not in outcome.out


def test_a_model_that_asks_for_all_memory_is_not_given_it(tmp_path):
    """Optimising folds constants: this one would be 240 GB."""
    value = numpy_helper.from_array(np.ones(1, np.float32))
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["huge"], value=value),
        helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    size = numpy_helper.from_array(np.array([60_000_000_000], np.int64), "size")
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [size])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert examine_file(saved(model, tmp_path)).verdict.startswith("It runs here, in float")


def test_a_model_that_takes_too_long_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_trial, "_TIMEOUT_S", 0.01)
    examination = examine_file(saved(one_convolution(), tmp_path))
    (error,) = (x for x in examination.findings if x.severity is Severity.ERROR)
    assert "not loaded after" in error.why


def test_a_model_that_ends_the_runtime_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_trial.sys, "executable", "/bin/false")
    examination = examine_file(saved(one_convolution(), tmp_path))
    (error,) = (x for x in examination.findings if x.severity is Severity.ERROR)
    assert "with code 1" in error.why
