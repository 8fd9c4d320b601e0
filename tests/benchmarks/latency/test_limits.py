import numpy as np
import pytest

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.latency import limits_worker
from eightbit.benchmarks.latency.limits import Library, machine_limits, measure_rates
from eightbit.benchmarks.processes.process import WorkerCrashError

INT8, FP32 = Precision.INT8, Precision.FP32
TORCH, ONNX = Library.TORCH, Library.ONNXRUNTIME


def test_every_library_multiplies_here():
    rates = measure_rates(threads=1)
    assert {library for library, _ in rates} == set(Library)
    assert {precision for _, precision in rates} == set(Precision)
    assert all(rate > 1e6 for rate in rates.values())


def test_the_library_with_the_highest_median_is_the_limit():
    launches = [
        {(TORCH, INT8): 9.0, (ONNX, INT8): 4.0, (TORCH, FP32): 1.0, (ONNX, FP32): 2.0},
        {(TORCH, INT8): 1.0, (ONNX, INT8): 5.0, (TORCH, FP32): 1.0, (ONNX, FP32): 2.0},
        {(TORCH, INT8): 2.0, (ONNX, INT8): 6.0, (TORCH, FP32): 1.0, (ONNX, FP32): 8.0},
    ]
    found = {limit.precision: limit for limit in machine_limits(launches, threads=2)}
    assert (found[INT8].products_per_s, found[INT8].library) == (5.0, "onnxruntime")
    assert (found[FP32].products_per_s, found[FP32].library) == (2.0, "onnxruntime")
    assert found[INT8].threads == 2


def test_what_no_library_multiplies_has_no_limit():
    (limit,) = machine_limits([{(TORCH, FP32): 1.0}], threads=1)
    assert limit.precision is FP32
    assert machine_limits([], threads=1) == ()


def test_both_libraries_multiply_what_they_say(monkeypatch):
    """The calls are products of the right numbers: checked against NumPy."""
    bytes_, weights, real = limits_worker._matrices(limits_worker.SIDES[0])
    weights //= 2  # x86 without VNNI adds pairs of products in 16 bits
    monkeypatch.setattr(limits_worker, "_matrices", lambda _: (bytes_, weights, real))
    monkeypatch.setattr(limits_worker, "SIDES", limits_worker.SIDES[:1])
    integers = bytes_.astype(np.float64) @ weights.astype(np.float64)  # exact below 2^53
    for library in Library:
        calls = {precision: call for precision, _, call in limits_worker._MAKERS[library](1)}
        product = np.asarray(calls[INT8]())
        np.testing.assert_array_equal(product.reshape(integers.shape), integers)
        np.testing.assert_allclose(
            np.asarray(calls[FP32]()).reshape(real.shape), real @ real, rtol=1e-2, atol=1e-2
        )


def test_a_worker_that_dies_says_why(monkeypatch):
    monkeypatch.setenv("PYTHONMALLOC", "nonesuch")  # Python itself refuses to start
    with pytest.raises(WorkerCrashError, match=r"(?s)torch.*exited with 1.*allocator"):
        measure_rates(threads=1)
