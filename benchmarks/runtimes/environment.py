"""The machine and the software on which something was measured."""

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.versioned_json import SortedMapping
from eightbit.benchmarks.runtimes.cpu_names import REPORTED_FLAGS
from eightbit.models.spec import Count, FrozenModel, PositiveCount

_CPUINFO: Final = Path("/proc/cpuinfo")

_PACKAGES: Final = (
    "eightbit",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "pillow",
    "torch",
    "torchvision",
)


class Environment(FrozenModel):
    """Where something was measured.

    Attributes:
        cpu: Name of the processor.
        architecture: Such as "x86_64" or "aarch64".
        logical_cores: Logical cores that this process may use (its affinity, not the machine's
            total).
        isa: Instruction sets that matter for INT8, sorted; empty where they cannot be read.
        memory_bytes: Physical memory.
        os: Operating system and its release.
        python: Version of Python.
        versions: Of the packages, by distribution name; what is not installed is left out.
    """

    cpu: str
    architecture: str
    logical_cores: PositiveCount
    isa: tuple[str, ...]
    memory_bytes: Count
    os: str
    python: str
    versions: SortedMapping[str]

    def summary(self) -> str:
        """Processor, instruction sets and versions in one line."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        machine = f"{self.cpu}, {self.logical_cores} cores, {', '.join(self.isa)}"
        return f"{machine}; Python {self.python}, {versions}"


def read_environment() -> Environment:
    """Reads the current machine and the installed packages; imports none of them."""
    cpuinfo = _read_cpuinfo()
    flags = cpuinfo.get("flags") or cpuinfo.get("Features") or ""
    return Environment(
        cpu=cpuinfo.get("model name") or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        logical_cores=usable_cores(),
        isa=tuple(sorted(REPORTED_FLAGS.intersection(flags.split()))),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        versions=_installed_versions(),
    )


def _read_cpuinfo() -> dict[str, str]:
    """The first processor's entries of /proc/cpuinfo; empty where there is no such file."""
    if not _CPUINFO.is_file():
        return {}
    first = _CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def usable_cores() -> int:
    """Logical cores that this process may run on: its affinity, not the machine's total."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _installed_versions() -> dict[str, str]:
    installed = {}
    for package in _PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # the report shows what there is
    return installed
