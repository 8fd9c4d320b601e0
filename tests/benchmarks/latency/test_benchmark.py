"""Which float model counts as the baseline, and what a whole benchmark holds."""

from dataclasses import replace

import numpy as np
import pytest

from eightbit.benchmarks.artifact.formats import ONNX, OPENVINO, TORCHSCRIPT, Precision
from eightbit.benchmarks.latency.benchmark import benchmark, least_disturbed, with_baselines
from eightbit.benchmarks.latency.launches import (
    Candidate,
    Conditions,
    Effort,
    Launched,
    Measurement,
    OptionalCandidateError,
)
from eightbit.benchmarks.latency.limits import Library
from eightbit.benchmarks.latency.sections import MachineLimit
from eightbit.benchmarks.processes.calls import Steps

INT8, FP32 = Precision.INT8, Precision.FP32
TORCH, ONNX = TORCHSCRIPT.runtime, ONNX.runtime
EFFORT = Effort(launches=2, rounds=1, seconds=1.0, limits=2)


def candidate(label, runtime, precision):
    return Candidate(label=label, path=None, runtime=runtime, precision=precision)


CANDIDATES = [
    candidate("plain", TORCH, FP32),
    candidate("fused", TORCH, FP32),
    candidate("int8.pt", TORCH, INT8),
    candidate("fp32.onnx", ONNX, FP32),
    candidate("int8.onnx", ONNX, INT8),
]
CONDITIONS = Conditions(
    batch=np.zeros((2, 3, 4, 4), np.float32), threads=2, photos=(b"photo", b"photo")
)


@pytest.fixture
def measured(monkeypatch):
    """Puts synthetic seconds per call in place of a measurement; returns what was asked for."""

    def install(no_rates=None, **seconds):
        asked = []

        def measure(candidates, conditions, effort, **_):
            asked.append(([candidate.label for candidate in candidates], conditions, effort))
            for one in candidates:
                if isinstance(seconds[one.label], str):
                    raise OptionalCandidateError(one, seconds[one.label])
            return Measurement(
                by_candidate=tuple(
                    tuple(
                        Launched(
                            turns=((seconds[candidate.label],),),
                            load_s=1.0,
                            peak_rss_bytes=1,
                            walks=tuple(
                                Steps(0.001 * launch, 0.002, 0.003, 0.004)
                                for _ in conditions.photos
                                if candidate.precision is INT8
                            ),
                        )
                        for launch in range(1, 1 + effort.launches)
                    )
                    for candidate in candidates
                ),
                rates=({(Library.TORCH, INT8): 4e9, (Library.TORCH, FP32): 1e9},) * effort.limits,
                rounds=effort.rounds,
                busy=None,
                no_rates=no_rates,
            )

        monkeypatch.setattr("eightbit.benchmarks.latency.benchmark.measure", measure)
        return asked

    return install


def test_the_fastest_float_model_of_each_runtime_is_the_baseline(measured):
    asked = measured(plain=0.2, fused=0.1)
    chosen = with_baselines(CANDIDATES, CONDITIONS)
    assert [(one.label, one.is_baseline) for one in chosen] == [
        ("fused", True),
        ("int8.pt", False),
        ("fp32.onnx", True),
        ("int8.onnx", False),
    ]
    ((labels, conditions, _),) = asked  # a single one needs no measurement
    assert (labels, conditions.photos) == (["plain", "fused"], ())


def test_of_equally_fast_ones_it_is_the_first(measured):
    measured(plain=0.1, fused=0.1)
    assert with_baselines(CANDIDATES, CONDITIONS)[0].label == "plain"


def test_without_a_float_model_there_is_no_baseline(measured):
    measured()
    chosen = with_baselines([CANDIDATES[2]], CONDITIONS)
    assert [one.is_baseline for one in chosen] == [False]


def test_who_is_fastest_is_told_by_the_least_disturbed_turn():
    turns = ((0.3, 0.1, 0.3), (0.2, 0.2, 0.9))
    assert least_disturbed(Launched(turns=turns, load_s=1.0, peak_rss_bytes=1)) == 0.2


SECONDS = {"plain": 0.2, "fused": 0.1, "int8.pt": 0.05, "fp32.onnx": 0.08, "int8.onnx": 0.02}


def test_a_benchmark_says_everything(measured):
    measured(**SECONDS)
    found = benchmark(CANDIDATES, CONDITIONS, EFFORT, products_per_image=1_000_000, photos="JPEG")
    by_label = {entry.artifact: entry for entry in found.latency}
    assert by_label.keys() == {"fused", "int8.pt", "fp32.onnx", "int8.onnx"}
    assert by_label["int8.pt"].speedup == pytest.approx(2)
    assert by_label["int8.onnx"].speedup == pytest.approx(4)
    # Two images: 2 M products; at 4 G/s 0.5 ms of 20 ms, at 1 G/s 2 ms of 80 ms.
    assert by_label["int8.onnx"].limit_fraction == pytest.approx(0.025)
    assert by_label["fp32.onnx"].limit_fraction == pytest.approx(0.025)
    assert [limit.precision for limit in found.limits] == [FP32, INT8]
    assert found.rounds == 1


def test_the_whole_path_is_in_medians_over_photos_and_launches(measured):
    measured(**SECONDS)
    found = benchmark(CANDIDATES, CONDITIONS, EFFORT, products_per_image=1_000_000, photos="JPEG")
    assert [path.artifact for path in found.whole_path] == ["int8.pt", "int8.onnx"]
    path = found.whole_path[0]
    assert (path.photo, path.n, path.threads) == ("JPEG", 4, 2)
    steps = (path.decode_ms, path.resize_ms, path.normalise_ms, path.infer_ms, path.total_ms)
    assert steps == pytest.approx((1.5, 2, 3, 4, 10.5))


def test_known_limits_are_not_measured_again(measured):
    asked = measured(**SECONDS)
    known = MachineLimit(precision=INT8, threads=2, products_per_s=8e9, library="torch")
    found = benchmark(CANDIDATES, CONDITIONS, EFFORT, products_per_image=1_000_000, limits=(known,))
    assert asked[-1][2].limits == 0
    assert found.limits == (known,)
    by_label = {entry.artifact: entry for entry in found.latency}
    assert by_label["int8.onnx"].limit_fraction == pytest.approx(0.0125)
    assert by_label["fp32.onnx"].limit_fraction is None


def test_an_optional_candidate_that_fails_is_left_out_and_named(measured):
    measured(**{**SECONDS, "fused": "cannot be optimised", "int8.vino": "no such plugin"})
    candidates = [
        *(replace(one, optional=one.label == "fused") for one in CANDIDATES),
        replace(candidate("int8.vino", OPENVINO, INT8), optional=True),
    ]
    found = benchmark(candidates, CONDITIONS, EFFORT, products_per_image=1_000_000)
    assert [(entry.artifact, entry.is_baseline) for entry in found.latency] == [
        ("plain", True),
        ("int8.pt", False),
        ("fp32.onnx", True),
        ("int8.onnx", False),
    ]
    assert found.not_measured == {
        "fused in torchscript (batch 2, 2 threads)": "cannot be optimised",
        "int8.vino in openvino (batch 2, 2 threads)": "no such plugin",
    }


def test_a_limit_that_could_not_be_measured_is_named(measured):
    measured(no_rates="torch: was ended by SIGILL", **SECONDS)
    found = benchmark(CANDIDATES, CONDITIONS, EFFORT, products_per_image=1_000_000)
    assert found.not_measured == {"limit (2 threads)": "torch: was ended by SIGILL"}
