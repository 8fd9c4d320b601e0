"""What is OpenVINO's own; the contract that it shares is in `test_runners` and `test_isolated`."""

import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from eightbit.benchmarks.artifact.formats import OPENVINO
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.benchmarks.runtimes.runners.openvino_runner import OpenVinoRunner
from eightbit.models.errors import InputError

OPENVINO = Execution(runtime=OPENVINO)


@pytest.fixture
def runner(write_model, tmp_path):
    pytest.importorskip("openvino", exc_type=ImportError)
    return OpenVinoRunner(write_model(OPENVINO, tmp_path), threads=1)


def test_without_openvino_the_error_names_the_extra(write_model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    path = write_model(OPENVINO, tmp_path)
    with pytest.raises(InputError, match=r"tiny\.onnx: .*pip install 'eightbit\[openvino\]'"):
        open_runner(path, 1, OPENVINO)


@pytest.mark.parametrize("content", ["raise RuntimeError('broken')", "import no.such.library"])
def test_a_broken_openvino_is_told_in_one_line(write_model, tmp_path, monkeypatch, content):
    (tmp_path / "openvino.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    path = write_model(OPENVINO, tmp_path)
    with pytest.raises(InputError, match=r"OpenVINO cannot be imported: (broken|No mod)") as caught:
        open_runner(path, 1, OPENVINO)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("INFERENCE_PRECISION_HINT", "<Type: 'float32'>"),
        ("INFERENCE_NUM_THREADS", "1"),
        ("NUM_STREAMS", "1"),
        ("PERFORMANCE_HINT", "LATENCY"),
    ],
)
def test_one_call_gets_all_threads_and_float_stays_float32(runner, batch, name, expected):
    runner(batch)
    (request,) = runner._requests.values()
    assert expected in str(request.get_compiled_model().get_property(name))


def test_a_shape_is_compiled_once_and_few_are_kept(runner, batch):
    runner(batch)
    first = runner._requests[batch.shape]
    for images in (1, 2, 3, 4):
        assert runner(batch[:images]).shape == (images, 7)
    assert runner._requests[batch.shape] is first
    for side in (5, 6, 7, 8, 9):
        runner(np.zeros((1, 3, side, side), np.float32))
    assert len(runner._requests) == 4
    assert batch.shape not in runner._requests


def test_an_answer_is_not_overwritten_by_the_next(runner, batch):
    first = runner(batch)
    kept = first.copy()
    runner(batch + 1)
    np.testing.assert_array_equal(first, kept)


def _identity(path, shape, kind=TensorProto.FLOAT):
    values = [helper.make_tensor_value_info(name, kind, shape) for name in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "identity", values[:1], values[1:]
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path


def test_a_model_of_another_input_type_is_refused(tmp_path):
    pytest.importorskip("openvino", exc_type=ImportError)
    path = _identity(tmp_path / "raw.onnx", [None] * 4, TensorProto.UINT8)
    with pytest.raises(InputError, match=r"one float32 input, found \['u8'\]"):
        OpenVinoRunner(path, threads=1)


def test_a_model_that_does_not_return_logits_is_refused(tmp_path, batch):
    pytest.importorskip("openvino", exc_type=ImportError)
    runner = OpenVinoRunner(_identity(tmp_path / "same.onnx", [None] * 4), threads=1)
    with pytest.raises(InputError, match="expected logits"):
        runner(batch)


def test_a_shape_that_does_not_fit_is_refused_in_one_line(tmp_path, batch):
    pytest.importorskip("openvino", exc_type=ImportError)
    weight = helper.make_tensor("w", TensorProto.FLOAT, [5, 7], [0.0] * 35)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "narrow",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "n.onnx")
    with pytest.raises(
        InputError, match=r"n\.onnx: cannot run a batch of shape \(4, 3, 8, 6\)"
    ) as e:
        OpenVinoRunner(tmp_path / "n.onnx", threads=1)(batch)
    assert "\n" not in str(e.value)
