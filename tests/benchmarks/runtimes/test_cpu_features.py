"""What a processor offers, and how much of it this process may use."""

import platform

import pytest

from eightbit.benchmarks.runtimes import cpu_features
from eightbit.benchmarks.runtimes.cpu_features import CpuFeatures, read_cpu_features, read_quota


def cpu(architecture="x86_64", instructions=(), **cores):
    counts = {"logical_cores": 8, "usable_logical": 8, "usable_physical": 4} | cores
    return CpuFeatures(name="a CPU", architecture=architecture, instructions=instructions, **counts)


def test_this_machine_is_described():
    here = read_cpu_features()
    assert here.architecture == platform.machine()
    assert 1 <= here.threads <= here.usable_physical <= here.usable_logical <= here.logical_cores


def test_instruction_sets_are_those_that_torch_reports(monkeypatch):
    has = {"avx2": True, "avx512_vnni": False, "avx_vnni": True, "sse3": True}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: has)
    assert read_cpu_features().instructions == ("avx2", "avx_vnni")


@pytest.mark.parametrize(
    ("architecture", "instructions", "saturates"),
    [
        ("x86_64", ("avx2",), True),
        ("x86_64", ("avx2", "avx512_bw"), True),
        ("x86_64", ("avx2", "avx_vnni"), False),
        ("x86_64", ("avx2", "avx512_bw", "avx512_vnni"), False),
        ("aarch64", ("neon",), False),
        ("riscv64", (), False),
    ],
)
def test_pairs_saturate_on_x86_without_vnni_only(architecture, instructions, saturates):
    assert cpu(architecture, instructions).pairs_saturate is saturates


@pytest.mark.parametrize(("quota", "threads"), [(None, 4), (2.0, 2), (1.5, 1), (0.5, 1), (16.0, 4)])
def test_threads_are_physical_cores_as_far_as_the_container_grants_them(quota, threads):
    assert cpu(quota=quota).threads == threads


def test_hyper_threads_of_one_core_count_once(tmp_path):
    for number, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    assert cpu_features._physical({0, 1, 2, 3}, tmp_path) == 2
    assert cpu_features._physical({0, 2}, tmp_path) == 1
    assert cpu_features._physical({0, 2}, tmp_path / "elsewhere") == 0


@pytest.mark.parametrize(
    ("files", "granted"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_quota_of_a_container_is_read_in_both_versions(files, granted, tmp_path):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert read_quota(tmp_path) == granted
