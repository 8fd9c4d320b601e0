"""What other programs took of the processor while something was measured."""

import os
import resource
import time
from pathlib import Path
from typing import Final

_STAT: Final = Path("/proc/stat")

# Columns of a processor's line: https://docs.kernel.org/filesystems/proc.html, "stat".
# What a hypervisor gave to others (steal) was taken too; guests count as user already.
_IDLE: Final = slice(3, 5)
_COUNTED: Final = slice(0, 8)


class OtherPrograms:
    """Watches other programs' share of the processor, from Linux's /proc/stat, once constructed.

    Own time is that of this process and of its children that have ended, so children are ended
    before `share` is asked for.
    """

    def __init__(self, stat: Path = _STAT) -> None:
        self._stat = stat
        self._start = self._now()

    def share(self) -> float | None:
        """Of the time of the cores that this process may use, 0 to 1; None where it is unknown."""
        now = self._now()
        if self._start is None or now is None:
            return None
        total, busy, own = (new - old for new, old in zip(now, self._start, strict=True))
        return min(1.0, max(0.0, (busy - own) / total)) if total > 0 else None

    def _now(self) -> tuple[float, float, float] | None:
        """Seconds of all usable cores, of those busy, and of this program; None if not Linux."""
        if not self._stat.is_file() or not hasattr(os, "sched_getaffinity"):
            return None
        usable = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        lines = (line.split() for line in self._stat.read_text(encoding="ascii").splitlines())
        cores = [[int(count) for count in rest] for name, *rest in lines if name in usable]
        ticks = os.sysconf("SC_CLK_TCK")
        total = sum(sum(core[_COUNTED]) for core in cores) / ticks
        idle = sum(sum(core[_IDLE]) for core in cores) / ticks
        return total, total - idle, _own_seconds()


def _own_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
