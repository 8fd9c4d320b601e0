"""The process that measures how fast one library multiplies matrices.

Usage: python -P -m eightbit.benchmarks.latency.limits_worker LIBRARY THREADS

Writes one line of JSON to standard output: products per second of the fastest size, by precision.
What the library cannot multiply on this machine is left out.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import partial
from typing import Final

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.processes.channel import claim_standard_streams

# Bound by arithmetic, and in caches: what a convolution could reach at best.
SIDES: Final = (512, 1024)

_CALLS: Final = 10
_SECONDS: Final = 0.25  # per product and size, one call at least


class Library(StrEnum):
    """What multiplies matrices; the value names it in the report."""

    TORCH = "torch"
    ONNXRUNTIME = "onnxruntime"


def main(library: Library, threads: int) -> None:
    """Measure every product and tell the rates."""
    _, outbox = claim_standard_streams()
    rates: dict[str, float] = {}
    for precision, side, call in _MAKERS[library](threads):
        found = side**3 / _median_seconds(call)
        rates[precision] = max(rates.get(precision, 0.0), found)
    outbox.write(json.dumps(rates).encode() + b"\n")
    outbox.flush()


def _median_seconds(call: Callable[[], object]) -> float:
    call()
    end = time.perf_counter() + _SECONDS
    seconds: list[float] = []
    while not seconds or (len(seconds) < _CALLS and time.perf_counter() < end):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _matrices(
    side: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Activations, weights, and real numbers for either."""
    rng = np.random.default_rng(0)
    return (
        rng.integers(0, 256, (side, side), dtype=np.uint8),
        rng.integers(-127, 128, (side, side), dtype=np.int8),
        rng.standard_normal((side, side), dtype=np.float32),
    )


def _in_torch(threads: int) -> Iterator[tuple[Precision, int, Callable[[], object]]]:
    import torch

    torch.set_num_threads(threads)
    for side in SIDES:
        bytes_, weights, real = (torch.from_numpy(array) for array in _matrices(side))
        yield Precision.FP32, side, partial(torch.mm, real, real)
        try:
            torch._int_mm(bytes_, weights)
        except RuntimeError:  # not on every processor
            continue
        yield Precision.INT8, side, partial(torch._int_mm, bytes_, weights)


def _in_onnxruntime(threads: int) -> Iterator[tuple[Precision, int, Callable[[], object]]]:
    from onnx import TensorProto

    integer, real_type = (TensorProto.UINT8, TensorProto.INT32), (TensorProto.FLOAT,) * 2
    for side in SIDES:
        bytes_, weights, real = _matrices(side)
        yield Precision.FP32, side, _onnx_call("MatMul", real_type, real, real, threads)
        yield (
            *(Precision.INT8, side),
            _onnx_call("MatMulInteger", integer, bytes_, weights, threads),
        )


def _onnx_call(
    operator: str,
    types: tuple[int, int],
    inputs: npt.NDArray[np.generic],
    weights: npt.NDArray[np.generic],
    threads: int,
) -> Callable[[], object]:
    """A product with constant weights, which ONNX Runtime arranges for its kernels beforehand."""
    import onnxruntime as ort
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["product"])],
        operator,
        [helper.make_tensor_value_info("a", types[0], inputs.shape)],
        [helper.make_tensor_value_info("product", types[1], [len(inputs), weights.shape[1]])],
        [numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"a": inputs})


_MAKERS: Final = {Library.TORCH: _in_torch, Library.ONNXRUNTIME: _in_onnxruntime}

if __name__ == "__main__":
    main(Library(sys.argv[1]), int(sys.argv[2]))
