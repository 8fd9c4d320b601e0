"""What a report found, as tables."""

from collections.abc import Iterable, Iterator
from typing import Final

from eightbit.benchmarks.accuracy import AccuracyResult, CandidateAccuracy
from eightbit.benchmarks.artifact import Precision
from eightbit.benchmarks.diagnosis import diagnosis_table
from eightbit.benchmarks.fallback import fallback_table
from eightbit.benchmarks.latency import LatencyResult
from eightbit.benchmarks.parity import parity_table
from eightbit.benchmarks.report import (
    AccuracySection,
    CalibrationSection,
    CoverageSection,
    EvaluationSection,
    FidelitySection,
    Report,
    VerificationSection,
)
from eightbit.benchmarks.tables import (
    NOTHING,
    Table,
    decimal_bytes,
    interval,
    milliseconds,
    percent,
    ratio,
)

# In the names of the files whose sizes are compared.
_FLOAT_MARK: Final = ".fp32."
_INT8_MARK: Final = ".int8."


def result_tables(report: Report) -> Iterator[Table]:
    """Accuracy, fallback, fidelity, latency, sizes and so on, as far as measured."""
    if report.accuracy:
        yield _accuracy(report.accuracy)
    if report.fallback:
        yield fallback_table(report.fallback)
    if report.fidelity:
        yield from _fidelity(report.fidelity)
    yield from _latency(report.latency)
    if report.size_bytes:
        yield _sizes(report)
    if report.verification:
        yield verification_table(report.verification)
    if report.parity:
        yield parity_table(report.parity, report.executions)
    if report.coverage:
        yield _coverage(report.coverage)
    if report.diagnosis:
        yield diagnosis_table(report.diagnosis)
    if report.calibration or report.evaluation:
        yield _images(report.calibration, report.evaluation)
    if report.calibration and report.calibration.settled is not None:
        yield _convergence(report.calibration)


def speedup(result: LatencyResult, results: Iterable[LatencyResult]) -> float | None:
    """How many times faster an INT8 file is than the float one under equal conditions.

    Returns:
        The ratio of median times, or None for a float file or where no float one was measured
        in the same runtime with the same threads and batch.
    """
    if result.precision is Precision.FP32:
        return None
    for other in results:
        if other.precision is Precision.FP32 and _conditions(other) == _conditions(result):
            return other.p50_ms / result.p50_ms
    return None


def shrinkage(report: Report, name: str) -> float | None:
    """How many times smaller an INT8 model file is than the float one.

    Returns:
        The ratio of sizes, or None for another file or where no float model was written.
    """
    floats = [size for file, size in report.size_bytes.items() if _FLOAT_MARK in file]
    if not floats or _INT8_MARK not in name:
        return None
    return floats[0] / report.size_bytes[name]


def _conditions(result: LatencyResult) -> tuple[str, int, int]:
    return result.runtime, result.threads, result.batch


def decibels(ratio_db: float | None) -> str:
    """34.56 as "34.6 dB"; None, which stands for infinity in a `FidelityResult`, as "identical"."""
    return "identical" if ratio_db is None else f"{ratio_db:.1f} dB"


def nats(divergence: float) -> str:
    """Three significant digits, without a unit; only what is exactly zero is "0"."""
    return f"{divergence:.3g}"


def _accuracy(accuracy: AccuracySection) -> Table:
    results = {
        "float": accuracy.fp32,
        "TorchScript": accuracy.torchscript,
        "ONNX": accuracy.onnx,
    }
    return Table(
        title=f"Accuracy on {accuracy.fp32.n:,} images",
        columns=("", "top-1", "top-5", "drop [95 %]", "flips"),
        rows=tuple(_accuracy_row(name, result) for name, result in results.items() if result),
        note="drop: with its 95 % interval; flips: images whose class changed (- now wrong, + now "
        "right).",
    )


def _accuracy_row(name: str, accuracy: AccuracyResult) -> tuple[str, ...]:
    drop, flips = NOTHING, NOTHING
    if isinstance(accuracy, CandidateAccuracy):
        drop = interval(accuracy.drop_pp, accuracy.drop_ci95_pp)
        flips = f"{accuracy.flip_count:,}"
        if accuracy.broke is not None and accuracy.fixed is not None:
            flips += f" (-{accuracy.broke:,} +{accuracy.fixed:,})"
    return name, percent(accuracy.top1), percent(accuracy.top5), drop, flips


def _fidelity(fidelity: FidelitySection) -> Iterator[Table]:
    """One table, or none where no artefact could be measured."""
    named = {"TorchScript": fidelity.torchscript, "ONNX": fidelity.onnx}
    results = {name: result for name, result in named.items() if result}
    if not results:
        return
    images = max(result.n for result in results.values())
    yield Table(
        title=f"Fidelity of the logits on {images:,} images",
        columns=("", "agree", "SQNR", "median SQNR", "mean KL"),
        rows=tuple(
            (
                name,
                percent(result.top1_agreement),
                decibels(result.sqnr_db),
                decibels(result.median_image_sqnr_db),
                nats(result.mean_kl),
            )
            for name, result in results.items()
        ),
        note="agree: same class as float; SQNR: of all logits together, which a few outlier images "
        "can rule; median SQNR: of each image's own; mean KL: of float's softmax from INT8's, in "
        "nats.",
    )


def _latency(results: tuple[LatencyResult, ...]) -> Iterator[Table]:
    """One table per batch size and number of threads, in the order of their first result."""
    for batch, threads in dict.fromkeys((entry.batch, entry.threads) for entry in results):
        yield Table(
            title=f"Latency in ms (batch {batch}, {threads} thread{'s' * (threads > 1)})",
            columns=("artifact", "runtime", "p50", "p90", "p99", "img/s", "calls", "speedup"),
            rows=tuple(
                (
                    entry.artifact,
                    entry.runtime.value,
                    milliseconds(entry.p50_ms),
                    milliseconds(entry.p90_ms),
                    milliseconds(entry.p99_ms),
                    f"{entry.images_per_s:,.0f}",
                    f"{entry.n:,}",
                    ratio(speedup(entry, results)),
                )
                for entry in results
                if (entry.batch, entry.threads) == (batch, threads)
            ),
            text_columns=2,
            note="speedup: over the float model in the same runtime.",
        )


def _sizes(report: Report) -> Table:
    return Table(
        title="Size",
        columns=("file", "size", "smaller"),
        rows=tuple(
            (name, decimal_bytes(size), ratio(shrinkage(report, name)))
            for name, size in report.size_bytes.items()
        ),
        note="smaller: than the float model.",
    )


def verification_table(verification: VerificationSection) -> Table:
    """Every check with what it found."""
    return Table(
        title=f"Verification on {verification.images:,} images: {_verdict(verification.passed)}",
        columns=("check", "result", "detail"),
        rows=tuple(
            (check.name, _verdict(check.passed), check.detail) for check in verification.checks
        ),
        text_columns=3,
    )


def _verdict(passed: bool) -> str:
    return "passed" if passed else "FAILED"


def _coverage(coverage: CoverageSection) -> Table:
    kinds = {
        "convolution": coverage.conv,
        "residual add": coverage.add,
        "linear": coverage.linear,
        "pooling": coverage.pool,
    }
    return Table(
        title="Operators in integers",
        columns=("operator", "quantized", "of"),
        rows=tuple(
            (name, f"{kind.quantized:,}", f"{kind.total:,}") for name, kind in kinds.items() if kind
        ),
    )


def _convergence(calibration: CalibrationSection) -> Table:
    settled = "The ranges settled" if calibration.settled else "The ranges had not settled"
    return Table(
        title="Convergence of the ranges",
        columns=("images", "largest change", "of tensor"),
        rows=tuple(
            (f"{point.images:,}", percent(point.largest_change), point.tensor)
            for point in calibration.convergence
        ),
        text_columns=0,
        note=f"{settled} after {calibration.images:,} images; change: how far a range moved since "
        "the row before, as a share of its width.",
    )


def _images(calibration: CalibrationSection | None, evaluation: EvaluationSection | None) -> Table:
    rows = []
    if calibration:
        skipped = f"{len(calibration.skipped):,}"
        rows.append(("calibration", calibration.source, f"{calibration.images:,}", skipped))
    if evaluation:
        use = "evaluation" if evaluation.labelled else "evaluation (no labels)"
        if evaluation.matched_by:
            use += f", classes by {evaluation.matched_by}"
        skipped = f"{len(evaluation.skipped):,}"
        rows.append((use, evaluation.source, f"{evaluation.images:,}", skipped))
    shared = calibration.also_in_evaluation if calibration else 0
    return Table(
        title="Images",
        columns=("use", "source", "images", "skipped"),
        rows=tuple(rows),
        text_columns=2,
        note=f"Warning: {shared:,} calibration images were also evaluated, which flatters the "
        "result."
        if shared
        else "",
    )
