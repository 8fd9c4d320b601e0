"""The model on other machines: the archive to deploy, how fast it starts, what it answered."""

from typing import Annotated, Self

from pydantic import Field

from eightbit.benchmarks.artifact.metadata import Sha256
from eightbit.benchmarks.artifact.versioned_json import SortedMapping
from eightbit.benchmarks.latency.sections import ColdStart
from eightbit.benchmarks.runtimes.environment import Environment
from eightbit.models.spec import FrozenModel, PositiveCount

Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=64)]
"""A part of the name of an execution."""


class SelfTestResult(FrozenModel):
    """The bundle's self-test as another machine ran it; its logits are a pair of `parity`.

    Attributes:
        name: Name of the execution, such as "onnx_aarch64".
        machine: Its architecture, such as "aarch64".
        processor: Model name of the processor; empty where the system does not say.
        versions: Versions of Python and of the packages that took part.
        same_pixels: Whether decoding and resizing gave the very same pixels there.
        model_sha256: Digest of the model that it ran; of another one the pairs say nothing.
    """

    name: Word
    machine: Word
    processor: Annotated[str, Field(max_length=200)] = ""
    versions: SortedMapping[str] = Field(default_factory=dict)
    same_pixels: bool
    model_sha256: Sha256


class EdgeSection(FrozenModel):
    """The bundle to deploy, made by `eightbit bundle`.

    Attributes:
        model_sha256: Digest of the INT8 ONNX model in the archive: of another model the archive and
            its start say nothing.
        bundle_sha256: Digest of the archive; None where only self-tests are known.
        bundle_bytes: Its size, likewise.
        cold_start: How fast it starts; None where that was not measured.
        elsewhere: Its self-test on other machines.
        environment: Where the start was measured, where that is not where the report's run was.
        command: The command line that made the archive.
    """

    model_sha256: Sha256 | None = None
    bundle_sha256: Sha256 | None = None
    bundle_bytes: PositiveCount | None = None
    cold_start: ColdStart | None = None
    elsewhere: tuple[SelfTestResult, ...] = ()
    environment: Environment | None = None
    command: str = ""

    def with_self_test(self, result: SelfTestResult) -> Self:
        """With the self-test of a machine in place of an earlier one of its name."""
        others = (one for one in self.elsewhere if one.name != result.name)
        return self.model_copy(update={"elsewhere": (*others, result)})

    def without_stale(self, model_sha256: str | None) -> "EdgeSection | None":
        """Without what is of another INT8 ONNX model; None where nothing is left."""
        other = self.model_sha256 not in (None, model_sha256)
        kept = tuple(one for one in self.elsewhere if one.model_sha256 == model_sha256)
        section = (EdgeSection() if other else self).model_copy(update={"elsewhere": kept})
        return None if section == EdgeSection() else section


def self_test_check(name: str) -> str:
    """Name of the check of a self-test, by the name of its execution."""
    return f"{name}: the self-test gives the same"
