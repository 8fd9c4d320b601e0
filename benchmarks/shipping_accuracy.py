"""Whether the accuracy of the artefacts speaks for shipping them."""

from collections.abc import Iterator
from typing import Final

from eightbit.benchmarks.accuracy.tally import FINITE_CHECK, CandidateAccuracy
from eightbit.benchmarks.artifact.formats import written
from eightbit.benchmarks.drop_gate import drop_gate
from eightbit.benchmarks.reasons import Advice, Reason, care, elsewhere, ship, stop
from eightbit.benchmarks.report.document import AccuracySection, Report
from eightbit.benchmarks.report.figures import counted, upper_end
from eightbit.benchmarks.report.verdict import Verdict, VerdictKind, verdict

# Where nobody said how large a drop is accepted: one that surely exceeds this is not, and one that
# may exceed it needs a look.
_MUCH_PP: Final = 1.0

# With images of a smaller share of the classes, most of what the model knows was never asked.
_LEAST_CLASSES: Final = 0.5


def accuracy_reasons(report: Report) -> Iterator[Reason]:
    """The drop of every artefact, the search for layers in float, and the images themselves."""
    if report.accuracy is None:
        yield care(f"Accuracy was not measured: {why_not_evaluated(report)}.")
        return
    yield from _fallback(report)
    yield from _drops(report, report.accuracy)
    yield from _images(report, report.accuracy)


def why_not_evaluated(report: Report) -> str:
    """Why a report has no accuracy, to follow a colon."""
    checks = report.verification.checks if report.verification else ()
    if any(check.name == FINITE_CHECK and not check.passed for check in checks):
        return "logits on the evaluation images are not finite"
    return "no images to evaluate on were given"


def _fallback(report: Report) -> Iterator[Reason]:
    """What a search ended with; one of another evaluation than the report's decides nothing."""
    fallback = report.standing_fallback
    if fallback is None or fallback.met:
        return
    target = f"{fallback.target_pp:g} pp"
    if fallback.images_needed is None:
        yield stop(f"No choice of layers in float keeps the drop within {target}.")
    else:
        yield stop(
            f"Too few images to show that the drop is within {target}: "
            f"about {fallback.images_needed:,} are needed."
        )


def _drops(report: Report, accuracy: AccuracySection) -> Iterator[Reason]:
    """One reason for all artefacts of which the same is found, whatever their figures."""
    found: dict[Reason, dict[str, list[str]]] = {}
    for name, result in accuracy.candidates.items():
        said = verdict(result, report.max_drop_pp)
        reason = _drop(result, said, report.max_drop_pp)
        found.setdefault(reason, {}).setdefault(said.figures, []).append(name)
    for reason, figures in found.items():
        said_of = (f"{' and '.join(names)}: {figure}" for figure, names in figures.items())
        yield Reason(advice=reason.advice, text=f"{'; '.join(said_of)}: {reason.text}")
    formats = (format.name for format in written(report.size_bytes))
    missing = [name for name in formats if name not in accuracy.candidates]
    if missing or not found:
        whose = " and ".join(missing) or "the artefacts"
        yield care(f"Accuracy of {whose} was not measured.")


def _drop(result: CandidateAccuracy, said: Verdict, allowed_pp: float | None) -> Reason:
    """What the figures of an artefact say, to follow them."""
    finding = f"{said.finding}."
    if result.drop_ci95_pp is None:
        return care(finding)
    low, high = result.drop_ci95_pp
    gate = None if allowed_pp is None else drop_gate(result, allowed_pp)
    if gate is not None:
        if not gate.passed:
            return stop(f"{finding} The gate fails: {gate.text}.")
        return ship(f"{finding} The gate passes: {gate.text}.")
    if low > _MUCH_PP:
        return stop(f"{finding} That is more than {_MUCH_PP:g} point.")
    if said.kind is VerdictKind.DROP:
        return care(finding)
    if high > _MUCH_PP:
        most = upper_end(high, _MUCH_PP)
        return care(f"{finding} Too few images to rule out {most} pp. {said.power}")
    return ship(f"{finding} {said.power}")


def _images(report: Report, accuracy: AccuracySection) -> Iterator[Reason]:
    calibration, evaluation = report.calibration, report.evaluation
    where = elsewhere(report, evaluation.environment if evaluation else None)
    if where:
        yield Reason(advice=Advice.SHIP, text=f"Accuracy was {where}.")
    if calibration is not None:
        shared = calibration.also_in_evaluation
        if shared:
            images = counted(shared, "calibration image")
            yield care(f"{images} also evaluated, which flatters the accuracy.")
        elif shared is None and evaluation is not None and evaluation.source == calibration.source:
            yield care(
                "Calibration and evaluation images have the same source; how many are in both is "
                "not known."
            )
    yield from _classes(accuracy, report.model.spec.num_classes)


def _classes(accuracy: AccuracySection, classes: int) -> Iterator[Reason]:
    """Whether so many classes were seen that right answers say something."""
    if classes == 1:
        yield care("The model has a single class: every answer is the same, so none can be wrong.")
        return
    seen = max((len(result.classes) for result in accuracy.candidates.values()), default=0)
    if 0 < seen < _LEAST_CLASSES * classes:
        yield care(f"{classes - seen:,} of {counted(classes, 'class', 'classes')} have no image.")
