"""Evaluates a bundle on disk; a killed evaluation continues where it stopped."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact.trust import trusting
from eightbit.benchmarks.evaluation.journal import Journal, header_of, open_journal
from eightbit.benchmarks.evaluation.pool import workers_and_threads
from eightbit.benchmarks.processes.crew import Executor
from eightbit.benchmarks.processes.process import WorkerCrashError
from eightbit.benchmarks.report.checks import Check
from eightbit.benchmarks.report.document import FidelitySection, Report
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.models.class_match import ClassOrder
from eightbit.models.images.sources import ImageSource
from eightbit.models.label_files import ImageLabels
from eightbit.models.plain_text import counted
from eightbit.models.torch_state import own_state
from eightbit.quantize.artifacts.float_baseline import read_float_network
from eightbit.quantize.artifacts.open_bundle import Bundle, open_bundle
from eightbit.quantize.bundle import FLOAT_ONNX
from eightbit.quantize.commands.amend import Amending
from eightbit.quantize.config import check_max_drop
from eightbit.quantize.images import LabelledSource, open_labelled
from eightbit.quantize.measure.evaluation import EvaluatedImages, evaluate_artifacts
from eightbit.quantize.measure.report import make_report
from eightbit.quantize.recipe.recipe import Recipe
from eightbit.quantize.stages import Stages, Watcher
from eightbit.quantize.verify.verification import Verification, models_of

_CONTINUES: Final = "the same command continues where this one ended"


@own_state()
def evaluate_bundle(
    folder: Path,
    data: Path,
    stages: Stages,
    *,
    image_labels: ImageLabels | None = None,
    class_order: ClassOrder | None = None,
    max_drop_pp: float | None = None,
    threads: int | None = None,
    trust: bool = False,
    command: str = "",
    executor: Executor | None = None,
) -> Report:
    """Accuracy, fidelity and parity of a bundle's artefacts; also amends the bundle's report.

    Answers are kept in the user's cache until then: per image about 110 bytes, and 4 per class and
    model. A killed evaluation continues after them, with the same result, if bundle, models,
    images, software and machine are the same. If the cache cannot be written, a message says so.

    `image_labels` maps image names to labels, for images without class folders, to all labels for a
    multi-label classifier; `class_order` says what the names of folders or labels are, where that
    is not clear. The gate ``max_drop_pp`` needs labels; None for the report's own gate, if there is
    one and the images have labels. `threads`: None for all usable cores. `trust`: run the models
    whatever their code asks for. `executor` has the workers, each with its own threads; None for
    processes of this machine.

    Returns:
        A report of this evaluation alone; its ``max_drop_pp`` is the gate that applies.

    Raises:
        InputError: The folder is no bundle or cannot be written, its report is of another recipe,
            the images are unusable, or another process of this user evaluates it on them.
        WorkerCrashError: A process that runs the models died.
    """
    if max_drop_pp is not None:
        check_max_drop(max_drop_pp)
    opened = open_bundle(folder)
    recipe = opened.recipe
    amending = Amending(bundle=opened, stages=stages, command=command)
    known = amending.begin()
    labelled = open_labelled(data, recipe.spec, image_labels, class_order, max_drop_pp=max_drop_pp)
    gate_pp = _gate(known, labelled, stages.watcher) if max_drop_pp is None else max_drop_pp
    count = executor.threads if executor else threads or usable_cores()
    each = executor.threads if executor else workers_and_threads(count)[1]
    seen = known.calibration.digests if known.calibration else ()
    with labelled.source as source, _journal(opened, data, source, each, stages) as journal:
        with trusting(trust):
            found = evaluate_artifacts(
                *(models_of(folder), recipe, labelled, stages),
                network=lambda: read_float_network(folder / FLOAT_ONNX, recipe).module,
                threads=count,
                calibration=seen,
                journal=journal,
                executor=executor,
            )
        amending.finish(lambda before: _amended(before, found, max_drop_pp, command))
        if journal is not None:
            journal.delete()
    return _report(found, recipe, stages, command, images=len(source.items), gate_pp=gate_pp)


def _report(
    found: EvaluatedImages | Check,
    recipe: Recipe,
    stages: Stages,
    command: str,
    *,
    images: int,
    gate_pp: float | None,
) -> Report:
    """The report of this evaluation alone, of `images` if a failed check ended it."""
    evaluated = found if isinstance(found, EvaluatedImages) else None
    check = found.check if isinstance(found, EvaluatedImages) else found
    verification = None
    if check is not None:
        count = evaluated.section.images if evaluated else images
        verification = Verification(images=count, checks=(check,), fidelity={}, parity={})
    return make_report(
        recipe,
        stages,
        command=command,
        evaluated=evaluated,
        verification=verification,
        max_drop_pp=gate_pp,
    )


@contextmanager
def _journal(
    opened: Bundle, data: Path, source: ImageSource, each: int, stages: Stages
) -> Iterator[Journal | None]:
    """The journal, if it can be written; an early end says how to continue.

    Its answers are those of workers with `each` so many threads, however many there are.
    """
    preprocessing = opened.recipe.spec.preprocessing
    header = header_of(models_of(opened.folder), preprocessing, source.items, threads=each)
    journal = open_journal(opened.folder, data, header, stages.watcher.tell)
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


def _gate(known: Report, labelled: LabelledSource, watcher: Watcher) -> float | None:
    """The report's own gate, where there are labels; says so, and which accuracy is replaced."""
    if labelled.classes is None:
        if known.evaluation is not None and known.evaluation.labelled:
            watcher.tell(
                f"without labels only agreement is measured: it replaces the report's accuracy on "
                f"{counted(known.evaluation.images, 'labelled image')}"
            )
        return None
    if known.max_drop_pp is not None:
        watcher.tell(
            f"the gate of the report applies: a drop of at most {known.max_drop_pp:g} points; "
            "--max-drop sets another"
        )
    return known.max_drop_pp


def _amended(
    before: Report, found: EvaluatedImages | Check, max_drop_pp: float | None, command: str
) -> Report:
    """The amended report; an earlier gate stays until another is set."""
    if isinstance(found, EvaluatedImages):
        later = {"environment": read_environment(), "command": command}
        after = before.with_evaluation(
            found.section.model_copy(update=later),
            accuracy=found.evaluation.accuracy,
            multi_label=found.evaluation.multi_label,
            fidelity=FidelitySection(**found.evaluation.fidelity),
            parity=found.evaluation.parity,
            also_in_evaluation=found.shared,
        )
        if found.check is not None:
            after = after.with_checks((found.check,), images=found.section.images)
    else:
        after = before.without_evaluation().with_checks((found,), images=0)
    return after if max_drop_pp is None else after.model_copy(update={"max_drop_pp": max_drop_pp})
