"""Builds the report of a run from the results of its stages."""

from importlib.metadata import version
from pathlib import Path
from typing import Final

from eightbit.benchmarks.accuracy.fidelity import ParityResult
from eightbit.benchmarks.accuracy.multi_label import CandidateMultiLabel, Judged
from eightbit.benchmarks.accuracy.paired import images_needed
from eightbit.benchmarks.artifact.formats import FORMATS
from eightbit.benchmarks.artifact.metadata import file_sha256
from eightbit.benchmarks.processes.process import peak_rss_bytes
from eightbit.benchmarks.report.checks import VerificationSection
from eightbit.benchmarks.report.choices import ChoicesSection
from eightbit.benchmarks.report.diagnosis import TensorDiagnosis
from eightbit.benchmarks.report.document import (
    CoverageSection,
    FidelitySection,
    ModelSection,
    Report,
)
from eightbit.benchmarks.report.fallback import FallbackSection
from eightbit.benchmarks.report.images import (
    DIGEST_DIGITS,
    CalibrationSection,
    DecodingSection,
    WithoutImages,
)
from eightbit.benchmarks.report.pages.html import render_html
from eightbit.benchmarks.report.pages.markdown import render_markdown
from eightbit.benchmarks.report.plausibility import said
from eightbit.benchmarks.report.verdict import drop_gate
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.calibration.range_methods import Method
from eightbit.models.spec import Task
from eightbit.quantize import bundle
from eightbit.quantize.calibrate import Calibrated
from eightbit.quantize.measure.evaluation import EvaluatedImages, Evaluation
from eightbit.quantize.measure.latency import Timing
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.verify.verification import COVERED, FINITE_LOGITS, Verification

_NOT_TIMED: Final = Timing()


def make_report(
    recipe: Recipe,
    stages: Stages,
    *,
    command: str,
    folder: Path | None = None,
    coverage: CoverageSection | None = None,
    verification: Verification | None = None,
    evaluated: EvaluatedImages | None = None,
    max_drop_pp: float | None = None,
    fallback: FallbackSection | None = None,
    calibration: Calibrated | None = None,
    choices: ChoicesSection | None = None,
    diagnosis: tuple[TensorDiagnosis, ...] = (),
    timing: Timing = _NOT_TIMED,
    decoding: DecodingSection | None = None,
) -> Report:
    """Assemble a report; sections of what the run did not do are None or empty.

    Fidelity and parity come from the evaluation images if any, else from the verification images.
    `command` is the command line that repeats the run, `folder` the bundle whose files the report
    is of, `diagnosis` is sorted worst first, `decoding` is of the calibration images.
    """
    measured: Evaluation | Verification | None = evaluated.evaluation if evaluated else verification
    stages.note_memory(peak_rss_bytes())
    files = _written(folder) if folder else []
    return Report(
        eightbit_version=version("eightbit"),
        command=command,
        model=_model(recipe),
        config=recipe.config.model_dump(mode="json"),
        recipe_sha256=recipe.sha256,
        calibration=_calibration(calibration, evaluated, recipe.config.method, decoding),
        choices=choices,
        evaluation=evaluated.section if evaluated else None,
        verification=_verification(verification),
        accuracy=evaluated.evaluation.accuracy if evaluated else None,
        multi_label=evaluated.evaluation.multi_label if evaluated else None,
        max_drop_pp=max_drop_pp,
        fallback=fallback,
        fidelity=FidelitySection(**measured.fidelity) if measured else None,
        diagnosis=diagnosis,
        parity=_parity(verification, evaluated),
        executions=verification.executions if verification else None,
        latency=timing.latency,
        benchmark=timing.benchmark,
        size_bytes={path.name: path.stat().st_size for path in files},
        sha256={path.name: file_sha256(path) for path in files},
        coverage=coverage,
        environment=read_environment(),
        timings_s=stages.timings_s,
        peak_rss_bytes=stages.peak_rss_bytes,
    )


def write_report(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write the report in every form; the JSON, from which the others can be rendered, last."""
    contents = {
        bundle.REPORT_MARKDOWN: render_markdown(report),
        bundle.REPORT_HTML: render_html(report),
        bundle.REPORT_JSON: report.to_json(),
    }
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    return tuple(folder / name for name in contents)


def failed_gates(report: Report, max_drop_pp: float | None = None) -> tuple[str, ...]:
    """What keeps these artefacts from being shipped, one line each.

    ``max_drop_pp`` (percentage points; None for any drop) limits the upper end of the 95 % interval
    of each artefact's drop: an unmeasured drop, or one on too few images, fails.
    """
    failures = failed_checks(report.verification) if report.verification else []
    if not any(failure.startswith(f"verification: {COVERED}") for failure in failures):
        failures += _left_integers(report)
    if max_drop_pp is not None:
        failures += _dropped(report, max_drop_pp)
    return tuple(failures)


def failed_checks(verification: VerificationSection) -> list[str]:
    """Every failed check, one line each."""
    return [
        f"verification: {check.name}: {check.detail}"
        for check in verification.checks
        if not check.passed
    ]


def _left_integers(report: Report) -> list[str]:
    """Every kind of operator with unintended float ones, one line each."""
    return [
        f"coverage: {kind}: {counted.quantized} of {counted.total} in integers, "
        f"{counted.total - counted.meant_as_float} expected"
        for kind, counted in (report.coverage.kinds if report.coverage else {}).items()
        if not counted.as_meant
    ]


def _dropped(report: Report, max_drop_pp: float) -> list[str]:
    """Every artefact whose drop may exceed the limit, one line each."""
    if report.implausible is not None:
        return [
            f"max drop: not judged, as the float model is not plausible: {said(report.implausible)}"
        ]
    measured, failures, metric = False, [], report.model.spec.task.metric
    for name in FORMATS:
        result = report.drops.get(name)
        gate = drop_gate(result, max_drop_pp) if result else None
        if result is None or result.drop_pp is None or gate is None:
            continue
        measured = True
        if not gate.passed:
            moves = "rises" if result.drop_pp < 0 else "drops"
            failures.append(
                f"max drop: {name}: {metric} {moves} by {abs(result.drop_pp):.2f} pp; "
                f"{gate.text}; {_hint(name, result, max_drop_pp, report.standing_fallback)}"
            )
    if not measured:
        failures.append(f"max drop: {_why_not_measured(report)}")
    return failures


def _why_not_measured(report: Report) -> str:
    checks = report.verification.checks if report.verification else ()
    if any(not check.passed and check.name.endswith(FINITE_LOGITS) for check in checks):
        return "not measured, since not every logit is a number"
    if report.model.spec.task is Task.REGRESSION:
        return (
            "expected a classifier, found a regression, whose numbers are neither right nor wrong"
        )
    return "expected images with labels to measure it on, found none"


def _hint(name: str, result: Judged, max_drop_pp: float, fallback: FallbackSection | None) -> str:
    """What would make the gate pass."""
    if isinstance(result, CandidateMultiLabel):
        within = result.drop_pp is not None and result.drop_pp < max_drop_pp
        return "more images narrow the interval" if within else "more images will not help"
    if fallback is not None and _decided(fallback, name, max_drop_pp):
        needed, otherwise = fallback.images_needed, "no choice of layers in float meets it"
    else:
        needed = images_needed(result.broke or 0, result.fixed or 0, result.n, max_drop_pp)
        otherwise = "more images will not help; `eightbit quantize --fallback` may"
    if needed is None:
        return otherwise
    return f"to show that, about {needed:,} evaluation images are needed"


def _decided(fallback: FallbackSection, name: str, target_pp: float) -> bool:
    """Whether a search for float layers had this target, and this artefact as its worst."""
    (step,) = (step for step in fallback.steps if step.chosen)
    return (fallback.target_pp, step.artifact) == (target_pp, name)


def _model(recipe: Recipe) -> ModelSection:
    origin = recipe.provenance
    return ModelSection(
        spec=recipe.spec,
        weights=origin.weights,
        weights_sha256=origin.weights_sha256,
        weights_key=origin.weights_key,
        weights_notes=origin.weights_notes,
    )


def _calibration(
    calibrated: Calibrated | None,
    evaluated: EvaluatedImages | None,
    method: Method,
    decoding: DecodingSection | None,
) -> CalibrationSection | None:
    if calibrated is None:
        return None
    images = calibrated.images
    return CalibrationSection(
        source=images.source.name,
        images=len(images.digests),
        skipped=tuple(images.skipped),
        passed_over=images.source.listing.passed_over,
        without_images=WithoutImages.of(images.folders_without_images()),
        also_in_evaluation=evaluated.shared if evaluated else 0,
        digests=tuple(sorted({digest[:DIGEST_DIGITS] for digest in images.digests})),
        convergence=calibrated.convergence,
        watched=None if calibrated.watched == method else calibrated.watched.value,
        settled=calibrated.settled,
        decoding=decoding,
    )


def _verification(verification: Verification | None) -> VerificationSection | None:
    if verification is None:
        return None
    return VerificationSection.of(verification.checks, images=verification.images)


def _parity(
    verification: Verification | None, evaluated: EvaluatedImages | None
) -> dict[str, ParityResult]:
    """All pairs; those of the evaluation, which has more images, replace the verification's."""
    pairs = dict(verification.parity) if verification else {}
    return {**pairs, **(evaluated.evaluation.parity if evaluated else {})}


def _written(folder: Path) -> list[Path]:
    paths = (folder / name for name in (*bundle.MODELS, bundle.RECIPE, bundle.TABLES))
    return [path for path in paths if path.exists()]
