import numpy as np

from eightbit.benchmarks.accuracy.fidelity import FidelityMeter
from eightbit.benchmarks.artifact.formats import ONNX, Precision
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.studies.doors import SOURCES, Row, document


def timed(p50_ms: float) -> LatencyResult:
    return LatencyResult(
        runtime=ONNX.runtime,
        artifact="model",
        precision=Precision.INT8,
        threads=1,
        batch=1,
        n=100,
        p50_ms=p50_ms,
        p90_ms=p50_ms,
        p99_ms=p50_ms,
        images_per_s=1000 / p50_ms,
        launches=3,
        load_s=0.1,
        peak_rss_bytes=1,
    )


def row(source: str, difference: float, integers: float) -> Row:
    meter = FidelityMeter()
    meter.update(np.eye(4, dtype=np.float32), np.eye(4, dtype=np.float32))
    return Row(
        source=source,
        difference=difference,
        integers=integers,
        size_ratio=0.25,
        own=meter.result(),
        other=None,
        latencies=(timed(3.0), timed(1.5)),
    )


def test_the_page_counts_who_answers_alike_and_who_computes_in_integers() -> None:
    rows = [row("a", 1e-6, 1.0), row("b", 1e-3, 0.995), row("c", 1e-5, 0.9)]
    page = document(rows, "command")
    assert "3 networks: 2 answer in float like their source to 0.0001," in page
    assert "| `a` | 1.0e-06 | 100.0% | 25.0% | identical | 100.0 % | 2.00x |" in page
    assert "2 make 99 % of their multiplications in integers." in page


def test_no_network_is_measured_twice() -> None:
    assert len(set(SOURCES)) == len(SOURCES) >= 25
