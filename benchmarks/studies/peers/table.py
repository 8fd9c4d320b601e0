"""Results as Markdown: our default beside the best peer, then every row of every network."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from eightbit.benchmarks.accuracy.fidelity import FidelityResult
from eightbit.benchmarks.accuracy.paired import drop_interval_pp, share_interval
from eightbit.benchmarks.studies.peers.results import FailedRow, Result, Row, Setting, versions
from eightbit.benchmarks.studies.peers.runs import DEFAULT, METHODS, PLAIN, label_of

_COLUMNS: Final = (
    *("quantizer", "top-1", "drop (95 % interval)", "agreement (95 % interval)", "SQNR"),
    *("median image SQNR", "features SQNR", "features median", "mean KL", "seconds"),
    "peak memory",
)


def _sqnr(fidelity: FidelityResult) -> float:
    return math.inf if fidelity.sqnr_db is None else fidelity.sqnr_db


def _median(fidelity: FidelityResult) -> float:
    found = fidelity.median_image_sqnr_db
    return math.inf if found is None else found


def _of_features(measure: Callable[[FidelityResult], float]) -> Callable[[Row], float]:
    return lambda row: math.nan if row.features is None else measure(row.features)


def _agreement(row: Row) -> float:
    return 100 * row.agreeing.count("1") / len(row.agreeing)


@dataclass(frozen=True, kw_only=True)
class _Measure:
    """What rows are compared by; more is better, and NaN where there is no figure."""

    name: str
    value: Callable[[Row], float]
    unit: str = "dB"


_AGREEMENT: Final = _Measure(name="agreement", value=_agreement, unit="%")
_MEASURES: Final = (
    _Measure(name="median image SQNR", value=lambda row: _median(row.fidelity)),
    _Measure(name="SQNR", value=lambda row: _sqnr(row.fidelity)),
    _AGREEMENT,
    _Measure(name="features median", value=_of_features(_median)),
    _Measure(name="features SQNR", value=_of_features(_sqnr)),
)


def document(results: Sequence[Result]) -> Iterator[str]:
    """The lines behind the head: summaries, then a section for every setting."""
    settings: dict[Setting, list[Result]] = defaultdict(list)
    for result in results:
        settings[result.setting].append(result)
    rows = {
        setting: [result.row for result in found if isinstance(result.row, Row)]
        for setting, found in settings.items()
    }
    for title, chosen, compared in (
        ("Default beside the best peer", _peers, "best peer"),
        ("Default beside the best single method", _methods, "best of the methods"),
        ("Default beside minmax, nearest rounding, no bias correction", _plain, "plain"),
    ):
        beside = [c for setting, own in rows.items() if (c := _comparison(setting, own, chosen))]
        if beside:
            yield from _summary(title, compared, beside)
    for setting, found in settings.items():
        yield from section(setting, found)


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """Our default beside others, in one setting."""

    setting: Setting
    default: Row
    others: Sequence[Row]

    def best(self, measure: _Measure) -> Row | None:
        """The best of the others by a measure; None where one side has no figure."""
        seen = [row for row in self.others if not math.isnan(measure.value(row))]
        if not seen or math.isnan(measure.value(self.default)):
            return None
        return max(seen, key=measure.value)


def _comparison(
    setting: Setting, rows: Sequence[Row], chosen: Callable[[Sequence[Row]], Sequence[Row]]
) -> _Comparison | None:
    default = next((row for row in rows if row.label == label_of(DEFAULT)), None)
    others = chosen(rows)
    if default is None or not others:
        return None
    return _Comparison(setting=setting, default=default, others=others)


def _peers(rows: Sequence[Row]) -> Sequence[Row]:
    return [row for row in rows if not row.ours]


def _methods(rows: Sequence[Row]) -> Sequence[Row]:
    labels = {label_of(options) for options in METHODS}
    methods = [row for row in rows if row.label in labels]
    return methods if len(methods) > 1 else []  # the plain one alone is the next table's


def _plain(rows: Sequence[Row]) -> Sequence[Row]:
    return [row for row in rows if row.label == label_of(PLAIN)]


def _summary(title: str, compared: str, found: Sequence[_Comparison]) -> Iterator[str]:
    """A line for each setting; below, who was the best where that could be several."""
    heads = ("network", "px", "samples", "images", *(measure.name for measure in _MEASURES))
    yield from (f"## {title}", "", f"Each cell: default, {compared}, difference.", "")
    yield from (f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}")
    for one in found:
        setting = one.setting
        cells = [setting.network, f"{setting.side}", f"{setting.samples}"]
        cells += [f"{one.default.fidelity.n:,}", *(_cell(measure, one) for measure in _MEASURES)]
        yield f"| {' | '.join(cells)} |"
    yield ""
    several = [one for one in found if len(one.others) > 1]
    for one in several:
        named = [(m.name, best.label) for m in _MEASURES if (best := one.best(m)) is not None]
        who = "; ".join(f"{label} ({name})" for name, label in named)
        yield f"- {one.setting.network}, {one.setting.side} px: {who}."
    yield from [""] if several else []


def _cell(measure: _Measure, compared: _Comparison) -> str:
    best, own = compared.best(measure), compared.default
    if best is None:
        return "-"
    mine, theirs = measure.value(own), measure.value(best)
    # Two that are both identical to float differ by nothing, not by infinity minus infinity.
    difference = 0.0 if mine == theirs else mine - theirs
    if measure is not _AGREEMENT:
        return f"{mine:.2f}, {theirs:.2f}, **{difference:+.2f} {measure.unit}**"
    low, high = difference_interval_pp(own, best)
    return f"{mine:.2f}, {theirs:.2f}, **{difference:+.2f} pp** ({low:+.2f} to {high:+.2f})"


def difference_interval_pp(own: Row, other: Row) -> tuple[float, float]:
    """95 % interval of how much oftener one agrees with float than another, on the same images.

    In percentage points; see `drop_interval_pp`.
    """
    pairs = list(zip(own.agreeing, other.agreeing, strict=True))
    lost, won = pairs.count(("0", "1")), pairs.count(("1", "0"))
    low, high = drop_interval_pp(lost, won, len(pairs))
    return -high, -low


def section(setting: Setting, results: Sequence[Result]) -> Iterator[str]:
    """The Markdown lines of one setting: ours in the order measured, then the peers'."""
    title = f"{setting.network}, {setting.side} px, {setting.samples} calibration images"
    yield from (f"## {title}{', as written' if setting.as_written else ''}", "")
    found = sorted(results, key=lambda result: not result.row.ours)
    measured = [result.row for result in found if isinstance(result.row, Row)]
    if measured:
        yield from (f"float32: {_top1_of_float(measured[0])}", "")
    yield from (f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}")
    yield from (line(result.row) for result in found)
    yield from ("", f"Measured with {'; '.join(versions(found))}.", "")
    ours = versions(result for result in found if result.row.ours)
    if any(first != second for first, second in pairwise(ours)):
        yield from ("**Rows of ours are of several versions: measure them again.**", "")


def _top1_of_float(row: Row) -> str:
    images = f"{row.fidelity.n:,} images."
    if row.top1 is None or row.drop_pp is None:
        return images
    return f"top-1 {row.top1 + row.drop_pp / 100:.2%} on {images}"


def line(row: Row | FailedRow) -> str:
    """One line of the table; a failure says in words what happened."""
    if isinstance(row, FailedRow):
        empty = " - |" * (len(_COLUMNS) - 2)
        return f"| {row.label} | failed: {row.reason.replace('|', chr(92) + '|')} |{empty}"
    agreeing, images = row.agreeing.count("1"), len(row.agreeing)
    low, high = share_interval(agreeing, images)
    fidelity, features = row.fidelity, row.features
    cells = (
        *(row.label, "-" if row.top1 is None else f"{row.top1:.2%}", _drop(row)),
        f"{agreeing / images:.2%} ({low:.1%} to {high:.1%})",
        *(_decibels(fidelity.sqnr_db), _decibels(fidelity.median_image_sqnr_db)),
        *(_decibels(features.sqnr_db) if features else "-",),
        *(_decibels(features.median_image_sqnr_db) if features else "-",),
        *(f"{fidelity.mean_kl:.1e}", f"{row.seconds:.1f} s"),
        f"{row.peak_rss_bytes / 2**20:,.0f} MiB",
    )
    return f"| {' | '.join(cells)} |"


def _drop(row: Row) -> str:
    if row.drop_pp is None or row.drop_ci95_pp is None:
        return "-"
    low, high = row.drop_ci95_pp
    return f"{row.drop_pp:+.2f} pp ({low:+.2f} to {high:+.2f})"


def _decibels(ratio: float | None) -> str:
    return "identical" if ratio is None else f"{ratio:.2f} dB"
