"""The few numbers that one wants to see first, of one artefact."""

from collections.abc import Iterator

from eightbit.benchmarks.accuracy.tally import CandidateAccuracy
from eightbit.benchmarks.artifact.artifact import Precision, Runtime
from eightbit.benchmarks.artifact.formats import DELIVERED, Delivered
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import (
    counted,
    decimal_bytes,
    interval,
    milliseconds,
    percent,
    ratio,
    times,
)
from eightbit.benchmarks.report.pages.page import Tile
from eightbit.benchmarks.report.tables.cost import speedup
from eightbit.benchmarks.report.tables.results import decibels, shrinkage


def key_figures(report: Report) -> tuple[str, tuple[Tile, ...]]:
    """The artefact that is looked at, ONNX where there is one, and its figures."""
    for format in DELIVERED:
        tiles = tuple(_tiles(report, format))
        if tiles:
            return format.name, tiles
    return "", ()


def _tiles(report: Report, format: Delivered) -> Iterator[Tile]:
    accuracy = report.accuracy
    if accuracy is not None:
        result = accuracy.candidates.get(format.name)
        if result is not None:
            yield from _accuracy(result, accuracy.fp32.top1)
    yield from _speed(report, format.runtime)
    for name, size in report.size_bytes.items():
        if name.endswith(format.suffix):
            factor = shrinkage(report, name)
            smaller = "" if factor is None else f"{ratio(factor)} smaller than float"
            yield Tile(label="Size", value=decimal_bytes(size), detail=smaller)
            break
    fidelity = report.fidelity
    if fidelity is not None:
        close = fidelity.candidates.get(format.name)
        if close is not None:
            yield Tile(
                label="Fidelity of the logits",
                value=decibels(close.median_image_sqnr_db),
                detail=f"median SQNR over {counted(close.n, 'image')}",
            )


def _accuracy(result: CandidateAccuracy, float_top1: float | None) -> Iterator[Tile]:
    images = counted(result.n, "image")
    if result.top1 is not None and float_top1 is not None and result.drop_pp is not None:
        yield Tile(
            label="Top-1 accuracy",
            value=percent(result.top1),
            detail=f"float {percent(float_top1)}",
        )
        drop, _, around = interval(result.drop_pp, result.drop_ci95_pp).partition(" [")
        ends = f"95 % interval {around.rstrip(']').replace(', ', ' to ')}, " if around else ""
        yield Tile(label="Top-1 drop", value=drop, detail=f"{ends}{images}")
    else:
        yield Tile(
            label="Same class as float",
            value=percent(result.top1_agreement),
            detail=f"of {images}; labels are not known",
        )


def _speed(report: Report, runtime: Runtime) -> Iterator[Tile]:
    for entry in report.latency:
        if entry.runtime is runtime and entry.precision is Precision.INT8:
            factor = speedup(entry, report.latency)
            under = f"batch {entry.batch}, {counted(entry.threads, 'thread')}"
            if factor is not None:
                yield Tile(
                    label="Speedup over float",
                    value=times(factor),
                    detail="95 % interval {:.2f} to {:.2f}, ".format(*entry.speedup_ci95) + under
                    if entry.speedup_ci95
                    else under,
                )
            yield Tile(
                label="Latency",
                value=f"{milliseconds(entry.p50_ms)} ms",
                detail=f"median, {entry.runtime.value}, {under}",
            )
            return
