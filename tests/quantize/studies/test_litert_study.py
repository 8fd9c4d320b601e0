import numpy as np

from eightbit.benchmarks.artifact.formats import LITERT, Precision
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.quantize.studies.litert import Row, compared, document


def timed(p50_ms: float) -> LatencyResult:
    return LatencyResult(
        runtime=LITERT.runtime,
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


def test_differences_are_in_last_bits() -> None:
    expected = np.array([[0, 1], [1, 0], [0, 2]], np.float32)
    found = np.array([[0, 1.5], [1, 1.25], [0, 2]], np.float32)
    answers = compared(found, expected, 0.5)
    assert (answers.largest, answers.classes) == (2.5, 2 / 3)
    assert answers.within == 5 / 6


def test_the_page_has_a_row_for_each_network() -> None:
    answers = compared(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), 1.0)
    row = Row(
        name="`tiny`, 8 px",
        size=26,
        float_size=100,
        xnnpack=answers,
        plain=answers,
        latencies=(timed(6.0), timed(3.0), timed(2.0)),
    )
    page = document([row], "LiteRT 2.3.0").splitlines()
    same = "100.00% | 0 | 100.0%"
    assert f"| `tiny`, 8 px | 26.0% | {same} | {same} | 3.00x, 2.00x |" in page
