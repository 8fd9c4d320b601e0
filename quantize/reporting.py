"""The report of a run, put together from what each stage found."""

from importlib.metadata import version
from pathlib import Path

from eightbit.benchmarks.diagnosis import TensorDiagnosis
from eightbit.benchmarks.environment import read_environment
from eightbit.benchmarks.fallback import FallbackSection
from eightbit.benchmarks.fidelity import ParityResult
from eightbit.benchmarks.latency import LatencyResult
from eightbit.benchmarks.process_memory import peak_rss_bytes
from eightbit.benchmarks.render_markdown import render_markdown
from eightbit.benchmarks.report import (
    CalibrationSection,
    CoverageSection,
    FidelitySection,
    ModelSection,
    Report,
    VerificationSection,
)
from eightbit.quantize import bundle
from eightbit.quantize.assessment import EvaluatedImages
from eightbit.quantize.calibrating import Calibrated
from eightbit.quantize.evaluation import Evaluation
from eightbit.quantize.recipe import Recipe
from eightbit.quantize.stages import Stages
from eightbit.quantize.verification import Verification


def make_report(
    recipe: Recipe,
    stages: Stages,
    *,
    command: str,
    folder: Path | None = None,
    coverage: CoverageSection | None = None,
    verification: Verification | None = None,
    evaluated: EvaluatedImages | None = None,
    fallback: FallbackSection | None = None,
    calibration: Calibrated | None = None,
    diagnosis: tuple[TensorDiagnosis, ...] = (),
    latency: tuple[LatencyResult, ...] = (),
) -> Report:
    """Everything that a run found; sections of what it did not do are None or empty.

    Fidelity and parity come from the evaluation images where there are any, else from the
    verification images.

    Args:
        recipe: What was measured.
        stages: How long each stage took.
        command: The command line that does the same again.
        folder: The bundle, for the sizes of its files.
        coverage: What computes in integers.
        verification: Whether the artefacts are what the recipe says.
        evaluated: Accuracy, and on which images.
        fallback: What was left in float for the sake of accuracy.
        calibration: What set the ranges.
        diagnosis: Every quantized tensor, worst first.
        latency: One entry per model and setting.
    """
    measured: Evaluation | Verification | None = evaluated.evaluation if evaluated else verification
    stages.note_memory(peak_rss_bytes())
    return Report(
        eightbit_version=version("eightbit"),
        command=command,
        model=ModelSection(
            spec=recipe.spec,
            weights=recipe.provenance.weights,
            weights_sha256=recipe.provenance.weights_sha256,
        ),
        config=recipe.config.model_dump(mode="json"),
        recipe_sha256=recipe.sha256,
        calibration=_calibration(calibration, evaluated),
        evaluation=evaluated.section if evaluated else None,
        verification=_verification(verification),
        accuracy=evaluated.evaluation.accuracy if evaluated else None,
        fallback=fallback,
        fidelity=FidelitySection(**measured.fidelity) if measured else None,
        diagnosis=diagnosis,
        parity=_parity(verification, evaluated),
        executions=verification.executions if verification else None,
        latency=latency,
        size_bytes=_sizes(folder) if folder else {},
        coverage=coverage,
        environment=read_environment(),
        timings_s=stages.timings_s,
        peak_rss_bytes=stages.peak_rss_bytes,
    )


def write_report(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write the report into a folder in every form; the JSON, which tells the others, last."""
    contents = {
        bundle.REPORT_MARKDOWN: render_markdown(report),
        bundle.REPORT_JSON: report.to_json(),
    }
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    return tuple(folder / name for name in contents)


def failed_gates(report: Report, max_drop_pp: float | None = None) -> tuple[str, ...]:
    """What keeps these artefacts from being shipped, one line each; empty if nothing does.

    Args:
        report: Of a run.
        max_drop_pp: Largest top-1 drop in percentage points that is accepted; None for any. Where
            layers were left in float to reach a target, that target counts instead: it is for the
            upper end of the drop's interval.
    """
    failures: list[str] = []
    if report.verification is not None:
        failures += failed_checks(report.verification)
    elif report.coverage is not None:
        for kind, counted in report.coverage:
            if counted is not None and not counted.as_meant:
                wanted = counted.total - counted.meant_as_float
                failures.append(
                    f"coverage: {kind}: {counted.quantized} of {counted.total} in integers, "
                    f"{wanted} expected"
                )
    if report.fallback is not None:
        failures += [] if report.fallback.met else [_missed(report.fallback)]
    elif max_drop_pp is not None and report.accuracy is not None:
        for name, result in (
            ("torchscript", report.accuracy.torchscript),
            ("onnx", report.accuracy.onnx),
        ):
            if result is not None and result.drop_pp is not None and result.drop_pp > max_drop_pp:
                failures.append(
                    f"max drop: {name}: top-1 drops by {result.drop_pp:.2f} points, "
                    f"{max_drop_pp:g} allowed"
                )
    return tuple(failures)


def failed_checks(verification: VerificationSection) -> list[str]:
    """Every check that did not pass, one line each."""
    return [
        f"verification: {check.name}: {check.detail}"
        for check in verification.checks
        if not check.passed
    ]


def _missed(fallback: FallbackSection) -> str:
    """Why the delivered network misses the target, in one line."""
    (step,) = (step for step in fallback.steps if step.chosen)
    _, high = step.drop_ci95_pp
    if fallback.images_needed is None:
        hint = "no choice of layers in float meets it"
    else:
        hint = f"to show that, about {fallback.images_needed:,} evaluation images are needed"
    return (
        f"max drop: {step.artifact}: top-1 drops by {step.drop_pp:.2f} points and with 95 % "
        f"confidence by no more than {high:.2f}, {fallback.target_pp:g} allowed; {hint}"
    )


def _calibration(
    calibrated: Calibrated | None, evaluated: EvaluatedImages | None
) -> CalibrationSection | None:
    if calibrated is None:
        return None
    images = calibrated.images
    return CalibrationSection(
        source=images.source.name,
        images=len(images.digests),
        skipped=tuple(images.skipped),
        also_in_evaluation=len(evaluated.digests.intersection(images.digests)) if evaluated else 0,
        convergence=calibrated.convergence,
        settled=calibrated.settled,
    )


def _verification(verification: Verification | None) -> VerificationSection | None:
    if verification is None:
        return None
    return VerificationSection(
        images=verification.images, passed=verification.passed, checks=verification.checks
    )


def _parity(
    verification: Verification | None, evaluated: EvaluatedImages | None
) -> dict[str, ParityResult]:
    """All pairs; those of which the evaluation has more images, as it found them."""
    pairs = dict(verification.parity) if verification else {}
    return {**pairs, **(evaluated.evaluation.parity if evaluated else {})}


def _sizes(folder: Path) -> dict[str, int]:
    paths = (folder / name for name in (*bundle.MODELS, bundle.RECIPE, bundle.TABLES))
    return {path.name: path.stat().st_size for path in paths if path.exists()}
