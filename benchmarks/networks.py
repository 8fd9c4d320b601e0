"""Which network a benchmark measures, as it is typed."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network to measure: architecture, weights file, side of its input in pixels."""

    architecture: str
    weights: Path
    side: str


def parse_network(text: str) -> Network:
    """Read ``ARCHITECTURE:WEIGHTS:SIDE``.

    Raises:
        ValueError: It is not of this form.
    """
    parts = text.split(":")
    if len(parts) != 3 or not parts[2].isdecimal():
        raise ValueError(f"expected ARCHITECTURE:WEIGHTS:SIDE, found {text!r}")
    architecture, weights, side = parts
    return Network(architecture=architecture, weights=Path(weights), side=side)
