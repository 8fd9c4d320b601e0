"""The report in one sentence."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor

from eightbit.benchmarks.accuracy.multi_label import CandidateMultiLabel, Judged
from eightbit.benchmarks.accuracy.tally import CandidateAccuracy
from eightbit.benchmarks.artifact.formats import Format, Runtime, preferred
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import (
    NOTHING,
    decibels,
    decimal_bytes,
    determination,
    interval,
    milliseconds,
    percent,
    ratio,
    times,
)
from eightbit.benchmarks.report.plausibility import PlausibilitySection, causes, said
from eightbit.benchmarks.report.verdict import verdict
from eightbit.models.plain_text import counted
from eightbit.models.spec import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A key figure."""

    label: str
    value: str
    detail: str = ""


def headline(report: Report) -> str:
    """Accuracy, speed and size of one INT8 artefact, ONNX first, after a failed verification."""
    # The first that was measured.
    format = next((format for format in preferred() if _facts(report, format)), None)
    facts = _facts(report, format) if format else []
    failed = report.verification is not None and not report.verification.passed
    warning = "VERIFICATION FAILED. " if failed else ""
    if report.implausible is not None:
        warning = f"FLOAT MODEL NOT PLAUSIBLE, {_against_float(report, report.implausible)}. "
    if report.coverage is not None and report.verification is None:
        warning = "NOT VERIFIED (no images were given). "
    if format is None:
        return f"{warning}Nothing was measured."
    return f"{warning}INT8 ({format.name}) {', '.join(facts)}."


def _against_float(report: Report, found: PlausibilitySection) -> str:
    """What speaks against the float model, and why that may be."""
    top1 = percent(report.accuracy.fp32.top1, 1) if report.accuracy else NOTHING
    return f"top-1 {top1}: {said(found)}; likely {causes(found)}"


def _facts(report: Report, format: Format) -> list[str]:
    facts = [_accuracy(report, format), _speed(report, format), _size(report, format)]
    return [fact for fact in facts if fact]


def _accuracy(report: Report, format: Format) -> str | None:
    if report.model.spec.task is Task.REGRESSION:
        return _likeness(report, format)
    result = report.drops.get(format.key)
    if result is None:
        return None
    if isinstance(result, CandidateMultiLabel):
        kept, of = result.map, report.multi_label.fp32.map if report.multi_label else None
        likeness = (
            f"decides like the float model in {percent(1 - result.changed / result.decisions)} of "
            f"{counted(result.decisions, 'decision')}"
        )
    else:
        kept, of = result.top1, report.accuracy.fp32.top1 if report.accuracy else None
        images = counted(result.n, "image")
        likeness = f"gives the float model's class to {percent(result.top1_agreement)} of {images}"
    told = None if report.implausible else result.drop_ci95_pp
    if kept is None or of is None or result.drop_pp is None or told is None:
        return likeness
    return (
        f"keeps {percent(kept, 1)} of {percent(of, 1)} {report.model.spec.task.metric} "
        f"(drop {interval(result.drop_pp, told)}, {verdict(result).phrase})"
    )


def _likeness(report: Report, format: Format) -> str | None:
    """How close the numbers of a regression are."""
    close = report.fidelity.by_key.get(format.key) if report.fidelity else None
    if close is None:
        return None
    follows = "" if close.r2 is None else f"R² {determination(close.r2)}, "
    return (
        f"gives the float model's numbers ({follows}SQNR {decibels(close.sqnr_db)} on "
        f"{counted(close.n, 'image')})"
    )


def _speed(report: Report, format: Format) -> str | None:
    entry = report.int8_latency(format.runtime)
    if entry is None or entry.speedup is None:
        return None
    return _faster(entry.speedup, entry.speedup_ci95)


def _faster(factor: float, ends: tuple[float, float] | None) -> str:
    """2.61 with [2.58, 2.66] as "2.6x faster [2.5, 2.7]": rounding makes no interval narrower."""
    if ends and ends[0] <= 1 <= ends[1]:
        return f"as fast as float{_around(ends)}"
    word = "faster"
    if factor < 1:
        factor, word = 1 / factor, "slower"
        ends = (1 / ends[1], 1 / ends[0]) if ends else None
    return f"{ratio(factor)} {word}{_around(ends)}"


def _around(ends: tuple[float, float] | None) -> str:
    return f" [{floor(10 * ends[0]) / 10:.1f}, {ceil(10 * ends[1]) / 10:.1f}]" if ends else ""


def _size(report: Report, format: Format) -> str | None:
    for name in report.size_bytes:
        factor = report.shrinkage(name) if name.endswith(format.ending()) else None
        if factor is not None:
            return f"{ratio(factor)} smaller" if factor >= 1 else f"{ratio(1 / factor)} bigger"
    return None


def key_figures(report: Report) -> tuple[str, tuple[Tile, ...]]:
    """The artefact that is looked at, ONNX where there is one, and its figures."""
    for format in preferred():
        tiles = tuple(_tiles(report, format))
        if tiles:
            return format.name, tiles
    return "", ()


def _tiles(report: Report, format: Format) -> Iterator[Tile]:
    result = report.drops.get(format.key)
    if isinstance(result, CandidateMultiLabel) and report.multi_label:
        yield from _multi_label_figures(result, report.multi_label.fp32.map)
    elif isinstance(result, CandidateAccuracy) and report.accuracy:
        name, plausible = report.model.spec.task.metric, report.implausible is None
        top1 = report.accuracy.fp32.top1
        yield from _accuracy_figures(result, top1, name, plausible=plausible)
    yield from _speed_figures(report, format.runtime)
    for name, size in report.size_bytes.items():
        if name.endswith(format.ending()):
            factor = report.shrinkage(name)
            smaller = "" if factor is None else f"{ratio(factor)} smaller than float"
            yield Tile(label="Size", value=decimal_bytes(size), detail=smaller)
            break
    fidelity = report.fidelity
    if fidelity is not None:
        close = fidelity.candidates.get(format.name)
        if close is not None:
            if close.r2 is not None and report.model.spec.task is Task.REGRESSION:
                yield Tile(
                    label="Likeness to float",
                    value=f"R² {determination(close.r2)}",
                    detail=f"over {counted(close.n, 'image')}",
                )
            yield Tile(
                label="Fidelity of the logits",
                value=decibels(close.median_image_sqnr_db),
                detail=f"median SQNR over {counted(close.n, 'image')}",
            )


def _accuracy_figures(
    result: CandidateAccuracy, float_top1: float | None, name: str, *, plausible: bool
) -> Iterator[Tile]:
    images, title = counted(result.n, "image"), name.capitalize()
    label = "Top-1 accuracy" if name == Task.SINGLE_LABEL.metric else title
    if float_top1 is not None and not plausible:
        yield Tile(
            label=label,
            value=percent(result.top1),
            detail=f"float {percent(float_top1)}, which is not plausible",
        )
        return
    if result.top1 is not None and float_top1 is not None and result.drop_pp is not None:
        yield Tile(
            label=label,
            value=percent(result.top1),
            detail=f"float {percent(float_top1)}",
        )
        yield _drop(f"{title} drop", result)
    else:
        yield Tile(
            label="Same class as float",
            value=percent(result.top1_agreement),
            detail=f"of {images}; labels are not known",
        )


def _multi_label_figures(result: CandidateMultiLabel, float_map: float | None) -> Iterator[Tile]:
    if result.map is not None and float_map is not None:
        yield Tile(label="mAP", value=percent(result.map), detail=f"float {percent(float_map)}")
        yield _drop("mAP drop", result)
    low, high = (percent(end, 3) for end in result.changed_ci95)
    yield Tile(
        label="Changed decisions",
        value=percent(result.changed / result.decisions, 3),
        detail=f"95 % interval {low} to {high}, {counted(result.n, 'image')}",
    )


def _drop(label: str, result: Judged) -> Tile:
    drop, _, around = interval(result.drop_pp, result.drop_ci95_pp).partition(" [")
    ends = f"95 % interval {around.rstrip(']').replace(', ', ' to ')}, " if around else ""
    return Tile(label=label, value=drop, detail=f"{ends}{counted(result.n, 'image')}")


def _speed_figures(report: Report, runtime: Runtime) -> Iterator[Tile]:
    entry = report.int8_latency(runtime)
    if entry is None:
        return
    under = f"batch {entry.batch}, {counted(entry.threads, 'thread')}"
    if entry.speedup is not None:
        yield Tile(
            label="Speedup over float",
            value=times(entry.speedup),
            detail="95 % interval {:.2f} to {:.2f}, ".format(*entry.speedup_ci95) + under
            if entry.speedup_ci95
            else under,
        )
    yield Tile(
        label="Latency",
        value=f"{milliseconds(entry.p50_ms)} ms",
        detail=f"median, {entry.runtime.name}, {under}",
    )
