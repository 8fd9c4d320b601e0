import pytest

from eightbit.benchmarks.artifact.formats import ONNX, OPENVINO, TORCHSCRIPT, Precision, runtimes
from eightbit.benchmarks.latency.launches import (
    Candidate,
    Conditions,
    Launched,
    Measurement,
    synthetic_batch,
)
from eightbit.benchmarks.latency.results import latency_results, measure_latency
from eightbit.models.errors import InputError

INT8, FP32 = Precision.INT8, Precision.FP32


def results(series, *, batch=1, busy=None, limits=None):
    """Results of synthetic turns by (label, runtime, precision, is_baseline)."""
    candidates = [
        Candidate(label=label, path=None, runtime=runtime, precision=kind, is_baseline=baseline)
        for label, runtime, kind, baseline in series
    ]
    conditions = Conditions(batch=synthetic_batch(batch, (3, 2, 2), 0), threads=2)
    measured = Measurement(
        by_candidate=tuple(
            tuple(
                Launched(turns=turns, load_s=number + 0.5, peak_rss_bytes=1000 * number + 1)
                for number, turns in enumerate(launches)
            )
            for launches in series.values()
        ),
        rates=(),
        rounds=1,
        busy=busy,
    )
    return latency_results(candidates, conditions, measured, seconds_at_limit=limits)


ONNX_INT8 = ("model.int8.onnx", ONNX.runtime, INT8, False)
ONNX_FLOAT = ("model.fp32.onnx", ONNX.runtime, FP32, True)


def test_percentiles_and_throughput_are_of_the_calls_of_all_launches():
    calls = tuple(value / 1000 for value in range(1, 102))  # 1, 2, ... 101 ms
    launches = [(calls[:40], calls[40:60]), (calls[60:],), ((),)]
    (result,) = results({ONNX_INT8: launches}, batch=4)
    assert result.p50_ms == pytest.approx(51)
    assert result.p90_ms == pytest.approx(91)
    assert result.p99_ms == pytest.approx(100)
    assert (result.n, result.launches) == (101, 3)
    assert result.images_per_s == pytest.approx(4 * 101 / 5.151)  # 1 + ... + 101 = 5151
    assert (result.artifact, result.threads, result.batch) == ("model.int8.onnx", 2, 4)
    assert result.load_s == 1.5  # the median of 0.5, 1.5 and 2.5
    assert result.peak_rss_bytes == 2001


def test_int8_is_compared_with_the_baseline_of_its_runtime():
    def once(seconds):
        return [((seconds,),)] * 3

    found = results(
        {
            ONNX_FLOAT: once(0.30),
            ONNX_INT8: once(0.10),
            ("model.fp32.onnx", OPENVINO, FP32, True): once(0.28),
            ("model.int8.onnx", OPENVINO, INT8, False): once(0.07),
            ("model.int8.pt", TORCHSCRIPT.runtime, INT8, False): once(0.20),
        },
        busy=0.5,
    )
    assert [result.speedup for result in found] == [
        None,
        pytest.approx(3),
        None,
        pytest.approx(4),
        None,
    ]
    assert [result.is_baseline for result in found] == [True, False, True, False, False]
    assert found[1].speedup_ci95 == pytest.approx((2.0, 4.5))  # half was taken by others
    assert found[4].speedup_ci95 is None


def test_the_limit_is_that_of_the_precision():
    series = {ONNX_FLOAT: [((0.30,),)], ONNX_INT8: [((0.10,),)]}
    real, integer = results(series, limits={FP32: 0.15, INT8: 0.02})
    assert real.limit_fraction == pytest.approx(0.5)
    assert integer.limit_fraction == pytest.approx(0.2)
    assert results(series)[0].limit_fraction is None


@pytest.fixture(scope="module")
def real_candidates(write_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return [
        Candidate(
            label=runtime.name,
            path=write_model(runtime, folder),
            runtime=runtime,
            precision=Precision.FP32,
        )
        for runtime in runtimes().values()
        if runtime.is_installed
    ]


def test_real_candidates_are_measured_in_the_order_given(real_candidates):
    progress = []
    found = measure_latency(
        real_candidates,
        input_shape=(3, 8, 8),
        threads=1,
        batch=2,
        rounds=2,
        seconds_per_candidate=0.2,
        launches=2,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    there = [name for name, runtime in runtimes().items() if runtime.is_installed]
    assert [result.artifact for result in found] == there
    assert all(result.batch == 2 and result.threads == 1 for result in found)
    assert all(result.launches == 2 for result in found)
    assert all(result.p50_ms <= result.p90_ms <= result.p99_ms for result in found)
    assert all(result.load_s > 0 and result.peak_rss_bytes > 2**20 for result in found)
    done, totals = zip(*progress, strict=True)
    assert done == tuple(range(1, totals[0] + 1))


def test_no_candidate_gives_no_result():
    assert measure_latency([], input_shape=(3, 8, 8), threads=1) == ()


def test_a_candidate_that_cannot_be_loaded_is_an_input_error(tmp_path):
    candidate = Candidate(
        label="none",
        path=tmp_path / "none.onnx",
        runtime=ONNX.runtime,
        precision=Precision.FP32,
    )
    with pytest.raises(InputError, match=r"none\.onnx"):
        measure_latency([candidate], input_shape=(3, 8, 8), threads=1)
