"""What models cost that never were: times of calls, and the start of a bundle."""

from eightbit.benchmarks.artifact.artifact import Precision, Runtime
from eightbit.benchmarks.latency.machine import ColdStart
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.report.deployment import EdgeSection, SelfTestElsewhere


def made_up_latency() -> tuple[LatencyResult, ...]:
    entries = []
    for batch in (1, 8):
        for runtime, artifact, precision, p50_ms in (
            (Runtime.ONNXRUNTIME, "model.fp32.onnx", Precision.FP32, 31.0),
            (Runtime.ONNXRUNTIME, "model.int8.onnx", Precision.INT8, 10.0),
            (Runtime.TORCHSCRIPT, "float TorchScript, frozen", Precision.FP32, 42.0),
            (Runtime.TORCHSCRIPT, "model.int8.pt", Precision.INT8, 14.0),
        ):
            is_int8 = precision is Precision.INT8
            entries.append(
                LatencyResult(
                    runtime=runtime,
                    artifact=artifact,
                    precision=precision,
                    threads=2,
                    batch=batch,
                    n=100,
                    p50_ms=p50_ms * batch,
                    p90_ms=p50_ms * batch * 1.1,
                    p99_ms=p50_ms * batch * 1.5,
                    images_per_s=1000 / p50_ms,
                    launches=5,
                    load_s=1.1,
                    peak_rss_bytes=200_000_000,
                    is_baseline=not is_int8,
                    speedup=3.05 if is_int8 else None,
                    speedup_ci95=(2.94, 3.16) if is_int8 else None,
                    limit_fraction=0.61,
                )
            )
    return tuple(entries)


def made_up_edge() -> EdgeSection:
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
            SelfTestElsewhere(
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
