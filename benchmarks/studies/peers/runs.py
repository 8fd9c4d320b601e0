"""Which runs of ours, and on what, each part of the study asks for."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from types import MappingProxyType
from typing import Final, TypeAlias

from eightbit.models.errors import InputError

Options: TypeAlias = Mapping[str, str]
"""Options of `eightbit quantize` that choose numbers, without their dashes, and their values."""

DEFAULT: Final[Options] = MappingProxyType({})
PLAIN: Final[Options] = MappingProxyType(
    {"method": "minmax", "rounding": "nearest", "bias-correction": "off"}
)

_METHODS: Final = (
    *("minmax", "percentile", "mse", "weighted-mse", "minmax-mse", "minmax-percentile"),
    "entropy",
)

# Every method with every combination of stages, none of which the network's answers decide.
METHODS: Final[Sequence[Options]] = tuple(
    MappingProxyType({"method": method, "rounding": rounding, "bias-correction": correction})
    for method, rounding, correction in product(_METHODS, ("nearest", "gptq"), ("off", "on"))
)

FEW: Final = (8, 16, 32)
LARGE: Final = (320, 448)

# Large images take long, and a difference of a tenth of a decibel shows on so many.
_LARGE_IMAGES: Final = 250


class Part(StrEnum):
    """What of the study is done; the value is the name on the command line."""

    PEERS = "peers"
    """Our default beside the peers."""
    METHODS = "methods"
    """Our default beside each single method, with and without each stage."""
    FEW = "few"
    """Our default beside plain ranges and rounding, with few calibration images."""
    LARGE = "large"
    """The same with large images."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Everything that is quantized alike.

    Attributes:
        side: Of the input in pixels.
        samples: Calibration images.
        limit: At most so many evaluation images; None for all.
        runs: Of ours; those of one inner sequence share a process and its pass over the images.
        peers: Whether the peers take part.
    """

    side: int
    samples: int
    limit: int | None
    runs: Sequence[Sequence[Options]]
    peers: bool = False


def trials(
    part: Part, side: int, samples: int, limit: int | None, further: Sequence[Options]
) -> Sequence[Trial]:
    """What a part of the study asks for.

    Args:
        part: Which.
        side: Of the network's input in pixels.
        samples: Calibration images, where their number is not what is studied.
        limit: At most so many evaluation images; None for all.
        further: Runs of ours beside the default one and the peers.
    """
    both = ([DEFAULT], [PLAIN])
    match part:
        case Part.PEERS:
            # Each in a process of its own, which it shows the memory of.
            alone = [[options] for options in (DEFAULT, *further)]
            return [Trial(side=side, samples=samples, limit=limit, runs=alone, peers=True)]
        case Part.METHODS:
            return [Trial(side=side, samples=samples, limit=limit, runs=([DEFAULT], METHODS))]
        case Part.FEW:
            return [Trial(side=side, samples=few, limit=limit, runs=both) for few in FEW]
        case Part.LARGE:
            least = min(limit or _LARGE_IMAGES, _LARGE_IMAGES)
            return [Trial(side=large, samples=samples, limit=least, runs=both) for large in LARGE]


def label_of(options: Options) -> str:
    """The name of a run of ours in the table, as it is typed."""
    typed = [part for name, value in options.items() for part in (f"--{name}", value)]
    return " ".join(("eightbit", *typed))


def parse_options(text: str) -> Options:
    """Read options as they are typed, such as ``--method mse``; none for the defaults.

    Raises:
        InputError: They are no pairs of an option and its value.
    """
    parts = shlex.split(text)
    names, values = parts[::2], parts[1::2]
    if len(names) != len(values) or not all(name.startswith("--") for name in names):
        raise InputError(f"expected options with their values, found {text!r}")
    return {name.removeprefix("--"): value for name, value in zip(names, values, strict=True)}
