"""The quantizer as a program: for benchmarks, which know only things that run."""

import subprocess
import sys
from pathlib import Path

from eightbit.benchmarks.report.document import Report, read_report


def quantize(arguments: list[str], out: Path) -> Report:
    """Run ``eightbit quantize`` and read the report that it leaves.

    Args:
        arguments: All but ``--out``.
        out: A new folder.

    Raises:
        RuntimeError: The run ended otherwise than with 0 or with a failed gate (1), which for an
            untrained network is no surprise.
    """
    program = Path(sys.executable).with_name("eightbit")
    done = subprocess.run([program, "quantize", *arguments, "--out", out], check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"eightbit quantize {arguments[0]}: exit code {done.returncode}")
    return read_report(out / "report.json")
