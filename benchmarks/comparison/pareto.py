"""Accuracy against latency: which artefacts no other one beats at both."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from eightbit.benchmarks.comparison.comparison import ComparedArtifact, Comparison, at_conditions
from eightbit.benchmarks.comparison.differences import drop_with_interval, score_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One model in the picture.

    Attributes:
        p50_ms: Median milliseconds per call.
        p50_ci95_ms: The interval of its speedup, at the float model's median time.
        accuracy: Percentage of right answers, mAP, or of agreement with float.
        accuracy_ci95: The interval of its drop, below the float model's accuracy.
        on_front: Whether no other model is as fast and more accurate, or as accurate and faster.
    """

    bundle: str
    artifact: str
    p50_ms: float
    p50_ci95_ms: tuple[float, float] | None
    accuracy: float
    accuracy_ci95: tuple[float, float] | None
    is_float: bool
    on_front: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """All points, and what their accuracy is: `metric`, or without labels agreement with float."""

    points: tuple[Point, ...]
    labelled: bool
    metric: str


def pareto_picture(comparison: Comparison) -> Picture:
    """Every model whose accuracy and latency are known; top-1 where all evaluations have it."""
    evaluated = [own.accuracy for own in comparison.artifacts if own.accuracy is not None]
    labelled = bool(evaluated) and all(score_of(accuracy) is not None for accuracy in evaluated)
    points = [
        point
        for own in comparison.artifacts
        if (point := _int8_point(own, labelled=labelled)) is not None
    ]
    # Without an INT8 artefact to compare with, a float model says nothing.
    bundles = {point.bundle for point in points}
    floats = [
        point for point in _float_points(comparison, labelled=labelled) if point.bundle in bundles
    ]
    return Picture(
        points=_with_front([*points, *floats]), labelled=labelled, metric=comparison.metric
    )


def _int8_point(own: ComparedArtifact, *, labelled: bool) -> Point | None:
    reference = own.fp32_score if labelled else 1.0
    if own.accuracy is None or own.latency is None or reference is None:
        return None
    drop, (least, most) = drop_with_interval(own.accuracy, labelled=labelled)
    around = None
    if own.speedup is not None and own.speedup_ci95 is not None:
        low, high = own.speedup_ci95
        scale = own.latency.p50_ms * own.speedup
        around = (scale / high, scale / low)
    return Point(
        bundle=own.bundle,
        artifact=own.artifact,
        p50_ms=own.latency.p50_ms,
        p50_ci95_ms=around,
        accuracy=100 * reference - drop,
        accuracy_ci95=(100 * reference - most, min(100 * reference - least, 100.0)),
        is_float=False,
    )


def _float_points(comparison: Comparison, *, labelled: bool) -> Iterator[Point]:
    """The float model of each INT8 artefact's own runtime, as every report measured it."""
    for own in comparison.artifacts:
        score = own.fp32_score if labelled else 1.0
        for entry in at_conditions(comparison.reports[own.bundle], comparison.conditions):
            if score is not None and entry.is_baseline and entry.runtime is own.runtime:
                yield Point(
                    bundle=own.bundle,
                    artifact=f"float {own.artifact}",
                    p50_ms=entry.p50_ms,
                    p50_ci95_ms=None,
                    accuracy=100 * score,
                    accuracy_ci95=None,
                    is_float=True,
                )


def _with_front(points: Sequence[Point]) -> tuple[Point, ...]:
    return tuple(
        replace(point, on_front=not any(_beats(other, point) for other in points))
        for point in points
    )


def _beats(one: Point, other: Point) -> bool:
    no_worse = one.p50_ms <= other.p50_ms and one.accuracy >= other.accuracy
    return no_worse and (one.p50_ms, one.accuracy) != (other.p50_ms, other.accuracy)
