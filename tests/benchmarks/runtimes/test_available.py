"""What can be executed depends on the machine; what cannot says why."""

import pytest
import torch

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT, Runtime
from eightbit.benchmarks.runtimes import available
from eightbit.benchmarks.runtimes.available import (
    joined,
    onnx_executions,
    other_executions,
    torchscript_executions,
)
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.benchmarks.runtimes.execution import emulator_problem


@pytest.fixture
def on_a_cpu_with(monkeypatch):
    def set_instructions(*instructions):
        cpu = CpuFeatures(
            name="Example",
            architecture="x86_64",
            instructions=instructions,
            logical_cores=2,
            usable_logical=2,
            usable_physical=2,
        )
        monkeypatch.setattr(available, "read_cpu_features", lambda: cpu)

    return set_instructions


def _names(found):
    return [execution.name for execution in found.possible]


@pytest.mark.parametrize(
    ("instructions", "possible"),
    [
        (
            ("avx2", "avx512_bw", "avx512_vnni"),
            ["torchscript", "torchscript_no_vnni", "torchscript_avx2"],
        ),
        (("avx2", "avx512_bw"), ["torchscript", "torchscript_avx2"]),
        (("avx2", "avx_vnni"), ["torchscript", "torchscript_avx2"]),
        (("avx2",), ["torchscript"]),
        (("neon", "dot"), ["torchscript"]),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, tuple) else "",
)
def test_less_of_the_processor_is_used_only_where_it_has_more(
    on_a_cpu_with, instructions, possible
):
    on_a_cpu_with(*instructions)
    found = torchscript_executions(engine="onednn", all_engines=False)
    assert _names(found) == possible
    assert {*_names(found), *found.missing} == {
        *("torchscript", "torchscript_no_vnni", "torchscript_avx2")
    }
    assert all("x86 CPU with" in reason for reason in found.missing.values())


def test_every_engine_but_the_own_one_is_there_or_missed(monkeypatch):
    backend = torch.backends.quantized
    monkeypatch.setattr(type(backend), "supported_engines", ["qnnpack", "onednn"], raising=False)
    found = torchscript_executions(engine="onednn", all_engines=True)
    assert "torchscript_qnnpack" in _names(found)
    assert "torchscript_onednn" not in {*_names(found), *found.missing}
    for missing in ("torchscript_x86", "torchscript_fbgemm"):
        assert found.missing[missing] == "this build of torch has no such engine"


def test_a_missing_openvino_names_the_extra(monkeypatch):
    monkeypatch.setattr(Runtime, "is_installed", False)
    found = onnx_executions(thorough=True)
    assert "eightbit[openvino]" in found.missing["openvino"]
    assert "openvino_unoptimised" in found.missing
    assert not any(name.startswith("openvino") for name in _names(found))


def test_a_missing_emulator_names_the_package(monkeypatch):
    monkeypatch.setattr(
        available, "emulator_problem", lambda: "qemu-user is not installed: apt-get install it"
    )
    found = onnx_executions(thorough=True)
    assert "apt-get install" in found.missing["onnx_haswell"]
    assert "onnx_haswell" not in _names(found)


def test_the_quick_executions_leave_out_the_slow_ones_and_miss_nothing_of_them(monkeypatch):
    monkeypatch.setattr(Runtime, "is_installed", True)
    found = onnx_executions(thorough=False)
    assert _names(found) == ["onnx", "onnx_unoptimised", "openvino"]
    assert not found.missing


def test_several_are_joined_in_order(monkeypatch):
    monkeypatch.setattr(Runtime, "is_installed", False)
    one = torchscript_executions(engine=None, all_engines=False)
    other = onnx_executions(thorough=True)
    both = joined([one, other])
    assert both.possible == one.possible + other.possible
    assert both.missing == {**one.missing, **other.missing}
    assert ("onnx_haswell" in _names(both)) == (emulator_problem() is None)


def test_other_runtimes_are_tried_with_one_image_and_with_several(monkeypatch):
    monkeypatch.setattr(Runtime, "is_installed", True)
    names = _names(other_executions(ONNX))
    assert names[:4] == [
        *("opencv_batch1", "opencv_batch4", "onnxreference_batch1", "onnxreference_batch4")
    ]
    assert not other_executions(TORCHSCRIPT).possible
    assert not {*names} & {*_names(onnx_executions(thorough=True))}
