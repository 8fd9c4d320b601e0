"""Evaluating a bundle that lies on disk; a killed evaluation continues where it was."""

from collections.abc import Mapping
from pathlib import Path

from eightbit.benchmarks.environment import usable_cores
from eightbit.benchmarks.prediction_journal import Journal, header_of, journal_path
from eightbit.benchmarks.prediction_pool import workers_and_threads
from eightbit.benchmarks.report import Check, FidelitySection, Report, VerificationSection
from eightbit.quantize.amending import environment_beside, replace_report, report_of
from eightbit.quantize.assessment import models_of
from eightbit.quantize.delivery import check_max_drop
from eightbit.quantize.evaluation import FINITE_CHECK
from eightbit.quantize.evaluation_run import EvaluatedImages, evaluate_artifacts
from eightbit.quantize.images import open_labelled
from eightbit.quantize.remeasure import recipe_of
from eightbit.quantize.reporting import make_report
from eightbit.quantize.stages import Stages
from eightbit.quantize.verification import Verification


def evaluate_bundle(
    folder: Path,
    data: Path,
    stages: Stages,
    *,
    image_labels: Mapping[str, str] | None = None,
    max_drop_pp: float | None = None,
    threads: int | None = None,
    command: str = "",
) -> Report:
    """Accuracy, fidelity and parity of a bundle's artefacts on the given images.

    Answers are kept in a hidden file of the bundle until the bundle's report is amended: per image
    about 110 bytes, and 4 for each class and model. If the process is killed, the next one with the
    same models, images, software and machine continues after them, and finds the same numbers.

    Args:
        folder: The bundle. Its report is replaced by one with these findings.
        data: Folder or archive of images.
        stages: Told of the progress.
        image_labels: Label by name of the image, for images without class folders.
        max_drop_pp: The gate that the report shall decide, if there is one: it needs labels.
        threads: Threads for the runtimes; None for all usable cores.
        command: The command line, for the report.

    Returns:
        A report of this evaluation alone.

    Raises:
        InputError: The folder is no bundle or cannot be written, its report is of another recipe,
            another process evaluates it on the same images, or the images cannot be used.
        WorkerCrashError: A process that runs the models died.
    """
    if max_drop_pp is not None:
        check_max_drop(max_drop_pp)
    recipe = recipe_of(folder)
    report_of(
        folder, recipe, stages, command
    )  # a damaged one is refused before the work, not after
    labelled = open_labelled(data, recipe.spec, image_labels, max_drop_pp=max_drop_pp)
    models, count = models_of(folder), threads or usable_cores()
    with labelled.source as source:
        preprocessing, (_, each) = recipe.spec.preprocessing, workers_and_threads(count)
        header = header_of(models, preprocessing, source.items, threads=each)
        with Journal(journal_path(folder, data), header) as journal:
            found = evaluate_artifacts(
                models, recipe, labelled, stages, threads=count, journal=journal
            )
            before = report_of(folder, recipe, stages, command)
            replace_report(_amended(before, found, max_drop_pp), folder)
            journal.delete()
    if isinstance(found, EvaluatedImages):
        return make_report(recipe, stages, command=command, evaluated=found)
    failed = Verification(images=len(source.items), checks=(found,), fidelity={}, parity={})
    return make_report(recipe, stages, command=command, verification=failed)


def _amended(before: Report, found: EvaluatedImages | Check, max_drop_pp: float | None) -> Report:
    """The report with what is known now; what an earlier evaluation said is gone."""
    if not isinstance(found, EvaluatedImages):
        return before.model_copy(
            update={
                "verification": _with_check(before, (found,)),
                "accuracy": None,
                "fidelity": None if before.evaluation else before.fidelity,
                "evaluation": None,
            }
        )
    section = found.section.model_copy(update={"environment": environment_beside(before)})
    return before.model_copy(
        update={
            "verification": _with_check(before, ()),
            "accuracy": found.evaluation.accuracy,
            # A gate of an earlier run stands until another one is set.
            "max_drop_pp": before.max_drop_pp if max_drop_pp is None else max_drop_pp,
            "evaluation": section,
            "fidelity": FidelitySection(**found.evaluation.fidelity),
            "parity": {**before.parity, **found.evaluation.parity},
        }
    )


def _with_check(before: Report, new: tuple[Check, ...]) -> VerificationSection | None:
    """The verification with the evaluation's own check, which is there only if it failed."""
    known = before.verification
    kept = known.checks if known else ()
    checks = (*(check for check in kept if check.name != FINITE_CHECK), *new)
    if not checks:
        return None
    return VerificationSection(
        images=known.images if known else 0,
        passed=all(check.passed for check in checks),
        checks=checks,
    )
