"""An execution is what its name says: in the record, and in the process that executes."""

import shutil

import numpy as np
import psutil
import pydantic
import pytest
import torch

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.runtimes.execution import EMULATOR, Execution, emulator_problem
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.models.errors import InputError

HASWELL = Execution(runtime=ONNX.runtime, emulated_cpu="Haswell")

needs_emulator = pytest.mark.skipif(
    emulator_problem() is not None, reason=f"emulator: {emulator_problem()}"
)


@pytest.mark.parametrize(
    ("fields", "name", "lacks_vnni"),
    [
        ({"runtime": "torchscript"}, "torchscript", False),
        ({"runtime": "torchscript", "engine": "fbgemm"}, "torchscript_fbgemm", False),
        ({"runtime": "torchscript", "for_inference": True}, "torchscript_for_inference", False),
        ({"runtime": "torchscript", "max_isa": "AVX512_CORE"}, "torchscript_no_vnni", True),
        ({"runtime": "torchscript", "max_isa": "AVX2"}, "torchscript_avx2", True),
        ({"runtime": "onnxruntime"}, "onnx", False),
        ({"runtime": "onnxruntime", "optimize": False}, "onnx_unoptimised", False),
        ({"runtime": "onnxruntime", "emulated_cpu": "Haswell"}, "onnx_haswell", True),
        ({"runtime": "openvino"}, "openvino", False),
        ({"runtime": "openvino", "optimize": False}, "openvino_unoptimised", False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_execution_has_a_stable_name_and_survives_its_journey(fields, name, lacks_vnni):
    execution = Execution(**fields)
    assert (execution.name, execution.lacks_vnni) == (name, lacks_vnni)
    assert Execution.model_validate_json(execution.model_dump_json()) == execution


@pytest.mark.parametrize(
    "fields",
    [
        {"runtime": "torchscript", "optimize": False},
        {"runtime": "onnxruntime", "engine": "fbgemm"},
        {"runtime": "openvino", "max_isa": "AVX2"},
        {"runtime": "torchscript", "max_isa": "AVX2 "},
        {"runtime": "onnxruntime", "for_inference": True},
        {"runtime": "onnxruntime", "emulated_cpu": "Haswell -s"},
        {"runtime": "tensorflow"},
    ],
    ids=str,
)
def test_what_a_runtime_does_not_have_cannot_be_asked_for(fields):
    with pytest.raises(pydantic.ValidationError):
        Execution(**fields)


def test_the_instruction_set_is_limited_in_the_process_alone(write_model, tmp_path, batch):
    path = write_model(TORCHSCRIPT.runtime, tmp_path)
    limited = Execution(runtime=TORCHSCRIPT.runtime, max_isa="AVX2")
    with (
        IsolatedRunner(path, threads=1, execution=limited) as runner,
        IsolatedRunner(path, threads=1) as free,
    ):
        assert psutil.Process(runner.pid).environ()["ONEDNN_MAX_CPU_ISA"] == "AVX2"
        assert "ONEDNN_MAX_CPU_ISA" not in psutil.Process(free.pid).environ()
        assert runner(batch).shape == (4, 7)


@needs_emulator
def test_an_emulated_processor_gives_the_logits(write_model, tmp_path, batch, expected_logits):
    path = write_model(ONNX.runtime, tmp_path)
    with IsolatedRunner(path, threads=1, execution=HASWELL) as runner:
        prefix = psutil.Process(runner.pid).cmdline()[:3]
        assert prefix[0].endswith(EMULATOR)
        assert prefix[1] == "-cpu"
        assert prefix[2].startswith("Haswell,")
        np.testing.assert_allclose(runner(batch), expected_logits, rtol=1e-5, atol=1e-6)


def test_a_missing_emulator_says_what_to_install(write_model, tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    path = write_model(ONNX.runtime, tmp_path)
    with pytest.raises(InputError, match=r"onnx_haswell.*apt-get install qemu-user"):
        IsolatedRunner(path, threads=1, execution=HASWELL)


def test_an_arm_python_cannot_be_emulated_as_x86(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert "aarch64" in str(emulator_problem())


def test_another_engine_replaces_the_one_of_the_artefact(
    write_model, tmp_path, small_metadata, monkeypatch
):
    before = torch.backends.quantized.engine
    others = [name for name in torch.backends.quantized.supported_engines if name != before]
    if not others:
        pytest.skip("this torch has a single quantized engine")
    metadata = small_metadata.model_copy(update={"engine": before})
    path = write_model(TORCHSCRIPT.runtime, tmp_path, metadata.to_json())
    runner = open_runner(path, 1, Execution(runtime=TORCHSCRIPT.runtime, engine=others[0]))
    seen = []
    module = runner._module
    monkeypatch.setattr(
        runner, "_module", lambda x: (seen.append(torch.backends.quantized.engine), module(x))[1]
    )
    runner(np.zeros((4, 3, 8, 8), np.float32))
    assert seen == [others[0]] != [metadata.engine]
    assert torch.backends.quantized.engine == before


def test_an_unoptimised_onnx_model_runs_every_node(write_model, tmp_path):
    path = write_model(ONNX.runtime, tmp_path)
    levels = [
        open_runner(path, 1, Execution(runtime=ONNX.runtime, optimize=optimize))
        ._session.get_session_options()
        .graph_optimization_level.name
        for optimize in (True, False)
    ]
    assert levels == ["ORT_ENABLE_ALL", "ORT_DISABLE_ALL"]
