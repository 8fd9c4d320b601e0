"""Which numbers of two reports may stand beside each other, and what keeps the others apart."""

from collections.abc import Mapping, Sequence

from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.plausibility import said


def same_float_model(first: Report, second: Report) -> bool:
    """Whether both are of the same weights, which see an image in the same way."""
    return (
        first.model.weights_sha256 is not None
        and first.model.weights_sha256 == second.model.weights_sha256
        and first.model.weights_key == second.model.weights_key
        and first.model.spec.architecture == second.model.spec.architecture
        and first.model.spec.num_classes == second.model.spec.num_classes
        and first.model.spec.preprocessing == second.model.spec.preprocessing
        and first.model.spec.task is second.model.spec.task
        and first.model.spec.threshold == second.model.spec.threshold
    )


def same_images(first: Report, second: Report) -> bool:
    """Whether both were evaluated on the same images."""
    one, other = first.evaluation, second.evaluation
    return one is not None and other is not None and one.images_sha256 == other.images_sha256


def same_float_answers(first: Report, second: Report) -> bool:
    """Whether one float model answered the same images alike; on another processor it may not."""
    answers, answers_too = (_float_answers(report) for report in (first, second))
    if answers is None or answers != answers_too:
        return False
    return same_images(first, second) and same_float_model(first, second)


def _float_answers(report: Report) -> tuple[float | None, ...] | None:
    """What is known of the float model's answers; None where they were not measured."""
    if report.accuracy is not None:
        found = report.accuracy.fp32
        return (found.n, found.top1, found.top5)
    if report.multi_label is not None:
        return (report.multi_label.fp32.n, report.multi_label.fp32.map)
    return None


def comparison_warnings(reports: Mapping[str, Report]) -> tuple[str, ...]:
    """Why numbers of these reports, at least two, cannot be compared: a sentence each."""
    found = (
        *(_tasks(reports), _networks(reports), _images(reports), _implausible(reports)),
        *(_processors(reports), _versions(reports)),
    )
    return tuple(warning for warning in found if warning)


def _tasks(reports: Mapping[str, Report]) -> str:
    named = _by_value({name: report.model.spec.task for name, report in reports.items()})
    if len(named) < 2:
        return ""
    return f"Different tasks: {_listed(named)}. Their figures mean different things."


def _networks(reports: Mapping[str, Report]) -> str:
    first, *others = reports.values()
    if all(same_float_model(first, other) for other in others):
        return ""
    models = {name: report.model for name, report in reports.items()}
    named = _by_value(
        {name: f"{model.spec.architecture} ({model.weights})" for name, model in models.items()}
    )
    if len(named) > 1:
        return f"Different networks: {_listed(named)}. Each drop is from its own float model."
    return (
        "Weights or preprocessing differ, or their digest is not known: each drop is from its own "
        "float model."
    )


def _images(reports: Mapping[str, Report]) -> str:
    evaluated = {name: own.evaluation for name, own in reports.items() if own.evaluation}
    if len({section.images_sha256 for section in evaluated.values()}) < 2:
        return ""
    sources = {
        name: f"{section.source} ({section.images:,} images"
        f"{'' if section.labelled else ', no labels'})"
        for name, section in evaluated.items()
    }
    named = _by_value(sources)
    told = f": {_listed(named)}" if len(named) > 1 else ", though they are called alike"
    return f"Evaluated on different images{told}. Their accuracies are not comparable."


def _implausible(reports: Mapping[str, Report]) -> str:
    named = _by_value(
        {name: said(own.implausible) for name, own in reports.items() if own.implausible}
    )
    if not named:
        return ""
    return f"The float model is not plausible: {_listed(named)}. Drops against it say nothing."


def _processors(reports: Mapping[str, Report]) -> str:
    measured = {name: own.latency_environment for name, own in reports.items() if own.latency}
    machines = {
        name: f"{machine.cpu}, {machine.logical_cores} cores" for name, machine in measured.items()
    }
    named = _by_value(machines)
    if len(named) < 2:
        return ""
    return f"Measured on different machines: {_listed(named)}. Their times are not comparable."


def _versions(reports: Mapping[str, Report]) -> str:
    installed = {name: own.latency_environment.versions for name, own in reports.items()}
    changed = []
    for package in sorted({package for versions in installed.values() for package in versions}):
        named = _by_value({name: own.get(package, "none") for name, own in installed.items()})
        if len(named) > 1:
            changed.append(f"{package} {_listed(named)}")
    return f"Versions differ: {'; '.join(changed)}." if changed else ""


def _by_value(values: Mapping[str, str]) -> dict[str, list[str]]:
    """The names that share a value, by value, in the order of their first."""
    named: dict[str, list[str]] = {}
    for name, value in values.items():
        named.setdefault(value, []).append(name)
    return named


def _listed(named: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{value} in {' and '.join(names)}" for value, names in named.items())
