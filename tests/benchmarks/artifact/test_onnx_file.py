"""Tensors in other files are found wherever ONNX has tensors."""

import os
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from eightbit.benchmarks.artifact.onnx_file import read_onnx
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.models.errors import InputError


def external(location: str = "weights.bin") -> onnx.TensorProto:
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "lies elsewhere")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def sparse(*, values: bool) -> onnx.SparseTensorProto:
    here = numpy_helper.from_array(np.zeros(1, np.int64), "here")
    return onnx.SparseTensorProto(
        values=external() if values else here, indices=here if values else external(), dims=[9]
    )


def constant(**attribute: object) -> onnx.NodeProto:
    node = onnx.NodeProto(op_type="Constant", output=["k"])
    node.attribute.append(onnx.AttributeProto(name="value", **attribute))
    return node


def graph(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(nodes, "inner", [], [])


def in_function(model: onnx.ModelProto) -> None:
    model.functions.append(
        helper.make_function("own", "F", [], ["k"], [constant(t=external())], [])
    )


def in_training(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.CopyFrom(graph(constant(t=external())))


def in_node(node: onnx.NodeProto) -> Callable[[onnx.ModelProto], None]:
    return lambda model: model.graph.node.append(node)


PLACES = {
    "initializer": lambda model: model.graph.initializer.append(external()),
    "sparse values": lambda model: model.graph.sparse_initializer.append(sparse(values=True)),
    "sparse indices": lambda model: model.graph.sparse_initializer.append(sparse(values=False)),
    "constant": in_node(constant(t=external())),
    "list of tensors": in_node(constant(tensors=[external()])),
    "sparse constant": in_node(constant(sparse_tensor=sparse(values=False))),
    "list of sparse tensors": in_node(constant(sparse_tensors=[sparse(values=True)])),
    "subgraph": in_node(constant(g=graph(constant(t=external())))),
    "list of subgraphs": in_node(constant(graphs=[graph(constant(t=external()))])),
    "subgraph of a subgraph": in_node(constant(g=graph(constant(g=graph(constant(t=external())))))),
    "function": in_function,
    "training": in_training,
}


@pytest.fixture
def model() -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    ends = [value(name, TensorProto.FLOAT, ["n", 3, "h", "w"]) for name in "xy"]
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    return helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]), ir_version=8)


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_in_another_file_is_found(place, model, tmp_path):
    PLACES[place](model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="found tensor 'lies elsewhere' in another one"):
        read_onnx(path)


@pytest.mark.parametrize("location", ["/etc/hostname", "../secret", "beside"])
def test_no_runtime_is_handed_such_a_file_wherever_the_other_one_lies(location, model, tmp_path):
    (tmp_path / "beside").write_bytes(bytes(12))
    model.graph.node.append(constant(t=external(location)))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="in another one; save it with"):
        OnnxRunner(path, threads=1)


def test_a_model_that_is_whole_is_read(model, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert read_onnx(path) == model


def test_a_hole_of_two_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "sparse.onnx"
    path.touch()
    os.truncate(path, 2**31 - 1)
    with pytest.raises(InputError, match="an ONNX model with a graph, found none"):
        read_onnx(path)
