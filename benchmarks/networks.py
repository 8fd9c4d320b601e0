"""Which network a benchmark measures, as it is typed."""

from dataclasses import dataclass
from pathlib import Path

from eightbit.models.errors import InputError
from eightbit.models.spec import Architecture


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
