"""How much memory this process has needed."""

import re
import resource
import sys
from pathlib import Path


def peak_rss_bytes() -> int:
    """Highest resident memory of this process so far, in bytes."""
    if sys.platform == "linux":
        # Not getrusage: Linux carries the parent's peak over into the new process there.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        if match := re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE):
            return int(match[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def proportional_bytes(pid: int) -> int:
    """Resident memory of a process and all its children; pages that they share count once.

    Linux only. What has ended meanwhile counts nothing.
    """
    total = 0
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        try:
            rollup = Path(f"/proc/{current}/smaps_rollup").read_text(encoding="ascii")
            for told in Path(f"/proc/{current}/task").glob("*/children"):
                waiting += [int(child) for child in told.read_text(encoding="ascii").split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if match := re.search(r"^Pss:\s+(\d+) kB$", rollup, re.MULTILINE):
            total += int(match[1]) * 1024
    return total
