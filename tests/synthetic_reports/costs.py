"""What models cost that never were: times of calls, and the start of a bundle."""

from eightbit.benchmarks.artifact.formats import ONNX, TORCHSCRIPT, Precision
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.latency.sections import (
    BenchmarkSection,
    ColdStart,
    MachineLimit,
    Serving,
    WholePath,
)
from eightbit.benchmarks.report.deployment import EdgeSection, SelfTestResult


def latencies(
    speedup: float,
    interval: tuple[float, float] | None = None,
    *,
    threads: int = 2,
    batch: int = 1,
    int8_ms: float = 10.0,
) -> tuple[LatencyResult, LatencyResult]:
    """The float ONNX model, and the INT8 one that is so many times as fast."""
    conditions = {"runtime": ONNX.runtime, "threads": threads, "batch": batch}
    return (
        _entry(int8_ms * speedup, artifact="model.fp32.onnx", is_baseline=True, **conditions),
        _entry(
            int8_ms,
            artifact="model.int8.onnx",
            speedup=speedup,
            speedup_ci95=interval,
            **conditions,
        ),
    )


def benchmarked() -> tuple[LatencyResult, ...]:
    """Two runtimes with their baselines in batches of 1 and of 8, as a benchmark leaves them."""
    return tuple(
        _entry(
            p50_ms * batch,
            runtime=runtime,
            artifact=artifact,
            threads=2,
            batch=batch,
            limit_fraction=0.61,
            **ratios,
        )
        for batch in (1, 8)
        for runtime, artifact, p50_ms, ratios in (
            (ONNX.runtime, "model.fp32.onnx", 31.0, {"is_baseline": True}),
            (ONNX.runtime, "model.int8.onnx", 10.0, _FASTER),
            (TORCHSCRIPT.runtime, "float TorchScript, frozen", 42.0, {"is_baseline": True}),
            (TORCHSCRIPT.runtime, "model.int8.pt", 14.0, _FASTER),
        )
    )


_FASTER = {"speedup": 3.05, "speedup_ci95": (2.94, 3.16)}


def _entry(p50_ms: float, *, artifact: str, batch: int, **others: object) -> LatencyResult:
    return LatencyResult(
        artifact=artifact,
        precision=Precision.INT8 if "int8" in artifact else Precision.FP32,
        batch=batch,
        n=100,
        p50_ms=p50_ms,
        p90_ms=p50_ms * 1.1,
        p99_ms=p50_ms * 1.5,
        images_per_s=1000 * batch / p50_ms,
        launches=5,
        load_s=1.1,
        peak_rss_bytes=200_000_000,
        **others,
    )


def benchmark() -> BenchmarkSection:
    """What the machine can do at most, and the whole path from photo to class."""
    return BenchmarkSection(
        products_per_image=1_814_000_000,
        limits=tuple(
            MachineLimit(precision=precision, threads=2, products_per_s=rate, library="onnxruntime")
            for precision, rate in ((Precision.FP32, 7e10), (Precision.INT8, 3e11))
        ),
        whole_path=tuple(
            WholePath(
                runtime=runtime,
                artifact=artifact,
                threads=2,
                photo="JPEG, 500 x 375 pixels",
                n=16,
                decode_ms=2.2,
                resize_ms=0.9,
                normalise_ms=0.4,
                infer_ms=infer_ms,
                total_ms=3.5 + infer_ms,
            )
            for runtime, artifact, infer_ms in (
                (ONNX.runtime, "model.int8.onnx", 9.9),
                (TORCHSCRIPT.runtime, "model.int8.pt", 14.2),
            )
        ),
        serving=tuple(
            Serving(
                runtime=ONNX.runtime,
                artifact="model.int8.onnx",
                sessions=sessions,
                threads=2 // sessions,
                batch=batch,
                images_per_s=100.0 * sessions * (1.5 if batch > 1 else 1.0),
                turns=3,
                peak_rss_bytes=120_000_000 * sessions,
            )
            for sessions in (1, 2)
            for batch in (1, 8, 32)
        ),
        launches=5,
        rounds=10,
        busy_fraction=0.01,
    )


def edge() -> EdgeSection:
    """A bundle that was made, and tried on another machine."""
    return EdgeSection(
        bundle_sha256="ef" * 32,
        bundle_bytes=12_600_000,
        cold_start=ColdStart(
            launches=5,
            seconds=0.46,
            bare_seconds=0.41,
            ratio=1.12,
            ratio_ci95=(1.08, 1.16),
            peak_rss_bytes=138_000_000,
            bare_peak_rss_bytes=126_000_000,
        ),
        elsewhere=(
            SelfTestResult(
                name="onnx_aarch64",
                machine="aarch64",
                processor="cortex-a72",
                versions={"numpy": "2.4.6", "onnxruntime": "1.31.1", "python": "3.11.2"},
                same_pixels=True,
                model_sha256="ab" * 32,
            ),
        ),
        command="eightbit bundle out --out model.zip",
    )
