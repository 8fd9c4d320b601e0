import numpy as np
import pytest

from eightbit.benchmarks import latency
from eightbit.benchmarks.artifact import Precision, Runtime
from eightbit.benchmarks.latency import Candidate, measure_latency
from eightbit.models.errors import InputError


class FakeRunner:
    """Stands for a process: logs its turns and takes the time that the test says."""

    def __init__(self, name, seconds, log):
        self.name, self.seconds, self.log = name, seconds, log

    def warm_up(self, batch, repeats):
        self.log.append((self.name, "warm-up", repeats))

    def time(self, batch, repeats):
        self.log.append((self.name, "time", repeats))
        return [self.seconds] * repeats


def _turns(seconds, *, rounds=10, budget=3.0):
    log = []
    fakes = [FakeRunner(name, value, log) for name, value in seconds.items()]
    samples = latency._take_turns(fakes, np.zeros((1, 3, 2, 2), np.float32), rounds, budget, None)
    return log[2 * len(fakes) :], samples


def test_candidates_take_turns_and_every_turn_begins_untimed():
    log, _ = _turns({"A": 0.1, "B": 0.1}, rounds=2)
    kinds = [(name, kind) for name, kind, _ in log]
    turn = [("A", "warm-up"), ("A", "time"), ("B", "warm-up"), ("B", "time")]
    assert kinds == turn * 2


def test_time_is_bounded_for_slow_and_for_fast_candidates():
    _, (slow, fast) = _turns({"slow": 0.1, "fast": 0.001})
    assert len(slow) == 20  # 10 turns of 0.3 s: one untimed call and two timed ones
    assert len(fast) == 400
    _, (very_slow,) = _turns({"very slow": 1.0})
    assert len(very_slow) == 2  # one turn of 3 s
    _, (endless,) = _turns({"endless": 100.0})
    assert len(endless) == 1


def test_percentiles_and_throughput_are_of_the_pooled_samples():
    candidate = Candidate(
        label="model.int8.onnx", path=None, runtime=Runtime.ONNXRUNTIME, precision=Precision.INT8
    )
    seconds = [value / 1000 for value in range(1, 102)]  # 1, 2, ... 101 ms
    result = latency._summarize(candidate, seconds, threads=2, batch=4)
    assert result.p50_ms == pytest.approx(51)
    assert result.p90_ms == pytest.approx(91)
    assert result.p99_ms == pytest.approx(100)
    assert result.n == 101
    assert result.images_per_s == pytest.approx(4 * 101 / 5.151)  # 1 + ... + 101 = 5151
    assert (result.artifact, result.threads, result.batch) == ("model.int8.onnx", 2, 4)


def test_real_candidates_are_measured_in_the_order_given(write_model, tmp_path):
    candidates = [
        Candidate(
            label=runtime.value,
            path=write_model(runtime, tmp_path),
            runtime=runtime,
            precision=Precision.FP32,
        )
        for runtime in Runtime
    ]
    progress = []
    results = measure_latency(
        candidates,
        input_shape=(3, 8, 8),
        threads=1,
        batch=2,
        rounds=2,
        seconds_per_candidate=0.2,
        on_progress=lambda done, total: progress.append((done, total)),
    )
    assert [result.artifact for result in results] == [runtime.value for runtime in Runtime]
    assert all(result.batch == 2 and result.threads == 1 for result in results)
    assert all(result.p50_ms <= result.p90_ms <= result.p99_ms for result in results)
    done, totals = zip(*progress, strict=True)
    assert done == tuple(range(1, totals[0] + 1))


def test_no_candidate_gives_no_result():
    assert measure_latency([], input_shape=(3, 8, 8), threads=1) == ()


def test_a_candidate_that_cannot_be_loaded_is_an_input_error(tmp_path):
    candidate = Candidate(
        label="none",
        path=tmp_path / "none.onnx",
        runtime=Runtime.ONNXRUNTIME,
        precision=Precision.FP32,
    )
    with pytest.raises(InputError, match=r"none\.onnx"):
        measure_latency([candidate], input_shape=(3, 8, 8), threads=1)
