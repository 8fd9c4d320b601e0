"""The formats in which INT8 is delivered, and what they are called: in one place."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from eightbit.benchmarks.artifact.artifact import Runtime


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """A format.

    Attributes:
        name: For people.
        key: In a report.
        runtime: What it is written for.
        suffix: How the names of its files end.
    """

    name: str
    key: str
    runtime: Runtime
    suffix: str


# The one that is looked at first comes first.
DELIVERED: Final = (
    Delivered(name="ONNX", key="onnx", runtime=Runtime.ONNXRUNTIME, suffix=".int8.onnx"),
    Delivered(
        name="TorchScript", key="torchscript", runtime=Runtime.TORCHSCRIPT, suffix=".int8.pt"
    ),
)


def written(files: Iterable[str]) -> tuple[Delivered, ...]:
    """The formats of which there is a file.

    Args:
        files: Names of all files.
    """
    names = tuple(files)
    return tuple(
        format for format in DELIVERED if any(name.endswith(format.suffix) for name in names)
    )
