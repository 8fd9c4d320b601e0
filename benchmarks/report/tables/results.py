"""Tables of all results, and those of fidelity, size, verification, coverage and images."""

from collections.abc import Iterator, Mapping
from typing import Final

from eightbit.benchmarks.accuracy.fidelity import FidelityResult
from eightbit.benchmarks.report.checks import VerificationSection
from eightbit.benchmarks.report.document import CoverageSection, FidelitySection, Report
from eightbit.benchmarks.report.figures import (
    NOTHING,
    Table,
    decibels,
    decimal_bytes,
    determination,
    nats,
    percent,
    ratio,
)
from eightbit.benchmarks.report.images import CalibrationSection, EvaluationSection
from eightbit.benchmarks.report.tables.accuracy import accuracy_tables, fallback_table
from eightbit.benchmarks.report.tables.cost import (
    decoding_tables,
    edge_tables,
    latency_tables,
    serving_tables,
    whole_path_tables,
)
from eightbit.benchmarks.report.tables.multi_label import multi_label_tables
from eightbit.benchmarks.report.tables.network import (
    choices_tables,
    diagnosis_table,
    others_table,
    parity_table,
)
from eightbit.models.plain_text import counted, one_line

_CLASSES_NAMED: Final = 5


def result_tables(report: Report) -> Iterator[Table]:
    """Accuracy, fallback, fidelity, latency, sizes and so on, as far as measured."""
    if report.accuracy:
        spec = report.model.spec
        yield from accuracy_tables(
            report.accuracy, spec.labels, report.plausibility, spec.task.metric
        )
    if report.multi_label:
        yield from multi_label_tables(report.multi_label, report.model.spec.labels)
    if report.fallback:
        yield fallback_table(report.fallback)
    if report.fidelity:
        yield from fidelity_tables(report.fidelity)
    if report.benchmark:
        yield from latency_tables(report.latency, report.benchmark)
        yield from whole_path_tables(report.benchmark)
        yield from serving_tables(report.benchmark)
    yield from decoding_tables(report)
    if report.size_bytes:
        yield size_table(report)
    yield from edge_tables(report)
    if report.verification:
        yield verification_table(report.verification)
    if report.parity:
        yield parity_table(report.parity, report.executions, report.edge)
    if (beside := others_table(report.executions)) is not None:
        yield beside
    if report.coverage:
        yield coverage_table(report.coverage)
    if report.diagnosis:
        yield diagnosis_table(report.diagnosis)
    yield from choices_tables(report.choices)
    if report.calibration or report.evaluation:
        yield images_table(report.calibration, report.evaluation)
    if report.calibration and report.calibration.settled is not None:
        yield _convergence(report.calibration)


def fidelity_tables(fidelity: FidelitySection) -> Iterator[Table]:
    """One table, or none where no artefact could be measured."""
    results = fidelity.candidates
    if not results:
        return
    images = max(result.n for result in results.values())
    if all(result.decisions == 0 for result in results.values()):
        yield _distances(results, images)
        return
    several = any(result.decisions > 1 for result in results.values())
    yield Table(
        title=f"Fidelity of the logits on {images:,} images",
        columns=("", "agree", "SQNR", "median SQNR", "mean KL"),
        rows=tuple(
            (
                name,
                percent(result.top1_agreement),
                decibels(result.sqnr_db),
                decibels(result.median_image_sqnr_db),
                NOTHING if result.mean_kl is None else nats(result.mean_kl),
            )
            for name, result in results.items()
        ),
        note=f"agree: same {'decisions' if several else 'class'} as float; SQNR: of all logits "
        "together, which a few outlier images can rule; median SQNR: of each image's own; mean KL: "
        "of float's probabilities from INT8's, in nats.",
    )


def _distances(results: Mapping[str, FidelityResult], images: int) -> Table:
    """How far the numbers of a regression are from the float model's."""
    return Table(
        title=f"Fidelity of the numbers on {images:,} images",
        columns=("", "R²", "SQNR", "median SQNR", "mean error", "largest error"),
        rows=tuple(
            (
                name,
                determination(result.r2),
                decibels(result.sqnr_db),
                decibels(result.median_image_sqnr_db),
                *(
                    NOTHING if error is None else f"{error:.3g}"
                    for error in (result.mean_abs_error, result.max_abs_error)
                ),
            )
            for name, result in results.items()
        ),
        note="R²: of float's variance over the images, the share that INT8 follows; SQNR: of all "
        "numbers together; median SQNR: of each image's own; errors: absolute, against float.",
    )


def size_table(report: Report) -> Table:
    """Every written file, and how many times smaller it is than the float model."""
    return Table(
        title="Size",
        columns=("file", "size", "smaller"),
        rows=tuple(
            (name, decimal_bytes(size), ratio(report.shrinkage(name)))
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


def _multiplications(share: float | None) -> str:
    """What part of the work the integer operators are, where that is known and not all."""
    if share is None or share == 1:
        return ""
    return f"Of all multiplications {share:.2%} are made in integers."


def coverage_table(coverage: CoverageSection) -> Table:
    """How many operators of each kind compute in integers."""
    kinds = {
        "convolution": coverage.conv,
        "residual add": coverage.add,
        "linear": coverage.linear,
        "pooling": coverage.pool,
        "product": coverage.product if coverage.product and coverage.product.total else None,
    }
    found = {name: kind for name, kind in kinds.items() if kind}
    # Only where something is meant to be in float, or is and should not be.
    meant = any(kind.meant_as_float or not kind.as_meant for kind in found.values())
    return Table(
        title="Operators in integers",
        columns=("operator", "quantized", "of", *(("meant in float",) if meant else ())),
        rows=tuple(
            (
                *(name, f"{kind.quantized:,}", f"{kind.total:,}"),
                *((f"{kind.meant_as_float:,}",) if meant else ()),
            )
            for name, kind in found.items()
        ),
        note=_multiplications(coverage.integer_multiplications),
    )


def _convergence(calibration: CalibrationSection) -> Table:
    return Table(
        title="Convergence of the ranges",
        columns=("images", "largest change", "of tensor"),
        rows=tuple(
            (f"{point.images:,}", percent(point.largest_change), point.tensor)
            for point in calibration.convergence
        ),
        text_columns=0,
        note=f"{calibration.would_more_pay} Change: how far a range moved since the row before, as "
        "a share of its width.",
    )


def images_table(
    calibration: CalibrationSection | None, evaluation: EvaluationSection | None
) -> Table:
    """The images that set the ranges and those that accuracy was measured on."""
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    if calibration:
        skipped = f"{len(calibration.skipped):,}"
        rows.append(("calibration", calibration.source, f"{calibration.images:,}", skipped))
        notes += _left_out("calibration", calibration)
    if evaluation:
        use = "evaluation" if evaluation.labelled else "evaluation (no labels)"
        if evaluation.matched_by:
            use += f", classes by {evaluation.matched_by}"
        skipped = f"{evaluation.skipped_count:,}"
        rows.append((use, evaluation.source, f"{evaluation.images:,}", skipped))
        notes += _left_out("evaluation", evaluation)
        if evaluation.labels_without_image:
            labels = counted(evaluation.labels_without_image, "label")
            notes.append(f"The label file has {labels} of images that are not there.")
    shared = calibration.also_in_evaluation if calibration else 0
    if shared:
        notes.append(
            f"Warning: {shared:,} calibration images were also evaluated, which flatters the "
            "result."
        )
    if calibration and calibration.settled is None:
        notes.append(calibration.would_more_pay)
    return Table(
        title="Images",
        columns=("use", "source", "images", "skipped"),
        rows=tuple(rows),
        text_columns=2,
        note=" ".join(notes),
    )


def _left_out(use: str, section: CalibrationSection | EvaluationSection) -> Iterator[str]:
    """Sentences on the files that are no images, and on the classes that have none."""
    passed_over, without = section.passed_over, section.without_images
    found = [passed_over.in_words()] if passed_over.files else []
    if passed_over.hidden:
        found.append(counted(passed_over.hidden, "hidden file"))
    if found:
        yield f"Passed over for {use}, since they are no images: {', '.join(found)}."
    if without.count:
        shown = ", ".join(repr(one_line(name, 40)) for name in without.names[:_CLASSES_NAMED])
        rest = without.count - min(len(without.names), _CLASSES_NAMED)
        more = f" and {rest:,} more" if rest else ""
        classes = counted(without.count, "class", "classes")
        yield f"No image for {use} of {classes}: {shown}{more}."
