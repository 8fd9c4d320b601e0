import os
from importlib import metadata

import numpy as np
import pytest

from eightbit.benchmarks.runtimes import environment
from eightbit.benchmarks.runtimes.environment import Environment, read_environment

ARM = """processor\t: 0
BogoMIPS\t: 50.00
Features\t: fp asimd asimddp i8mm crc32
CPU implementer\t: 0x41

processor\t: 1
Features\t: fp
"""


def test_the_environment_names_this_machine_and_its_packages():
    found = read_environment()
    assert found.cpu
    assert found.logical_cores == len(os.sched_getaffinity(0))
    assert found.memory_bytes > 2**28
    assert found.versions["numpy"] == np.__version__
    assert found.versions["eightbit"] == metadata.version("eightbit")
    assert list(found.versions) == sorted(found.versions)


def test_the_environment_survives_json():
    found = read_environment()
    assert Environment.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("cpuinfo", "cpu", "isa"),
    [
        (ARM, None, ("asimd", "asimddp", "i8mm")),
        ("model name\t: Some CPU\nflags\t\t: fpu avx2 avx512_vnni\n\n", "Some CPU", None),
        ("", None, ()),
    ],
    ids=["ARM", "x86", "nothing"],
)
def test_the_processor_is_read_from_linux(cpuinfo, cpu, isa, tmp_path, monkeypatch):
    path = tmp_path / "cpuinfo"
    path.write_text(cpuinfo)
    monkeypatch.setattr(environment, "_CPUINFO", path)
    found = read_environment()
    assert found.cpu == (cpu or found.cpu) != ""
    assert found.isa == (("avx2", "avx512_vnni") if isa is None else isa)


def test_a_package_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(environment, "_PACKAGES", ("numpy", "no-such-package-here"))
    assert list(read_environment().versions) == ["numpy"]
