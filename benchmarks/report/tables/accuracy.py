"""Tables of accuracy: top-1 and the drop, confidence, classes that lose, layers in float."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Final, TypeVar

from eightbit.benchmarks.accuracy.per_class import ClassDrop
from eightbit.benchmarks.accuracy.tally import AccuracyResult, CandidateAccuracy
from eightbit.benchmarks.report.document import AccuracySection
from eightbit.benchmarks.report.fallback import FallbackSection, FallbackStep
from eightbit.benchmarks.report.figures import (
    NOTHING,
    Table,
    class_name,
    interval,
    percent,
    percents,
    points,
    probability,
)
from eightbit.benchmarks.report.plausibility import PlausibilitySection, said
from eightbit.benchmarks.report.verdict import verdict
from eightbit.models.plain_text import counted
from eightbit.models.spec import Task

_MAX_NAMES: Final = 3


def fallback_table(fallback: FallbackSection) -> Table:
    """The steps, and in the note what is meant."""
    verdict = "met" if fallback.met else "FAILED"
    return Table(
        title=f"Layers in float for a drop of at most {fallback.target_pp:g} pp: {verdict}",
        columns=("in float", "added", "drop [95 %]", "agree", "time", "target"),
        rows=tuple(_row(step, fallback.target_pp) for step in fallback.steps),
        text_columns=2,
        note=f"in float: how many of {fallback.candidates} operations, those first that cost the "
        "logits most; * is delivered; drop: its upper end must not exceed the target; time: of a "
        "call, relative to the network with everything in integers.",
    )


def _row(step: FallbackStep, target_pp: float) -> tuple[str, ...]:
    more = len(step.added) - _MAX_NAMES
    names = ", ".join(step.added[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
    return (
        f"{step.float_layers}{' *' if step.chosen else ''}",
        names or NOTHING,
        interval(step.drop_pp, step.drop_ci95_pp, target_pp),
        percent(step.top1_agreement),
        NOTHING if step.latency_ratio is None else f"{step.latency_ratio:.2f}x",
        "met" if step.met else "missed",
    )


_Value = TypeVar("_Value", bound=Hashable)

_MAX_CLASSES: Final = 5


def accuracy_tables(
    accuracy: AccuracySection,
    labels: tuple[str, ...] | None = None,
    plausibility: PlausibilitySection | None = None,
    metric: str = Task.SINGLE_LABEL.metric,
) -> Iterator[Table]:
    """Right answers and the drop, confidence, and the classes that lose, as far as measured.

    A float model that is not plausible comes first, with what was tried. `metric` is what the share
    of right answers is called, see `Task.metric`.
    """
    candidates = accuracy.candidates
    plausible = plausibility is None or not plausibility.doubts
    if plausibility is not None and plausibility.alternatives:
        yield _alternatives(plausibility, metric)
    if accuracy.fp32.top1 is None:
        yield _agreement(accuracy.fp32, candidates)
    else:
        yield _accuracy(accuracy.fp32, candidates, metric, plausible=plausible)
    results = {"float": accuracy.fp32, **candidates}
    if any(result.confidence for result in results.values()):
        yield _confidence(results, metric)
    for names, classes in _alike({name: result.classes for name, result in candidates.items()}):
        worst = worst_classes(classes)
        if worst:
            yield _classes(names, worst[:_MAX_CLASSES], classes, labels)


def worst_classes(classes: tuple[ClassDrop, ...]) -> tuple[ClassDrop, ...]:
    """The classes that lose, those first for which chance explains it least."""
    losing = [entry for entry in classes if entry.drop_pp > 0]
    losing.sort(key=lambda entry: (entry.p_adjusted, entry.p_value, -entry.drop_pp, entry.index))
    return tuple(losing)


def _alike(values: Mapping[str, _Value]) -> Iterator[tuple[str, _Value]]:
    """Every value once, after the names of all that have it."""
    for value in dict.fromkeys(values.values()):
        yield " and ".join(name for name in values if values[name] == value), value


def _alternatives(found: PlausibilitySection, metric: str) -> Table:
    best = found.best
    advice = f"; {best.name} is better: {best.option}" if best else "; none is better"
    return Table(
        title="Float model not plausible: what else was tried on "
        f"{counted(found.tried_images, 'image')}",
        columns=("images and labels read as", f"{metric} [95 %]"),
        rows=(
            ("what was taken", percents(found.as_taken or 0.0)),
            *((one.name, percents(one.top1, one.top1_ci95)) for one in found.alternatives),
        ),
        note=f"{metric.capitalize()} of the float model, {said(found)}{advice}.",
    )


def _accuracy(
    fp32: AccuracyResult,
    candidates: Mapping[str, CandidateAccuracy],
    metric: str,
    *,
    plausible: bool,
) -> Table:
    ranks = metric == Task.SINGLE_LABEL.metric
    shares = (percent(fp32.top1), *((percent(fp32.top5),) if ranks else ()))
    return Table(
        title=f"Accuracy on {counted(fp32.n, 'image')}",
        columns=("", metric, *(("top-5",) if ranks else ()), "drop [95 %]", "p", "flips"),
        rows=(
            ("float", *shares, NOTHING, NOTHING, NOTHING),
            *(_accuracy_row(name, result, ranks) for name, result in candidates.items()),
        ),
        note=f"{_verdicts(candidates, plausible=plausible)}drop: with its 95 % interval; p: exact "
        "McNemar test, small where chance does not explain the drop; flips: images whose class "
        "changed (- now wrong, + now right).",
    )


def _agreement(fp32: AccuracyResult, candidates: Mapping[str, CandidateAccuracy]) -> Table:
    return Table(
        title=f"Agreement with float on {counted(fp32.n, 'image')} without labels",
        columns=("", "agree", "flips"),
        rows=tuple(
            (name, percent(result.top1_agreement), f"{result.flip_count:,}")
            for name, result in candidates.items()
        ),
        note="agree: same class as float; flips: images whose class changed. Without labels a drop "
        "cannot be told.",
    )


def _accuracy_row(name: str, result: CandidateAccuracy, ranks: bool) -> tuple[str, ...]:
    flips = f"{result.flip_count:,}"
    if result.broke is not None and result.fixed is not None:
        flips += f" (-{result.broke:,} +{result.fixed:,})"
    return (
        name,
        percent(result.top1),
        *((percent(result.top5),) if ranks else ()),
        interval(result.drop_pp, result.drop_ci95_pp),
        probability(result.mcnemar_p),
        flips,
    )


def _verdicts(candidates: Mapping[str, CandidateAccuracy], *, plausible: bool) -> str:
    """One sentence or two for every artefact, once for those with the same ones."""
    said = {
        name: f"{found.phrase}. {found.power}".rstrip()
        for name, found in (
            (name, verdict(result, plausible=plausible)) for name, result in candidates.items()
        )
    }
    return "".join(f"{names}: {words} " for names, words in _alike(said))


def _confidence(results: Mapping[str, AccuracyResult], metric: str) -> Table:
    return Table(
        title="Confidence",
        columns=("", metric, "mean confidence", "ECE"),
        rows=tuple(
            (
                name,
                percent(result.top1),
                percent(result.confidence.mean_confidence),
                percent(result.confidence.ece),
            )
            for name, result in results.items()
            if result.confidence is not None
        ),
        note=f"mean confidence: probability of the predicted class, above {metric} if a model is "
        "too sure of itself; ECE: expected calibration error, how far confidence and accuracy are "
        "apart over bins of like confidence.",
    )


def _classes(
    names: str,
    worst: tuple[ClassDrop, ...],
    classes: tuple[ClassDrop, ...],
    labels: tuple[str, ...] | None,
) -> Table:
    significant = sum(entry.lost for entry in classes)
    return Table(
        title=f"Classes that lose ({names})",
        columns=("class", "images", "float", "drop", "changed", "p", "p adjusted"),
        rows=tuple(
            (
                class_name(entry.index, labels),
                f"{entry.n:,}",
                percent(entry.top1_fp32),
                points(entry.drop_pp),
                f"-{entry.broke:,} +{entry.fixed:,}",
                probability(entry.p_value),
                probability(entry.p_adjusted),
            )
            for entry in worst
        ),
        note="Least likely by chance first. "
        f"{counted(len(classes), 'class', 'classes')} looked at, {significant:,} with a drop "
        "that chance does not explain; p: exact McNemar test of this class; p adjusted: for "
        "looking at so many (Benjamini and Hochberg).",
    )
