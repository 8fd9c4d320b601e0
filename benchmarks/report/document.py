"""The report: what quantization gave and what it cost, as versioned JSON."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, Self, TypeVar

from pydantic import Field, JsonValue, model_validator

from eightbit.benchmarks.accuracy.fidelity import FidelityResult, ParityResult
from eightbit.benchmarks.accuracy.multi_label import CandidateMultiLabel, Judged, MultiLabelResult
from eightbit.benchmarks.accuracy.parity import ARTIFACT_PAIRS, ExecutionsSection, Pairs, first_of
from eightbit.benchmarks.accuracy.tally import FINITE_CHECK, AccuracyResult, CandidateAccuracy
from eightbit.benchmarks.artifact.formats import Precision, Runtime
from eightbit.benchmarks.artifact.metadata import Sha256
from eightbit.benchmarks.artifact.versioned_json import SortedMapping, parse_versioned
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.latency.sections import BenchmarkSection
from eightbit.benchmarks.report.by_format import ByFormat, for_every_format
from eightbit.benchmarks.report.checks import Check, VerificationSection
from eightbit.benchmarks.report.choices import ChoicesSection
from eightbit.benchmarks.report.deployment import EdgeSection, SelfTestResult, self_test_check
from eightbit.benchmarks.report.diagnosis import TensorDiagnosis
from eightbit.benchmarks.report.fallback import FallbackSection, still_counts
from eightbit.benchmarks.report.images import CalibrationSection, DecodingSection, EvaluationSection
from eightbit.benchmarks.report.plausibility import PLAUSIBLE_CHECK, PlausibilitySection
from eightbit.benchmarks.runtimes.environment import Environment
from eightbit.models.bounded_files import read_bounded
from eightbit.models.plain_text import printable
from eightbit.models.spec import (
    Count,
    Finite,
    Fraction,
    FrozenModel,
    ModelSpec,
    PositiveCount,
    Task,
)

REPORT_FORMAT_VERSION: Final = 1
REPORT_MAX_BYTES: Final = 64 * 2**20


class ModelSection(FrozenModel):
    """The float model.

    Attributes:
        spec: Architecture, classes and preprocessing.
        weights: Name of the weights or of their file.
        weights_sha256: Digest of the weights' file, or None where it is not known.
        weights_key: Which weights of the file, where that was asked for; None for the only ones.
        weights_notes: What was left out of the file, and what was taken for granted.
    """

    spec: ModelSpec
    weights: str
    weights_sha256: Sha256 | None = None
    weights_key: str | None = None
    weights_notes: tuple[str, ...] = ()


@for_every_format(CandidateAccuracy)
class AccuracySection(ByFormat[CandidateAccuracy]):
    """Accuracy of the float model and of the artefacts; None for what was not evaluated."""

    fp32: AccuracyResult


@for_every_format(CandidateMultiLabel)
class MultiLabelSection(ByFormat[CandidateMultiLabel]):
    """The same of a multi-label classifier: how well it ranks, which decisions changed."""

    fp32: MultiLabelResult


@for_every_format(FidelityResult)
class FidelitySection(ByFormat[FidelityResult]):
    """Closeness of the artefacts to the float model; None for what was not measured."""


class OperatorCoverage(FrozenModel):
    """How many operators of a kind compute in integers.

    Attributes:
        quantized: Those that do.
        total: All of them.
        meant_as_float: How many of them are meant to compute in float.
    """

    quantized: Count
    total: Count
    meant_as_float: Count = 0

    @property
    def as_meant(self) -> bool:
        """Whether as many compute in float as are meant to."""
        return self.total - self.quantized == self.meant_as_float

    @model_validator(mode="after")
    def _no_more_than_all(self) -> Self:
        if self.quantized > self.total:
            raise ValueError(f"quantized: expected at most {self.total}, found {self.quantized}")
        return self


class CoverageSection(FrozenModel):
    """Which operators compute in integers, by kind.

    Attributes:
        product: Products of two tensors, such as a map and its gate.
        integer_multiplications: Share of all multiplications, for one image, that integer
            convolutions, linear layers and products make, and curves that are tables of integers;
            None of a file whose recipe is not at hand.
    """

    conv: OperatorCoverage
    add: OperatorCoverage
    linear: OperatorCoverage
    pool: OperatorCoverage | None = None
    product: OperatorCoverage | None = None
    integer_multiplications: Fraction | None = None

    @property
    def kinds(self) -> dict[str, OperatorCoverage]:
        """The kinds that were counted, by name."""
        return {name: kind for name, kind in self if isinstance(kind, OperatorCoverage)}


SectionT = TypeVar("SectionT", ExecutionsSection, EvaluationSection, BenchmarkSection, EdgeSection)


class Report(FrozenModel):
    """Everything that one run found; a section that was not measured is None or empty.

    Attributes:
        format_version: Version of this document.
        eightbit_version: What wrote it.
        command: The command line of the run; later ones are in the sections that they measured.
        model: The float model.
        config: What the user asked for, as a JSON object of the quantizer.
        recipe_sha256: Digest of the recipe that both artefacts follow.
        calibration: The images that set the ranges.
        choices: What was tried on them; None of a report whose integers came from a recipe.
        evaluation: The images on which accuracy was measured.
        verification: Whether the artefacts are what the recipe says.
        accuracy: Right answers, drop and flips; None of a multi-label classifier, and of a
            regression, of which nothing is right or wrong: `fidelity` says how close its numbers
            are.
        multi_label: Mean average precision, drop and changed decisions of a multi-label classifier.
        max_drop_pp: The largest drop that the user accepts, for the upper end of its interval; None
            where no such gate was set.
        fallback: The search for layers in float, if it was asked for.
        fidelity: Logits against the float model's.
        diagnosis: Every quantized tensor, worst first.
        parity: Logits of two executions of the artefacts against each other, or of one against
            the reference integers, by the name of the pair.
        executions: Images and machine of those pairs.
        latency: One entry per measured model file.
        benchmark: Conditions of those entries, the machine's limit, the whole path.
        edge: The bundle to deploy: how fast it starts, what it answered on other machines.
        size_bytes: Size of every written file, by name.
        sha256: Digest of each of these files, likewise: of others the report says nothing.
        coverage: Which operators compute in integers.
        environment: Where this was measured.
        timings_s: Seconds of each stage, by name.
        peak_rss_bytes: Highest resident memory of the largest process of the run; those that only
            measure latency do not count.
    """

    format_version: Literal[1] = REPORT_FORMAT_VERSION
    eightbit_version: str
    command: str
    model: ModelSection
    config: SortedMapping[JsonValue]
    recipe_sha256: Sha256
    calibration: CalibrationSection | None = None
    choices: ChoicesSection | None = None
    evaluation: EvaluationSection | None = None
    verification: VerificationSection | None = None
    accuracy: AccuracySection | None = None
    multi_label: MultiLabelSection | None = None
    max_drop_pp: Finite | None = None
    fallback: FallbackSection | None = None
    fidelity: FidelitySection | None = None
    diagnosis: tuple[TensorDiagnosis, ...] = ()
    parity: SortedMapping[ParityResult] = Field(default_factory=dict)
    executions: ExecutionsSection | None = None
    latency: tuple[LatencyResult, ...] = ()
    benchmark: BenchmarkSection | None = None
    edge: EdgeSection | None = None
    size_bytes: SortedMapping[PositiveCount] = Field(default_factory=dict)
    sha256: SortedMapping[Sha256] = Field(default_factory=dict)
    coverage: CoverageSection | None = None
    environment: Environment
    timings_s: Mapping[str, Finite] = Field(default_factory=dict)
    peak_rss_bytes: PositiveCount

    @model_validator(mode="after")
    def _results_have_their_sections(self) -> Self:
        task, evaluated = self.model.spec.task, self.evaluation is not None
        found = {"accuracy": self.accuracy, "multi_label": self.multi_label}
        own = {Task.MULTI_LABEL: "multi_label", Task.REGRESSION: ""}.get(task, "accuracy")
        for name, section in found.items():
            if (section is not None) != (evaluated and name == own):
                raise ValueError(f"{name}: expected it together with evaluation, of its own task")
        if self.latency and self.benchmark is None:
            raise ValueError("latency: expected it together with benchmark")
        return self

    @property
    def latency_environment(self) -> Environment:
        """Where latency was measured."""
        return (self.benchmark and self.benchmark.environment) or self.environment

    @property
    def has_score(self) -> bool:
        """Whether an evaluation measured a classifier, if only its agreement with float."""
        return self.accuracy is not None or self.multi_label is not None

    @property
    def drops(self) -> Mapping[str, Judged]:
        """What is lost of the figure that the task is judged by, by the key of the format."""
        section = self.multi_label or self.accuracy
        return section.by_key if section else {}

    def int8_latency(self, runtime: Runtime) -> LatencyResult | None:
        """The first INT8 entry of a runtime; None where it was not measured."""
        for entry in self.latency:
            if entry.runtime is runtime and entry.precision is Precision.INT8:
                return entry
        return None

    def shrinkage(self, name: str) -> float | None:
        """How many times smaller an INT8 model file is than the float one; None for other files."""
        floats = [size for file, size in self.size_bytes.items() if f".{Precision.FP32}." in file]
        if not floats or f".{Precision.INT8}." not in name:
            return None
        return floats[0] / self.size_bytes[name]

    @property
    def plausibility(self) -> PlausibilitySection | None:
        """Whether the float model fits the evaluation images; None where it was not looked at."""
        return self.evaluation.plausibility if self.evaluation else None

    @property
    def decoding(self) -> DecodingSection | None:
        """Large photos, decoded whole and scaled; None where there were none."""
        if self.evaluation is not None:
            return self.evaluation.decoding
        return self.calibration.decoding if self.calibration else None

    @property
    def implausible(self) -> PlausibilitySection | None:
        """The same where something speaks against it; else None."""
        found = self.plausibility
        return found if found and found.doubts else None

    @property
    def commands(self) -> tuple[str, ...]:
        """All command lines that together give this report again, in order."""
        later = (self.executions, self.evaluation, self.benchmark, self.edge)
        lines = (self.command, *(section.command for section in later if section))
        return tuple(dict.fromkeys(line for line in lines if line))

    @property
    def standing_fallback(self) -> FallbackSection | None:
        """The search for layers in float, unless a later evaluation has taken its place."""
        if self.fallback is None or self.accuracy is None:
            return None
        return self.fallback if still_counts(self.fallback, self.accuracy.by_key) else None

    def with_checks(self, checks: Sequence[Check], *, images: int) -> Self:
        """The report after a verification; `images` counts where there was none before."""
        known = self.verification
        new = known.merged_with(checks) if known else VerificationSection.of(checks, images=images)
        return self.model_copy(update={"verification": new})

    def with_executions(
        self, section: ExecutionsSection, parity: Pairs, checks: Sequence[Check]
    ) -> Self:
        """The report after every execution of this machine; pairs of other machines stay."""
        others = {one.name for one in self.edge.elsewhere} if self.edge else set()
        kept = {pair: found for pair, found in self.parity.items() if first_of(pair) in others}
        return self.with_checks(checks, images=section.images).model_copy(
            update={"executions": self._placed(section), "parity": {**kept, **parity}}
        )

    def with_self_test(
        self, result: SelfTestResult, parity: Pairs, check: Check, *, images: int
    ) -> Self:
        """The report after a self-test on another machine."""
        edge = (self.edge or EdgeSection()).with_self_test(result)
        return self.with_checks((check,), images=images).model_copy(
            update={"edge": edge, "parity": {**self.parity, **parity}}
        )

    def with_archive(self, section: EdgeSection) -> Self:
        """The report with a new archive of the same model."""
        known = self.edge.elsewhere if self.edge else ()
        edge = self._placed(section).model_copy(update={"elsewhere": known})
        return self.model_copy(update={"edge": edge})

    def with_latency(
        self, latency: tuple[LatencyResult, ...], section: BenchmarkSection | None
    ) -> Self:
        """The report after a benchmark."""
        placed = section and self._placed(section)
        return self.model_copy(update={"latency": latency, "benchmark": placed})

    def with_evaluation(
        self,
        section: EvaluationSection,
        *,
        accuracy: AccuracySection | None,
        multi_label: MultiLabelSection | None = None,
        fidelity: FidelitySection,
        parity: Pairs,
        also_in_evaluation: int,
    ) -> Self:
        """The report after an evaluation."""
        return self.without_evaluation(also_in_evaluation).model_copy(
            update={
                "evaluation": self._placed(section),
                "accuracy": accuracy,
                "multi_label": multi_label,
                "fidelity": fidelity,
                "parity": {**self.parity, **parity},
            }
        )

    def without_evaluation(self, also_in_evaluation: int = 0) -> Self:
        """The report without what an evaluation measured, and its checks."""
        earlier, calibration = self.evaluation, self.calibration
        return self.model_copy(
            update={
                "evaluation": None,
                "accuracy": None,
                "multi_label": None,
                "fidelity": None if earlier else self.fidelity,
                "parity": {
                    pair: found
                    for pair, found in self.parity.items()
                    if earlier is None or pair not in ARTIFACT_PAIRS or found.n != earlier.images
                },
                "calibration": calibration
                and calibration.model_copy(update={"also_in_evaluation": also_in_evaluation}),
                "verification": self.verification
                and self.verification.without({FINITE_CHECK, PLAUSIBLE_CHECK}),
            }
        )

    def without_stale(self, model_sha256: str | None) -> Self:
        """The report without an archive, and without self-tests, of another INT8 ONNX model."""
        if self.edge is None:
            return self
        stale = {one.name for one in self.edge.elsewhere if one.model_sha256 != model_sha256}
        gone = {self_test_check(name) for name in stale}
        return self.model_copy(
            update={
                "edge": self.edge.without_stale(model_sha256),
                "parity": {
                    pair: found
                    for pair, found in self.parity.items()
                    if first_of(pair) not in stale
                },
                "verification": self.verification and self.verification.without(gone),
            }
        )

    def _placed(self, section: SectionT) -> SectionT:
        """A later section, whose environment is left out where it is the report's own."""
        here = section.environment == self.environment
        return section.model_copy(update={"environment": None}) if here else section

    def to_json(self) -> str:
        """Indented JSON that ends in a newline; equal reports give equal text.

        Raises:
            ValueError: The config holds NaN or infinity, which JSON cannot say.
        """
        content = self.model_dump(mode="json")
        return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_report(path: Path) -> Report:
    """Reads a report that `Report.to_json` wrote; unknown keys are refused.

    Raises:
        InputError: No such file, or not a valid report, or one of a newer version.
    """
    content = read_bounded(path, REPORT_MAX_BYTES, "a report")
    where = printable(str(path))
    return parse_versioned(Report, content, where=where, newest=REPORT_FORMAT_VERSION)
