"""What to run on a machine follows from its features alone."""

import pytest

from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures
from eightbit.quantize import Severity, examine_host
from eightbit.quantize.doctor.host import Host, OnnxRuntimeBuild, TorchBuild, advise

VNNI = ("avx2", "avx512_bw", "avx512_vnni")


def host(
    instructions=VNNI, architecture="x86_64", engines=("onednn", "x86"), variables=None, **cores
):
    counts = {"logical_cores": 8, "usable_logical": 8, "usable_physical": 4} | cores
    return Host(
        cpu=CpuFeatures(
            name="a CPU", architecture=architecture, instructions=instructions, **counts
        ),
        torch=TorchBuild(version="2.13", engines=engines, kernels="AVX2"),
        onnxruntime=OnnxRuntimeBuild(
            version="1.31", providers=("CPUExecutionProvider",), newest_opset=26
        ),
        variables=variables or {},
    )


def warnings(examination):
    return [x.what for x in examination.findings if x.severity is not Severity.INFO]


def test_with_vnni_there_is_nothing_to_warn_of():
    examination = advise(host())
    assert examination.verdict.startswith("Good for INT8, with VNNI")
    assert "4 threads" in examination.verdict
    assert warnings(examination) == []


def test_without_vnni_the_portable_artefact_is_needed():
    examination = advise(host(("avx2",)))
    assert "portable" in examination.verdict
    assert warnings(examination) == ["Without VNNI, sums of two products saturate at 16 bits"]


@pytest.mark.parametrize(
    ("instructions", "verdict"),
    [(("neon", "dot"), "Good for INT8, with dot products"), (("neon",), "without dot products")],
)
def test_arm_does_not_saturate(instructions, verdict):
    examination = advise(host(instructions, architecture="aarch64", engines=("qnnpack",)))
    assert verdict in examination.verdict
    assert warnings(examination) == []


def test_hyper_threads_are_the_reason_for_fewer_threads():
    (threads,) = (x for x in advise(host()).findings if x.what == "Use 4 threads")
    assert "hyper-threads" in threads.why
    (threads,) = (x for x in advise(host(usable_physical=8)).findings if x.what == "Use 8 threads")
    assert "hyper-threads" not in threads.why


def test_a_container_limit_is_the_reason_for_fewer_threads():
    (threads,) = (x for x in advise(host(quota=1.5)).findings if x.what == "Use 1 thread")
    assert "container grants 1.5" in threads.why


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ONEDNN_MAX_CPU_ISA": "avx2"}, "ONEDNN_MAX_CPU_ISA=AVX2 hides VNNI"),
        ({"DNNL_MAX_CPU_ISA": "AVX512_CORE"}, "DNNL_MAX_CPU_ISA=AVX512_CORE hides VNNI"),
        ({"ATEN_CPU_CAPABILITY": "default"}, "ATEN_CPU_CAPABILITY=default chooses"),
        ({"OMP_NUM_THREADS": "64"}, "OMP_NUM_THREADS=64 gives torch more threads"),
    ],
)
def test_a_variable_that_limits_is_named(variables, expected):
    (found,) = warnings(advise(host(variables=variables)))
    assert found.startswith(expected)


@pytest.mark.parametrize(
    "variables",
    [{"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}, {"OMP_NUM_THREADS": "4"}, {"OMP_NUM_THREADS": ""}],
)
def test_a_variable_that_does_not_limit_is_no_warning(variables):
    assert warnings(advise(host(variables=variables))) == []


def test_a_torch_without_an_engine_for_x86_is_named():
    assert warnings(advise(host(engines=("qnnpack",)))) == [
        "This torch has no quantized engine for x86"
    ]


def test_cores_that_the_process_may_not_use_are_named():
    examination = advise(host(logical_cores=32))
    assert "This process may use 8 of 32 logical cores" in [x.what for x in examination.findings]


def test_this_machine_can_be_examined(eightbit):
    examination = examine_host()
    names = [name for name, _ in examination.facts]
    assert names[:6] == ["processor", "it lacks", "cores", "torch", "ONNX Runtime", "OpenVINO"]
    outcome = eightbit("doctor")
    assert outcome.code == 0, outcome
    assert outcome.out.startswith(examination.verdict)
    assert outcome.err == ""
