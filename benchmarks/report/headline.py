"""The report in one sentence."""

from math import ceil, floor

from eightbit.benchmarks.artifact.artifact import Precision
from eightbit.benchmarks.artifact.formats import DELIVERED, Delivered
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import counted, interval, percent, ratio
from eightbit.benchmarks.report.tables.cost import speedup
from eightbit.benchmarks.report.tables.results import shrinkage
from eightbit.benchmarks.report.verdict import verdict


def headline(report: Report) -> str:
    """Accuracy kept, speed and size of one INT8 artefact; ONNX where there is one.

    All parts are about the same artefact. A failed verification comes first.
    """
    # The first that was measured.
    format = next((format for format in DELIVERED if _facts(report, format)), None)
    facts = _facts(report, format) if format else []
    failed = report.verification is not None and not report.verification.passed
    warning = "VERIFICATION FAILED. " if failed else ""
    if report.coverage is not None and report.verification is None:
        warning = "NOT VERIFIED (no images were given). "
    if format is None:
        return f"{warning}Nothing was measured."
    return f"{warning}INT8 ({format.name}) {', '.join(facts)}."


def _facts(report: Report, format: Delivered) -> list[str]:
    facts = [_accuracy(report, format), _speed(report, format), _size(report, format)]
    return [fact for fact in facts if fact]


def _accuracy(report: Report, format: Delivered) -> str | None:
    if report.accuracy is None:
        return None
    result = report.accuracy.candidates.get(format.name)
    if result is None:
        return None
    if result.top1 is None or result.drop_pp is None or result.drop_ci95_pp is None:
        images = counted(result.n, "image")
        return f"gives the float model's class to {percent(result.top1_agreement)} of {images}"
    return (
        f"keeps {percent(result.top1, 1)} of {percent(report.accuracy.fp32.top1, 1)} top-1 "
        f"(drop {interval(result.drop_pp, result.drop_ci95_pp)}, {verdict(result).phrase})"
    )


def _speed(report: Report, format: Delivered) -> str | None:
    for result in report.latency:
        if result.runtime is format.runtime and result.precision is Precision.INT8:
            factor = speedup(result, report.latency)
            if factor is not None:
                return _faster(factor, result.speedup_ci95)
    return None


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


def _size(report: Report, format: Delivered) -> str | None:
    for name in report.size_bytes:
        factor = shrinkage(report, name) if name.endswith(format.suffix) else None
        if factor is not None:
            return f"{ratio(factor)} smaller" if factor >= 1 else f"{ratio(1 / factor)} bigger"
    return None
