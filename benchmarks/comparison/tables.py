"""Reports side by side, as tables."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from eightbit.benchmarks.accuracy.parity import TO_REFERENCE
from eightbit.benchmarks.comparison.comparison import AgainstFirst, ComparedArtifact, Comparison
from eightbit.benchmarks.comparison.differences import Loss, agreement_of, score_of
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import (
    NOTHING,
    Table,
    decibels,
    decimal_bytes,
    determination,
    interval,
    milliseconds,
    percent,
    times,
)
from eightbit.models.spec import Task, size_text

# Longest untrusted value that a cell shows in full.
_MAX_SETTING: Final = 60


def settings_table(comparison: Comparison) -> Table | None:
    """Settings in which the reports differ; None where they differ in none."""
    facts = {name: _settings(report) for name, report in comparison.reports.items()}
    names = sorted({setting for own in facts.values() for setting in own}, key=_order)
    different = [
        setting
        for setting in names
        if len({own.get(setting, NOTHING) for own in facts.values()}) > 1
    ]
    if not different:
        return None
    return Table(
        title="What differs",
        columns=("bundle", *different),
        rows=tuple(
            (name, *(own.get(setting, NOTHING) for setting in different))
            for name, own in facts.items()
        ),
        text_columns=1 + len(different),
    )


def parity_summary(comparison: Comparison) -> Table | None:
    """How alike the executions of each report's artefacts are; None where none were compared."""
    rows = tuple(
        _parity_row(name, report)
        for name, report in comparison.reports.items()
        if report.parity or report.verification
    )
    if not rows:
        return None
    return Table(
        title="Verification and parity",
        columns=("bundle", "verified", "executions", "identical", "within 1", "largest"),
        rows=rows,
        text_columns=2,
        note="executions: those compared with the reference integers; of the worst of them, the "
        "share of logits that are identical and within one last bit, and the largest difference.",
    )


def environments_table(comparison: Comparison) -> Table | None:
    """Where latencies were measured, if that is not one and the same place."""
    found = {name: report.latency_environment for name, report in comparison.reports.items()}
    if len({environment.model_dump_json() for environment in found.values()}) == 1:
        return None
    return Table(
        title="Environments",
        columns=("bundle", "CPU", "cores", "instruction sets", "Python", "packages"),
        rows=tuple(
            (
                name,
                environment.cpu,
                str(environment.logical_cores),
                ", ".join(environment.isa),
                environment.python,
                ", ".join(
                    f"{package} {number}" for package, number in environment.versions.items()
                ),
            )
            for name, environment in found.items()
        ),
        text_columns=6,
    )


def _settings(report: Report) -> dict[str, str]:
    """Network, images, config and version of a report."""
    spec = report.model.spec
    sources = {"calibration": report.calibration, "evaluation": report.evaluation}
    return {
        "network": spec.architecture,
        "weights": shown_setting(report.model.weights),
        "classes": f"{spec.class_count:,}",
        "task": spec.task,
        "preprocessing": f"{spec.preprocessing.decoding}"
        f"{'squash' if spec.preprocessing.squash else 'resize'} "
        f"{size_text(spec.preprocessing.resize)}, crop {size_text(spec.preprocessing.crop)}",
        **{use: f"{own.source} ({own.images:,})" for use, own in sources.items() if own},
        **{key: shown_setting(value) for key, value in report.config.items()},
        "eightbit": report.eightbit_version,
    }


_FIRST: Final = ("network", "weights", "classes", "task", "preprocessing")


def _order(setting: str) -> tuple[int, str]:
    return (_FIRST.index(setting) if setting in _FIRST else len(_FIRST)), setting


def shown_setting(value: object) -> str:
    """A value of the config as a cell; a long one is cut, and "-" stands for none."""
    text = NOTHING if value is None else str(value)
    return text if len(text) <= _MAX_SETTING else f"{text[: _MAX_SETTING - 3]}..."


def _parity_row(name: str, report: Report) -> tuple[str, ...]:
    pairs = [result for pair, result in report.parity.items() if pair.endswith(TO_REFERENCE)]
    verified = NOTHING
    if report.verification is not None:
        verified = "passed" if report.verification.passed else "FAILED"
    if not pairs:
        return (name, verified, *(NOTHING for _ in range(4)))
    return (
        name,
        verified,
        str(len(pairs)),
        percent(min(pair.identical_fraction for pair in pairs)),
        percent(min(pair.within_one_lsb_fraction for pair in pairs)),
        str(max(pair.max_lsb for pair in pairs)),
    )


_NOT_EQUAL: Final = (
    "Intervals of two rows that overlap do not mean that the two are equal: rows on the same "
    "images share most of their chance."
)

Column = tuple[str, Callable[[ComparedArtifact], str]]


def accuracy_table(comparison: Comparison) -> Table:
    """The score, its drop, and the likeness to float of each artefact."""
    kept = _kept(comparison)
    return _of_artifacts(
        comparison,
        "Accuracy" if kept else "Likeness to float",
        (*((_FLOAT, *kept) if kept else ()), *_like_float(comparison)),
        note=f"{_meanings(comparison)} {_NOT_EQUAL}" if kept else _meanings(comparison),
    )


def speed_table(comparison: Comparison) -> Table:
    """How fast and how large each artefact is."""
    at = "" if comparison.conditions is None else f" ({comparison.conditions})"
    return _of_artifacts(
        comparison,
        f"Speed and size{at}",
        _SPEED,
        note="p50: median milliseconds per call, each artefact in its own runtime; speedup: over "
        "the float model in that runtime, with its 95 % interval.",
    )


def overview_table(comparison: Comparison) -> Table:
    """Everything about an artefact in one row, for a page that is wide or scrolls."""
    at = "" if comparison.conditions is None else f"; times at {comparison.conditions}"
    kept = _kept(comparison)
    columns = (*kept, *_SPEED, *_like_float(comparison), *((_FLOAT,) if kept else ()))
    identities = {name: _identity(report) for name, report in comparison.reports.items()}
    different = [
        key for key in _IDENTITY if len({identity[key] for identity in identities.values()}) > 1
    ]
    return Table(
        title=f"Every INT8 artefact{at}",
        columns=("bundle", "artefact", *different, *(name for name, _ in columns)),
        rows=tuple(
            (
                *(own.bundle, own.artifact),
                *(identities[own.bundle][key] for key in different),
                *(cell(own) for _, cell in columns),
            )
            for own in comparison.artifacts
        ),
        text_columns=2 + len(different),
        note="p50: median milliseconds per call, each artefact in its own runtime; speedup: over "
        "the float model in that runtime, with its 95 % interval; "
        f"{_meanings(comparison)} {_NOT_EQUAL}",
    )


def against_first_table(comparison: Comparison) -> Table | None:
    """Later reports against the first, each kind of artefact with its like; None without any."""
    first = next(iter(comparison.reports))
    rows = tuple(
        (
            *(own.bundle, own.artifact, _verdict(own.accuracy), _verdict(own.speed)),
            *(_lost(own), _relative_speed(own)),
        )
        for own in comparison.against_first
    )
    if not rows:
        return None
    paired = any(
        own.accuracy is not None and own.accuracy.paired for own in comparison.against_first
    )
    return Table(
        title=f"Against {first}",
        columns=("bundle", "artefact", "accuracy", "speed", "lost [95 %]", "relative speed [95 %]"),
        rows=rows,
        text_columns=4,
        note=f"lost: points of {comparison.metric or 'the score'} (without labels, of agreement) "
        "beyond what the first loses; relative speed: the speedup over that of the first; even: "
        "not told apart from no difference."
        + (
            " Where both reports list every flipped image, the images were compared one by one."
            if paired
            else ""
        ),
    )


def comparison_tables(comparison: Comparison) -> Iterator[Table]:
    """All of them, narrow enough for a terminal."""
    tables = (
        settings_table(comparison),
        accuracy_table(comparison),
        speed_table(comparison),
        against_first_table(comparison),
        parity_summary(comparison),
    )
    yield from (table for table in tables if table is not None and table.rows)


def _of_artifacts(
    comparison: Comparison, title: str, columns: Sequence[Column], *, note: str
) -> Table:
    return Table(
        title=title,
        columns=("bundle", "artefact", *(name for name, _ in columns)),
        rows=tuple(
            (own.bundle, own.artifact, *(cell(own) for _, cell in columns))
            for own in comparison.artifacts
        ),
        text_columns=2,
        note=note,
    )


def _score(own: ComparedArtifact) -> str:
    return percent(score_of(own.accuracy) if own.accuracy else None)


def _drop(own: ComparedArtifact) -> str:
    return interval(own.accuracy.drop_pp, own.accuracy.drop_ci95_pp) if own.accuracy else NOTHING


def _agreement(own: ComparedArtifact) -> str:
    if own.accuracy is not None:
        return percent(agreement_of(own.accuracy))
    return percent(own.fidelity.top1_agreement if own.fidelity else None)


def _r2(own: ComparedArtifact) -> str:
    return determination(own.fidelity.r2 if own.fidelity else None)


def _sqnr(own: ComparedArtifact) -> str:
    return decibels(own.fidelity.sqnr_db) if own.fidelity else NOTHING


def _p50(own: ComparedArtifact) -> str:
    return milliseconds(own.latency.p50_ms) if own.latency else NOTHING


def _size(own: ComparedArtifact) -> str:
    return decimal_bytes(own.size_bytes) if own.size_bytes is not None else NOTHING


_FLOAT: Final[Column] = ("float", lambda own: percent(own.fp32_score))


def _kept(comparison: Comparison) -> Sequence[Column]:
    """The score and its drop; nothing where all networks are regressions."""
    metric = comparison.metric
    return ((metric, _score), ("drop [95 %]", _drop)) if metric else ()


def _like_float(comparison: Comparison) -> Sequence[Column]:
    tasks = {report.model.spec.task for report in comparison.reports.values()}
    agree: Sequence[Column] = () if tasks == {Task.REGRESSION} else (("agree", _agreement),)
    r2: Sequence[Column] = (("R²", _r2),) if Task.REGRESSION in tasks else ()
    return (*agree, *r2, ("SQNR", _sqnr))


def _meanings(comparison: Comparison) -> str:
    tasks = {report.model.spec.task for report in comparison.reports.values()}
    told = []
    if comparison.metric:
        told.append(f"drop: of {comparison.metric} from float's, with its 95 % interval")
        told.append(
            "agree: same decisions as float"
            if Task.MULTI_LABEL in tasks
            else "agree: same class as float"
        )
    if Task.REGRESSION in tasks:
        told.append("R²: of float's variance over the images, the share that INT8 follows")
    return "; ".join(told) + "."


_SPEED: Final[Sequence[Column]] = (
    ("p50", _p50),
    ("speedup [95 %]", lambda own: times(own.speedup, own.speedup_ci95)),
    ("size", _size),
)


def _lost(own: AgainstFirst) -> str:
    return interval(own.accuracy.value, own.accuracy.interval) if own.accuracy else NOTHING


def _relative_speed(own: AgainstFirst) -> str:
    if own.speed is None:
        return NOTHING
    ends = None
    if own.speed.interval is not None:
        low, high = own.speed.interval
        ends = (1 - high, 1 - low)
    return times(1 - own.speed.value, ends)


def _verdict(loss: Loss | None) -> str:
    if loss is None or loss.interval is None:
        return NOTHING
    low, high = loss.interval
    return "worse" if low > 0 else "better" if high < 0 else "even"


_IDENTITY: Final = ("network", "method", "target", "rounding")


def _identity(report: Report) -> dict[str, str]:
    """The settings in which bundles usually differ."""
    settings = {key: shown_setting(report.config.get(key)) for key in _IDENTITY}
    return {**settings, "network": report.model.spec.architecture}
