"""Latency of a bundle's models against float, in torch and in ONNX Runtime."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact import Precision, Runtime
from eightbit.benchmarks.latency import Candidate, LatencyResult, measure_latency
from eightbit.models.spec import ModelSpec
from eightbit.quantize import bundle
from eightbit.quantize.float_baseline import write_float_torchscript

_FLOAT_TORCHSCRIPT: Final = "float TorchScript"

_CANDIDATES: Final = (
    (bundle.TORCHSCRIPT, Runtime.TORCHSCRIPT, Precision.INT8),
    (bundle.FLOAT_ONNX, Runtime.ONNXRUNTIME, Precision.FP32),
    (bundle.ONNX, Runtime.ONNXRUNTIME, Precision.INT8),
)


def time_bundle(
    folder: Path,
    spec: ModelSpec,
    *,
    threads: Sequence[int],
    batches: Sequence[int] = (1,),
    on_progress: Callable[[int, int], None] | None = None,
) -> tuple[LatencyResult, ...]:
    """Measure every model of the bundle, interleaved, each in its own process.

    The float TorchScript model is made for the occasion, from the float ONNX one.

    Args:
        folder: The bundle.
        spec: Its network.
        threads: Thread counts to measure at.
        batches: Images per call to measure at.
        on_progress: Called with (turns done, turns in all) of each measurement.

    Raises:
        InputError: A model cannot be loaded on this machine.
    """
    side = spec.preprocessing.crop
    with tempfile.TemporaryDirectory() as temporary:
        float_path = Path(temporary) / "float.pt"
        write_float_torchscript(folder / bundle.FLOAT_ONNX, spec, float_path)
        candidates = [
            Candidate(
                label=_FLOAT_TORCHSCRIPT,
                path=float_path,
                runtime=Runtime.TORCHSCRIPT,
                precision=Precision.FP32,
            )
        ]
        candidates += [
            Candidate(label=name, path=folder / name, runtime=runtime, precision=precision)
            for name, runtime, precision in _CANDIDATES
            if (folder / name).exists()
        ]
        return tuple(
            result
            for count in threads
            for batch in batches
            for result in measure_latency(
                candidates,
                input_shape=(3, side, side),
                threads=count,
                batch=batch,
                on_progress=on_progress,
            )
        )
