"""The report of a run, put together from what each stage found."""

from importlib.metadata import version
from pathlib import Path

from eightbit.benchmarks.accuracy import CandidateAccuracy
from eightbit.benchmarks.diagnosis import TensorDiagnosis
from eightbit.benchmarks.environment import read_environment
from eightbit.benchmarks.fallback import FallbackSection
from eightbit.benchmarks.fidelity import ParityResult
from eightbit.benchmarks.latency import LatencyResult
from eightbit.benchmarks.machine import BenchmarkSection
from eightbit.benchmarks.paired import images_needed
from eightbit.benchmarks.process_memory import peak_rss_bytes
from eightbit.benchmarks.render_html import render_html
from eightbit.benchmarks.render_markdown import render_markdown
from eightbit.benchmarks.report import (
    CalibrationSection,
    CoverageSection,
    FidelitySection,
    ModelSection,
    Report,
    VerificationSection,
)
from eightbit.calibration.methods import Method
from eightbit.quantize import bundle
from eightbit.quantize.calibrating import Calibrated
from eightbit.quantize.evaluation import Evaluation
from eightbit.quantize.evaluation_run import EvaluatedImages
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
    max_drop_pp: float | None = None,
    fallback: FallbackSection | None = None,
    calibration: Calibrated | None = None,
    diagnosis: tuple[TensorDiagnosis, ...] = (),
    latency: tuple[LatencyResult, ...] = (),
    benchmark: BenchmarkSection | None = None,
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
        max_drop_pp: The gate for the drop, if there is one.
        fallback: What was left in float for the sake of accuracy.
        calibration: What set the ranges.
        diagnosis: Every quantized tensor, worst first.
        latency: One entry per model and setting.
        benchmark: What is behind those entries.
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
        calibration=_calibration(calibration, evaluated, recipe.config.method),
        evaluation=evaluated.section if evaluated else None,
        verification=_verification(verification),
        accuracy=evaluated.evaluation.accuracy if evaluated else None,
        max_drop_pp=max_drop_pp,
        fallback=fallback,
        fidelity=FidelitySection(**measured.fidelity) if measured else None,
        diagnosis=diagnosis,
        parity=_parity(verification, evaluated),
        executions=verification.executions if verification else None,
        latency=latency,
        benchmark=benchmark,
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
        bundle.REPORT_HTML: render_html(report),
        bundle.REPORT_JSON: report.to_json(),
    }
    for name, content in contents.items():
        (folder / name).write_text(content, encoding="utf-8")
    return tuple(folder / name for name in contents)


def failed_gates(report: Report, max_drop_pp: float | None = None) -> tuple[str, ...]:
    """What keeps these artefacts from being shipped, one line each; empty if nothing does.

    Args:
        report: Of a run.
        max_drop_pp: Largest top-1 drop in percentage points that is accepted; None for any. The
            upper end of the drop's 95 % interval is held against it, in every artefact: what
            passes has been shown, and what was not measured or on too few images does not pass.
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
    if max_drop_pp is not None:
        failures += _dropped(report, max_drop_pp)
    return tuple(failures)


def failed_checks(verification: VerificationSection) -> list[str]:
    """Every check that did not pass, one line each."""
    return [
        f"verification: {check.name}: {check.detail}"
        for check in verification.checks
        if not check.passed
    ]


def _dropped(report: Report, max_drop_pp: float) -> list[str]:
    """Every artefact whose drop may be larger than is accepted, one line each."""
    accuracy, measured, failures = report.accuracy, False, []
    named = {"torchscript": accuracy.torchscript, "onnx": accuracy.onnx} if accuracy else {}
    for name, result in named.items():
        if result is None or result.drop_pp is None or result.drop_ci95_pp is None:
            continue
        measured, high_pp = True, result.drop_ci95_pp[1]
        if high_pp > max_drop_pp:
            moves, and_drops = ("rises", " drops") if result.drop_pp < 0 else ("drops", "")
            failures.append(
                f"max drop: {name}: top-1 {moves} by {abs(result.drop_pp):.2f} points and with "
                f"95 % confidence{and_drops} by no more than {high_pp:.2f}, {max_drop_pp:g} "
                f"allowed; {_hint(name, result, max_drop_pp, report.fallback)}"
            )
    if not measured:
        failures.append("max drop: expected images with labels to measure it on, found none")
    return failures


def _hint(
    name: str, result: CandidateAccuracy, max_drop_pp: float, fallback: FallbackSection | None
) -> str:
    """What would make the gate pass."""
    if fallback is not None and _is_of(fallback, name, result, max_drop_pp):
        needed, otherwise = fallback.images_needed, "no choice of layers in float meets it"
    else:
        needed = images_needed(result.broke or 0, result.fixed or 0, result.n, max_drop_pp)
        otherwise = "more images will not help; `eightbit quantize --fallback` may"
    if needed is None:
        return otherwise
    return f"to show that, about {needed:,} evaluation images are needed"


def _is_of(
    fallback: FallbackSection, name: str, result: CandidateAccuracy, target_pp: float
) -> bool:
    """Whether a search for layers in float ended in this very result, on the same images."""
    (step,) = (step for step in fallback.steps if step.chosen)
    found = (fallback.target_pp, step.artifact, step.drop_ci95_pp)
    return found == (target_pp, name, result.drop_ci95_pp)


def _calibration(
    calibrated: Calibrated | None, evaluated: EvaluatedImages | None, method: Method
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
        watched=None if calibrated.watched == method else calibrated.watched.value,
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
