"""What several reports were made with and where, and how their executions agree, as tables."""

from typing import Final

from eightbit.benchmarks.accuracy.parity import REFERENCE, pair_name
from eightbit.benchmarks.comparison.comparability import latency_environment
from eightbit.benchmarks.comparison.comparison import Comparison
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import NOTHING, Table, percent

# What a cell may hold of a value that a stranger chose.
_MAX_SETTING: Final = 60


def settings_table(comparison: Comparison) -> Table | None:
    """What the reports were made with, as far as it differs; None where nothing does."""
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
    found = {name: latency_environment(report) for name, report in comparison.reports.items()}
    if len({None if e is None else e.model_dump_json() for e in found.values()}) == 1:
        return None
    return Table(
        title="Environments",
        columns=("bundle", "CPU", "cores", "instruction sets", "Python", "packages"),
        rows=tuple(
            (name, *(NOTHING for _ in range(5)))
            if environment is None
            else (
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
    """What makes a report what it is; the first ones come first in the table."""
    spec = report.model.spec
    sources = {"calibration": report.calibration, "evaluation": report.evaluation}
    return {
        "network": spec.architecture,
        "weights": shown_setting(report.model.weights),
        "classes": f"{spec.num_classes:,}",
        "preprocessing": f"resize {spec.preprocessing.resize}, crop {spec.preprocessing.crop}",
        **{use: f"{own.source} ({own.images:,})" for use, own in sources.items() if own},
        **{key: shown_setting(value) for key, value in report.config.items()},
        "eightbit": report.eightbit_version,
    }


_FIRST: Final = ("network", "weights", "classes", "preprocessing")


def _order(setting: str) -> tuple[int, str]:
    return (_FIRST.index(setting) if setting in _FIRST else len(_FIRST)), setting


def shown_setting(value: object) -> str:
    """A value of the config as a cell; a long one is cut, and "-" stands for none."""
    text = NOTHING if value is None else str(value)
    return text if len(text) <= _MAX_SETTING else f"{text[: _MAX_SETTING - 3]}..."


def _parity_row(name: str, report: Report) -> tuple[str, ...]:
    suffix = pair_name("", REFERENCE)
    pairs = [result for pair, result in report.parity.items() if pair.endswith(suffix)]
    verified = NOTHING
    if report.verification is not None:
        verified = "passed" if report.verification.passed else "FAILED"
    if not pairs:
        return name, verified, NOTHING, NOTHING, NOTHING, NOTHING
    return (
        name,
        verified,
        str(len(pairs)),
        percent(min(pair.identical_fraction for pair in pairs)),
        percent(min(pair.within_one_lsb_fraction for pair in pairs)),
        str(max(pair.max_lsb for pair in pairs)),
    )
