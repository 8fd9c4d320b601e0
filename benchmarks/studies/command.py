"""The quantizer as a program: for benchmarks, which know only things that run."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from eightbit.benchmarks.report.document import Report, read_report
from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture


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


# Which network a benchmark measures, as it is typed.


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network to measure: architecture, weights file, side of its input in pixels."""

    architecture: str
    weights: Path
    side: str


def parse_network(text: str) -> Network:
    """Read ``ARCHITECTURE:WEIGHTS:SIDE``; the path of the weights may hold colons.

    Raises:
        InputError: It is something else.
    """
    architecture, _, rest = text.partition(":")
    weights, _, side = rest.rpartition(":")
    if architecture not in set(Architecture) or not weights or not side.isdecimal():
        raise InputError(f"expected ARCHITECTURE:WEIGHTS:SIDE, found {text!r}")
    return Network(architecture=architecture, weights=Path(weights), side=side)
