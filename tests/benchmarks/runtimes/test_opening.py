"""One contract for every runtime, in this process."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from eightbit.benchmarks.artifact.formats import ONNX, OPENVINO, TORCHSCRIPT
from eightbit.benchmarks.artifact.metadata import open_artifact
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.models.errors import InputError


@pytest.fixture(autouse=True)
def _threads_of_torch_are_put_back():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class TestEveryRuntime:
    def test_computes_the_logits(self, model_file, execution, batch, expected_logits):
        result = open_runner(model_file, 1, execution)(batch)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, expected_logits, rtol=1e-5, atol=1e-6)

    def test_opens_an_artifact_as_well_as_a_path(self, model_file, execution, batch):
        first = open_runner(open_artifact(model_file), 1, execution)(batch)
        np.testing.assert_array_equal(first, open_runner(model_file, 1, execution)(batch))

    def test_takes_arrays_of_any_memory_layout(self, model_file, execution, batch):
        runner = open_runner(model_file, 1, execution)
        expected = runner(batch)
        read_only = batch.copy()
        read_only.flags.writeable = False
        np.testing.assert_array_equal(runner(read_only), expected)
        backwards = batch[::-1].copy()[::-1]
        assert backwards.strides[0] < 0
        np.testing.assert_array_equal(runner(backwards), expected)

    @pytest.mark.parametrize(
        "wrong",
        [
            np.zeros((3, 8, 8), np.float32),
            np.zeros((1, 4, 8, 8), np.float32),
            np.zeros((0, 3, 8, 8), np.float32),
            np.zeros((1, 3, 8, 8), np.float64),
            np.zeros((1, 3, 8, 8), np.uint8),
        ],
        ids=lambda array: f"{array.dtype} of {array.shape}",
    )
    def test_refuses_what_is_no_batch(self, model_file, execution, wrong):
        with pytest.raises(InputError, match=r"expected float32 of shape \(N, 3, H, W\)"):
            open_runner(model_file, 1, execution)(wrong)

    @pytest.mark.parametrize("content", [b"", b"garbage"])
    def test_refuses_garbage_in_one_line(self, tmp_path, model_file, execution, content):
        path = tmp_path / f"model{model_file.suffix}"
        path.write_bytes(content)
        with pytest.raises(
            InputError, match=r"model\.\w+: (OpenVINO|ONNX Runtime|expected)"
        ) as caught:
            open_runner(path, 1, execution)
        assert "\n" not in str(caught.value)


def test_an_unoptimized_onnx_model_gives_the_same(write_model, tmp_path, batch, expected_logits):
    path = write_model(ONNX.runtime, tmp_path)
    result = OnnxRunner(path, threads=1, optimize=False)(batch)
    np.testing.assert_allclose(result, expected_logits, rtol=1e-5, atol=1e-6)


def test_an_idle_onnx_model_takes_no_core(write_model, tmp_path):
    session = OnnxRunner(write_model(ONNX.runtime, tmp_path), threads=2)._session
    options = session.get_session_options()
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def _identity_onnx(path, shape, kind=TensorProto.FLOAT):
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
    return path


def test_a_model_of_fixed_size_refuses_another_in_one_line(tmp_path, batch):
    runner = OnnxRunner(_identity_onnx(tmp_path / "fixed.onnx", [1, 3, 2, 2]), threads=1)
    with pytest.raises(InputError, match=r"expected float32 of shape \(1, 3, 2, 2\)") as caught:
        runner(batch)
    assert "\n" not in str(caught.value)


def test_a_model_that_does_not_return_logits_is_refused(tmp_path, batch):
    runner = OnnxRunner(_identity_onnx(tmp_path / "same.onnx", [None] * 4), threads=1)
    with pytest.raises(InputError, match="expected logits"):
        runner(batch)


def test_a_model_of_another_input_type_is_refused(tmp_path):
    path = _identity_onnx(tmp_path / "raw.onnx", [None] * 4, TensorProto.UINT8)
    with pytest.raises(InputError, match="one float32 input"):
        OnnxRunner(path, threads=1)


def test_a_network_that_torch_cannot_optimise_is_refused_in_one_line(
    write_model, tmp_path, monkeypatch
):
    def fail(module):
        raise RuntimeError("Traceback of TorchScript\nfused operator: not on this CPU")

    monkeypatch.setattr(torch.jit, "optimize_for_inference", fail)
    path = write_model(TORCHSCRIPT.runtime, tmp_path)
    fused = Execution(runtime=TORCHSCRIPT.runtime, for_inference=True)
    with pytest.raises(InputError, match=r"cannot optimise it .*: fused operator") as caught:
        open_runner(path, 1, fused)
    assert "\n" not in str(caught.value)


def test_a_missing_engine_says_which_is_needed_and_which_are_there(write_model, tmp_path, metadata):
    lacking = metadata.model_copy(update={"engine": "nonesuch"})
    path = write_model(TORCHSCRIPT.runtime, tmp_path, lacking.to_json())
    with pytest.raises(InputError, match="engine nonesuch") as caught:
        open_runner(path, threads=1)
    assert all(name in str(caught.value) for name in torch.backends.quantized.supported_engines)


def test_the_engine_is_used_for_the_artifact_and_put_back(
    write_model, tmp_path, metadata, monkeypatch
):
    others = [
        engine
        for engine in torch.backends.quantized.supported_engines
        if engine != torch.backends.quantized.engine
    ]
    if not others:
        pytest.skip("this torch has a single quantized engine")
    before = torch.backends.quantized.engine
    needing = metadata.model_copy(update={"engine": others[0]})
    runner = open_runner(write_model(TORCHSCRIPT.runtime, tmp_path, needing.to_json()), threads=1)
    assert torch.backends.quantized.engine == before
    seen = []
    module = runner._module
    monkeypatch.setattr(
        runner, "_module", lambda x: (seen.append(torch.backends.quantized.engine), module(x))[1]
    )
    runner(np.zeros((1, 3, 224, 224), np.float32))
    assert seen == [others[0]]
    assert torch.backends.quantized.engine == before


def test_a_runtime_that_is_not_installed_is_named_with_what_brings_it(write_model, tmp_path):
    path = write_model(ONNX.runtime, tmp_path)
    missing = replace(OPENVINO, package="no_such_package")
    with pytest.raises(InputError, match=r"OpenVINO is not installed: pip install"):
        open_runner(path, 1, Execution.model_construct(runtime=missing))
