"""Whether an artefact computes the same integers however it is executed."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import combinations
from typing import Annotated, Final, TypeAlias

from pydantic import Field

from eightbit.benchmarks.accuracy.fidelity import FidelityResult, ParityResult
from eightbit.benchmarks.artifact.formats import FORMATS, OPENVINO
from eightbit.benchmarks.artifact.versioned_json import SortedMapping
from eightbit.benchmarks.runtimes.environment import Environment
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.models.spec import FrozenModel, PositiveCount

REFERENCE: Final = "reference"

# Predictions in which an execution may differ from the reference, close calls aside, as a fraction
# of the images; of a few images one may always differ.
MAX_EXECUTION_DISAGREEMENT: Final = 0.05

# OpenVINO saves a rounding where a shortcut is added, so that its last bits are others by design.
MAX_OPENVINO_DISAGREEMENT: Final = 0.10

# Names of the checks that say nothing of what an artefact answers.
FINITE: Final = "every execution: finite logits"
NO_CRASH: Final = "every execution comes to its end"

VERSUS: Final = "_vs_"
TO_REFERENCE: Final = f"{VERSUS}{REFERENCE}"

Pairs: TypeAlias = Mapping[str, ParityResult]
"""Two executions against each other, by the name of the pair."""


class Verdict(StrEnum):
    """What a runtime makes of a file that was not written for it."""

    RIGHT = "right"
    """Every class is the reference's, and every logit within one last bit."""
    OTHER_LAST_BITS = "other last bits"
    """Some logits are further, and as few classes differ as any execution may have."""
    WRONG = "wrong"
    """It answers, and more classes differ, or a logit is not finite."""
    FAILED = "failed"
    """It raises, aborts, or takes too long."""


class OtherRuntime(FrozenModel):
    """An execution by a runtime that no artefact was written for.

    Attributes:
        version: Of its package.
        verdict: What it makes of the file.
        ms_per_image: Milliseconds per image of all of them, compiling included; None where it
            failed.
        reason: What it said, or the cause where that is known; empty where it is right.
    """

    version: str
    verdict: Verdict
    ms_per_image: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    reason: str = ""


def verdict_of(result: ParityResult, name: str) -> Verdict:
    """What an execution that answered makes of the file; classes decide, and then last bits."""
    allowed = allowed_disagreement(name) * predictions(result)
    if truly_different(result) > allowed:
        return Verdict.WRONG
    exact = not different_predictions(result) and result.max_lsb <= 1
    return Verdict.RIGHT if exact else Verdict.OTHER_LAST_BITS


class ExecutionsSection(FrozenModel):
    """The executions behind the pairs of the report's `parity`.

    Attributes:
        source: Where the images came from.
        images: How many there were at most; a slow execution may have seen fewer.
        synthetic: Whether they are no photos, so that predictions say nothing.
        not_measured: Why an execution could not be measured and what to do, by its name.
        others: Runtimes that no artefact was written for, where somebody asked for them, by the
            name of their execution.
        environment: Where they ran, where that was not in the run that the report is of.
        command: The command line of a later verification; empty if that run verified.
    """

    source: str
    images: PositiveCount
    synthetic: bool = False
    not_measured: SortedMapping[str] = Field(default_factory=dict)
    others: SortedMapping[OtherRuntime] = Field(default_factory=dict)
    environment: Environment | None = None
    command: str = ""


def different_predictions(result: FidelityResult | ParityResult) -> int:
    """In how many images the predictions differ, or how many decisions; 0 of a regression."""
    # Counted, since 1 - 0.95 is more than 0.05 in floating point.
    agreement = result.top1_agreement
    return 0 if agreement is None else round((1.0 - agreement) * predictions(result))


def truly_different(result: ParityResult) -> int:
    """The predictions that differ by more than a close call: see `ParityResult`."""
    return different_predictions(result) - result.close_calls


def predictions(result: FidelityResult | ParityResult) -> int:
    """How many predictions were compared: images, or the decisions of a multi-label classifier."""
    return result.n * result.decisions


def allowed_disagreement(*names: str) -> float:
    """The share of images on which executions of these names may predict differently."""
    openvino = Execution(runtime=OPENVINO).name
    return MAX_OPENVINO_DISAGREEMENT if openvino in names else MAX_EXECUTION_DISAGREEMENT


def pair_name(first: str, second: str) -> str:
    """The key of two executions in the report's `parity`."""
    return f"{first}{VERSUS}{second}"


def first_of(pair: str) -> str:
    """The first execution of a pair, by its key in the report's `parity`."""
    return pair.partition(VERSUS)[0]


# The files that are delivered, each in its own runtime.
ARTIFACT_PAIRS: Final = tuple(pair_name(*pair) for pair in combinations(FORMATS, 2))
