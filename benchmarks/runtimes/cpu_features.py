"""What the processor offers to INT8, and how much of it this process may use.

`environment` says on what something was measured; here is what decides which kernels run. The
instruction sets are torch's answer, which asks the processor itself (the cpuinfo library).
"""

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import PositiveFloat

from eightbit.benchmarks.runtimes.cpu_names import ARM, VNNI, X86, is_arm, is_x86
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.models.spec import FrozenModel, PositiveCount

_CPUS: Final = Path("/sys/devices/system/cpu")
_CGROUP: Final = Path("/sys/fs/cgroup")


class CpuFeatures(FrozenModel):
    """A processor, as INT8 kernels see it.

    Attributes:
        architecture: Such as "x86_64" or "aarch64".
        instructions: Instruction sets for INT8 that it has, by torch's names.
        logical_cores: Of the machine.
        usable_logical: Logical cores that this process may run on.
        usable_physical: Physical cores behind those.
        quota: Processor time that the container is granted, in cores; None where unlimited.
    """

    name: str
    architecture: str
    instructions: tuple[str, ...]
    logical_cores: PositiveCount
    usable_logical: PositiveCount
    usable_physical: PositiveCount
    quota: PositiveFloat | None = None

    @property
    def is_x86(self) -> bool:
        """Whether it is an Intel or AMD processor."""
        return is_x86(self.architecture)

    @property
    def is_arm(self) -> bool:
        """Whether it is a 64-bit ARM processor."""
        return is_arm(self.architecture)

    @property
    def has_vnni(self) -> bool:
        """Whether it sums products of bytes in int32 at once, so that nothing saturates."""
        return not VNNI.isdisjoint(self.instructions)

    @property
    def pairs_saturate(self) -> bool:
        """Whether its kernels sum pairs of uint8 x int8 products in a saturating int16."""
        return self.is_x86 and not self.has_vnni

    @property
    def missing(self) -> tuple[str, ...]:
        """Instruction sets for INT8 of its architecture that it lacks."""
        known = X86 if self.is_x86 else ARM if self.is_arm else ()
        return tuple(name for name in known if name not in self.instructions)

    @property
    def threads(self) -> int:
        """How many threads of one operator it can run at full speed."""
        granted = self.usable_physical if self.quota is None else int(self.quota)
        return max(1, min(self.usable_physical, granted))


def read_cpu_features() -> CpuFeatures:
    """Reads the current machine; imports torch."""
    import torch

    has = torch.cpu.get_capabilities()
    environment = read_environment()
    usable = environment.logical_cores
    return CpuFeatures(
        name=environment.cpu,
        architecture=platform.machine(),
        instructions=tuple(name for name in (*X86, *ARM) if has.get(name, False)),
        logical_cores=max(int(has.get("num_logical_cores", 0)), usable),
        usable_logical=usable,
        usable_physical=_physical(_affinity(), _CPUS) or usable,
        quota=read_quota(_CGROUP),
    )


def _affinity() -> Iterable[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()


def _physical(logical: Iterable[int], cpus: Path) -> int:
    """How many physical cores some logical ones are; 0 where Linux does not say."""
    files = (cpus / f"cpu{number}/topology/thread_siblings_list" for number in logical)
    # Hyper-threads of one core have the same list.
    return len({file.read_text().strip() for file in files if file.is_file()})


def read_quota(cgroup: Path) -> float | None:
    """Processor time that a cgroup (v1 or v2) grants, in cores; None where nothing limits it."""
    if (file := cgroup / "cpu.max").is_file():
        quota, period = file.read_text().split()[:2]
    elif (file := cgroup / "cpu/cpu.cfs_quota_us").is_file():
        quota, period = file.read_text(), (cgroup / "cpu/cpu.cfs_period_us").read_text()
    else:
        return None
    granted = 0.0 if quota.strip() == "max" else int(quota) / int(period)
    return granted if granted > 0 else None
