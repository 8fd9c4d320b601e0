"""Evaluating a bundle that lies on disk; a killed evaluation continues where it was."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eightbit.benchmarks.accuracy.parity import ARTIFACTS
from eightbit.benchmarks.accuracy.tally import FINITE_CHECK
from eightbit.benchmarks.evaluation.journal import Journal, JournalHeader, header_of, open_journal
from eightbit.benchmarks.evaluation.pool import workers_and_threads
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.benchmarks.report.document import Check, FidelitySection, Report, VerificationSection
from eightbit.benchmarks.runtimes.environment import usable_cores
from eightbit.models.plain_text import counted
from eightbit.quantize.artifacts.open_bundle import recipe_of
from eightbit.quantize.commands.amend import Amending, environment_beside
from eightbit.quantize.config import check_max_drop
from eightbit.quantize.images import LabelledSource, open_labelled
from eightbit.quantize.measure.evaluation import EvaluatedImages, evaluate_artifacts
from eightbit.quantize.measure.report import make_report
from eightbit.quantize.stages import Stages, Watcher
from eightbit.quantize.verify.verification import Verification, models_of

_CONTINUES: Final = "the same command continues where this one ended"


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

    Answers are kept in the user's cache until the bundle's report is amended: per image about 110
    bytes, and 4 for each class and model. If the process is killed, the next one with the same
    bundle, models, images, software and machine continues after them, and finds the same numbers.
    Where they cannot be kept, it says so and goes on.

    Args:
        folder: The bundle. Its report is replaced by one with these findings.
        data: Folder or archive of images.
        stages: Told of the progress.
        image_labels: Label by name of the image, for images without class folders.
        max_drop_pp: The gate to decide, which needs labels. None for the one that stands in the
            report, if there is one, on images that have labels.
        threads: Threads for the runtimes; None for all usable cores.
        command: The command line, for the report.

    Returns:
        A report of this evaluation alone; its ``max_drop_pp`` is the gate that applies.

    Raises:
        InputError: The folder is no bundle or cannot be written, its report is of another recipe,
            another process of this user evaluates it on the same images, or the images cannot be
            used.
        WorkerCrashError: A process that runs the models died.
    """
    if max_drop_pp is not None:
        check_max_drop(max_drop_pp)
    recipe = recipe_of(folder)
    amending = Amending(folder=folder, recipe=recipe, stages=stages, command=command)
    known = amending.begin()
    labelled = open_labelled(data, recipe.spec, image_labels, max_drop_pp=max_drop_pp)
    gate_pp = max_drop_pp
    if max_drop_pp is None:
        gate_pp = known.max_drop_pp if labelled.labels is not None else None
        _tell(known, labelled, stages.watcher)
    models, count = models_of(folder), threads or usable_cores()
    with labelled.source as source:
        preprocessing, (_, each) = recipe.spec.preprocessing, workers_and_threads(count)
        header = header_of(models, preprocessing, source.items, threads=each)
        with _journal(folder, data, header, stages) as journal:
            found = evaluate_artifacts(
                *(models, recipe, labelled, stages),
                threads=count,
                calibration=_calibrated_on(known),
                journal=journal,
            )
            amending.finish(lambda before: _amended(before, found, max_drop_pp, command))
            if journal is not None:
                journal.delete()
    if isinstance(found, EvaluatedImages):
        return make_report(recipe, stages, command=command, evaluated=found, max_drop_pp=gate_pp)
    failed = Verification(images=len(source.items), checks=(found,), fidelity={}, parity={})
    return make_report(recipe, stages, command=command, verification=failed, max_drop_pp=gate_pp)


@contextmanager
def _journal(
    folder: Path, data: Path, header: JournalHeader, stages: Stages
) -> Iterator[Journal | None]:
    """The journal, where there can be one. What ends the evaluation early says how it goes on."""
    journal = open_journal(folder, data, header, stages.watcher.tell)
    if journal is None:
        yield None
        return
    with journal:
        try:
            yield journal
        except KeyboardInterrupt:
            if journal.has_answers:
                stages.watcher.tell(f"interrupted; {_CONTINUES}")
            raise
        except WorkerCrashError as exc:
            if journal.has_answers:
                exc.add_note(_CONTINUES)
            raise


def _tell(known: Report, labelled: LabelledSource, watcher: Watcher) -> None:
    """What becomes of the report's gate and of its accuracy, where nobody would expect it."""
    if labelled.labels is not None:
        if known.max_drop_pp is not None:
            watcher.tell(
                f"the gate of the report applies: a drop of at most {known.max_drop_pp:g} points; "
                "--max-drop sets another"
            )
    elif known.accuracy is not None and known.accuracy.fp32.top1 is not None:
        watcher.tell(
            f"without labels only agreement is measured: it replaces the report's accuracy on "
            f"{counted(known.accuracy.fp32.n, 'labelled image')}"
        )


def _amended(
    before: Report, found: EvaluatedImages | Check, max_drop_pp: float | None, command: str
) -> Report:
    """The report with what is known now; what an earlier evaluation said is gone."""
    # A gate of an earlier run stands until another one is set.
    gate = {"max_drop_pp": before.max_drop_pp if max_drop_pp is None else max_drop_pp}
    if not isinstance(found, EvaluatedImages):
        earlier = before.evaluation
        return before.model_copy(
            update={
                **gate,
                "verification": _with_check(before, (found,)),
                "accuracy": None,
                "fidelity": None if earlier else before.fidelity,
                "parity": {
                    pair: result
                    for pair, result in before.parity.items()
                    if earlier is None or pair != ARTIFACTS or result.n != earlier.images
                },
                "evaluation": None,
                "calibration": before.calibration
                and before.calibration.model_copy(update={"also_in_evaluation": 0}),
            }
        )
    new = {"environment": environment_beside(before), "command": command}
    return before.model_copy(
        update={
            **gate,
            "verification": _with_check(before, ()),
            "accuracy": found.evaluation.accuracy,
            "evaluation": found.section.model_copy(update=new),
            "calibration": before.calibration
            and before.calibration.model_copy(update={"also_in_evaluation": found.shared}),
            "fidelity": FidelitySection(**found.evaluation.fidelity),
            "parity": {**before.parity, **found.evaluation.parity},
        }
    )


def _calibrated_on(known: Report) -> tuple[str, ...] | None:
    """Digests of the calibration images; None if nobody remembers which those were."""
    calibration = known.calibration
    return calibration.digests or None if calibration else None


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
