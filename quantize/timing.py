"""Latency of a bundle's models against float, in torch, ONNX Runtime and OpenVINO."""

import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Final

from eightbit.benchmarks.artifact import Precision, Runtime
from eightbit.benchmarks.latency import Candidate, LatencyResult, measure_latency
from eightbit.benchmarks.openvino_runner import has_openvino
from eightbit.models.spec import ModelSpec
from eightbit.quantize import bundle
from eightbit.quantize.float_baseline import write_float_torchscript
from eightbit.quantize.stages import Stages, Watcher

_FLOAT_TORCHSCRIPT: Final = "float TorchScript"

_SHIPPED: Final = (
    (bundle.TORCHSCRIPT, Runtime.TORCHSCRIPT, Precision.INT8),
    (bundle.FLOAT_ONNX, Runtime.ONNXRUNTIME, Precision.FP32),
    (bundle.ONNX, Runtime.ONNXRUNTIME, Precision.INT8),
    (bundle.FLOAT_ONNX, Runtime.OPENVINO, Precision.FP32),
    (bundle.ONNX, Runtime.OPENVINO, Precision.INT8),
)


def time_bundle(
    folder: Path,
    spec: ModelSpec,
    stages: Stages,
    *,
    threads: Sequence[int],
    batches: Sequence[int] = (1,),
) -> tuple[LatencyResult, ...]:
    """Measure every model of the bundle, interleaved, each in its own process.

    In OpenVINO as well, where it is installed.
    The float TorchScript model is made for the occasion, from the float ONNX one.

    Args:
        folder: The bundle.
        spec: Its network.
        stages: Told of the progress.
        threads: Thread counts to measure at.
        batches: Images per call to measure at.

    Raises:
        InputError: A model cannot be loaded on this machine.
    """
    side = spec.preprocessing.crop
    results: list[LatencyResult] = []
    with tempfile.TemporaryDirectory() as temporary:
        float_path = Path(temporary) / "float.pt"
        with stages.stage("latency, float baseline"):
            write_float_torchscript(folder / bundle.FLOAT_ONNX, spec, float_path)
        for count, batch in product(threads, batches):
            where = f"latency, {count} thread{'s' * (count > 1)}, batch {batch}"
            with stages.stage(where) as watcher:
                results += measure_latency(
                    _candidates(folder, float_path),
                    input_shape=(3, side, side),
                    threads=count,
                    batch=batch,
                    on_progress=partial(_tell, watcher),
                )
    return tuple(results)


def _candidates(folder: Path, float_path: Path) -> list[Candidate]:
    float_candidate = Candidate(
        label=_FLOAT_TORCHSCRIPT,
        path=float_path,
        runtime=Runtime.TORCHSCRIPT,
        precision=Precision.FP32,
    )
    return [
        float_candidate,
        *(
            Candidate(label=name, path=folder / name, runtime=runtime, precision=precision)
            for name, runtime, precision in _SHIPPED
            if (folder / name).exists() and (runtime is not Runtime.OPENVINO or has_openvino())
        ),
    ]


def _tell(watcher: Watcher, done: int, total: int) -> None:
    if done == 1:
        watcher.expect(total)
    watcher.advance(1)
