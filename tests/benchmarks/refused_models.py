"""Model files with one thing wrong, or newer than what is installed."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from eightbit.benchmarks.artifact.formats import OPENVINO
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.models.errors import InputError

ChangeModel = Callable[[onnx.ModelProto], None]
ChangeMember = Callable[[str, bytes], bytes]


def change_onnx(path: Path, change: ChangeModel) -> Path:
    """Change an ONNX file in place."""
    model = onnx.ModelProto.FromString(path.read_bytes())
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def change_torchscript(path: Path, change: ChangeMember) -> Path:
    """Change the members of a TorchScript archive in place, each given its name and its bytes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, change(name, content))
    return path


def opset(version: int) -> ChangeModel:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = version

    return change


def no_opset(model: onnx.ModelProto) -> None:
    model.ClearField("opset_import")


def ir_version(version: int) -> ChangeModel:
    def change(model: onnx.ModelProto) -> None:
        model.ir_version = version

    return change


def operator(domain: str, name: str, *, imported: bool = True) -> ChangeModel:
    """The average pool becomes an operator that no runtime has."""

    def change(model: onnx.ModelProto) -> None:
        (node,) = (node for node in model.graph.node if node.op_type == "GlobalAveragePool")
        node.domain, node.op_type = domain, name
        if domain and imported:
            model.opset_import.append(helper.make_opsetid(domain, 1))

    return change


def input_type(name: int) -> ChangeModel:
    def change(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.elem_type = name

    return change


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("two", TensorProto.FLOAT, [1]))


def second_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["n", 3]))


def no_nodes(model: onnx.ModelProto) -> None:
    model.graph.ClearField("node")


def external(model: onnx.ModelProto) -> None:
    """The first matrix of weights lies in a file that is not there."""
    tensor = next(tensor for tensor in model.graph.initializer if len(tensor.dims) > 1)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="weights.bin")


def fixed(images: int | None, side: int | None) -> ChangeModel:
    """The graph's input has these sizes."""

    def change(model: onnx.ModelProto) -> None:
        dims = model.graph.input[0].type.tensor_type.shape.dim
        for dim, size in zip(dims, (images, 3, side, side), strict=True):
            if size is not None:
                dim.dim_value = size

    return change


def archive_version(text: bytes) -> ChangeMember:
    return lambda name, content: text if name.endswith("/version") else content


def code(before: bytes, after: bytes) -> ChangeMember:
    """Other words in the code of an archive, wherever they stand."""

    def change(name: str, content: bytes) -> bytes:
        return content.replace(before, after) if name.endswith((".py", ".pkl")) else content

    return change


def refusal(path: Path, execution: Execution | None = None) -> str:
    """What is said of a file that cannot be opened, behind its name; one short line."""
    if execution is not None and execution.runtime is OPENVINO:
        pytest.importorskip("openvino", exc_type=ImportError)
    with pytest.raises(InputError) as caught:
        open_runner(path, 1, execution)
    where, _, sentence = str(caught.value).partition(": ")
    assert where == str(path)
    assert sentence.isprintable()
    assert len(sentence) < 400
    return sentence
