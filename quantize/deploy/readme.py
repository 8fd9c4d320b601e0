"""The README of an archive: what the model is, and its measured figures."""

from collections.abc import Iterator, Sequence

from eightbit.benchmarks.accuracy.multi_label import CandidateMultiLabel, Judged
from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.benchmarks.artifact.model_input import PREPROCESSED
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import (
    decimal_bytes,
    determination,
    interval,
    milliseconds,
    outputs,
    percent,
    ratio,
    times,
)
from eightbit.benchmarks.report.pages.markdown import fill_markdown
from eightbit.benchmarks.report.plausibility import said
from eightbit.models.plain_text import counted
from eightbit.models.spec import Decode, Preprocessing
from eightbit.quantize import bundle

_NOT_MEASURED = "not measured"

_DECODED = (
    "a large JPEG decoded to the half, quarter or eighth of each side that is the least of at "
    "least twice what it is resized to; "
)


def bundle_readme(
    report: Report,
    metadata: ArtifactMetadata,
    *,
    last_bit: float,
    model_sha256: str,
    tried_with: Sequence[str],
) -> str:
    """Render the Markdown; equal arguments give equal text.

    Figures missing in `report` are given as not measured. `last_bit` is the scale of the logits,
    `model_sha256` the digest of the INT8 ONNX file described by `metadata`, `tried_with` the
    package versions that computed the self-test's logits.
    """
    spec = report.model.spec
    preprocessing = metadata.spec.preprocessing
    channels = zip(("red", "green", "blue"), preprocessing.mean, preprocessing.std, strict=True)
    return fill_markdown(
        "eightbit.quantize.deploy",
        "bundle_README.md.j2",
        report=report,
        outputs=outputs(spec),
        task=spec.task,
        version=report.eightbit_version,
        last_bit=last_bit,
        numbers=tuple(_numbers(report)),
        decoded=_DECODED if preprocessing.decode is Decode.SCALED else "",
        resized=_resized(preprocessing),
        height=preprocessing.crop_size[0],
        width=preprocessing.crop_size[1],
        pixels_in=metadata.input != PREPROCESSED,
        shape=f"shape {metadata.input.shape_text}",
        channels=tuple(channels),
        versions=", ".join(f"{name} {version}" for name, version in metadata.versions.items()),
        model_sha256=model_sha256,
        tried_with=", ".join(tried_with),
    )


def _resized(preprocessing: Preprocessing) -> str:
    """What an image is resized to, and how, in words."""
    resize, squash = preprocessing.resize, preprocessing.squash
    how = f"{preprocessing.interpolation}, antialiased"
    if isinstance(resize, int) and squash:
        return f"both sides resized to {resize} pixels ({how})"
    if isinstance(resize, int):
        return f"the shorter side resized to {resize} pixels ({how}; the longer one rounded down)"
    size = "{} x {} pixels (height x width)".format(*resize)
    if squash:
        return f"resized to {size} whatever the ratio ({how})"
    return f"resized by one ratio to just cover {size} ({how}; each side rounded to the nearest)"


def _numbers(report: Report) -> Iterator[tuple[str, str]]:
    yield from _accuracy(report)
    yield "latency", _latency(report)
    size = report.size_bytes.get(bundle.ONNX)
    if size is not None:
        factor = report.shrinkage(bundle.ONNX)
        smaller = "" if factor is None else f", {ratio(factor)} smaller than float"
        yield "size of the model", f"{decimal_bytes(size)}{smaller}"
    calibration = report.calibration
    if calibration is not None:
        images = counted(calibration.images, "image")
        yield "calibrated on", f"{images} of {calibration.source}"


def _accuracy(report: Report) -> Iterator[tuple[str, str]]:
    metric, source = report.model.spec.task.metric, _source(report)
    result = report.drops.get(ONNX.key)
    if not metric:
        yield from _distance(report)
    elif result is None:
        yield "accuracy", _NOT_MEASURED
    elif isinstance(result, CandidateMultiLabel):
        images = f"{counted(result.n, 'image')}{source}"
        before = report.multi_label.fp32.map if report.multi_label else None
        if result.map is not None:
            yield "mean average precision", _beside(percent(result.map), images, percent(before))
            yield _drop(result, metric)
        same = percent(1 - result.changed / result.decisions)
        yield "same decisions as float", f"{same} of {images}"
    else:
        images = f"{counted(result.n, 'image')}{source}"
        before = report.accuracy.fp32.top1 if report.accuracy else None
        if result.top1 is None:
            yield "same class as float", f"{percent(result.top1_agreement)} of {images}"
            return
        name = "accuracy" if metric == "accuracy" else f"{metric} accuracy"
        yield name, _beside(percent(result.top1), images, percent(before))
        if report.implausible is not None:
            yield "warning", f"the float model is not plausible: {said(report.implausible)}"
            return
        yield _drop(result, metric)


def _source(report: Report) -> str:
    return f" of {report.evaluation.source}" if report.evaluation else ""


def _beside(value: str, images: str, before: str) -> str:
    return f"{value} of {images}; float {before}"


def _drop(result: Judged, metric: str) -> tuple[str, str]:
    drop = interval(result.drop_pp, result.drop_ci95_pp)
    return f"drop of {metric} against float", f"{drop}, the 95 % interval in brackets"


def _distance(report: Report) -> Iterator[tuple[str, str]]:
    """How close the numbers of a regression are to the float model's."""
    close = report.fidelity.by_key.get(ONNX.key) if report.fidelity else None
    if close is None or close.mean_abs_error is None or close.max_abs_error is None:
        yield "distance from float", _NOT_MEASURED
        return
    yield (
        "distance from float",
        (
            f"{close.mean_abs_error:.3g} on average, {close.max_abs_error:.3g} at most over "
            f"{counted(close.n, 'image')}{_source(report)}; R² {determination(close.r2)}"
        ),
    )


def _latency(report: Report) -> str:
    """The first latency in ONNX Runtime, with its machine."""
    entry = report.int8_latency(ONNX.runtime)
    if entry is None:
        return _NOT_MEASURED
    faster = ""
    if entry.speedup is not None:
        faster = f"; {times(entry.speedup, entry.speedup_ci95)} as fast as float"
    return (
        f"{milliseconds(entry.p50_ms)} ms (p50) in ONNX Runtime, batch {entry.batch}, "
        f"{counted(entry.threads, 'thread')} on {report.latency_environment.cpu}{faster}"
    )
