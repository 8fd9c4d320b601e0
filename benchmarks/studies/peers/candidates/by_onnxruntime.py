"""ONNX Runtime's own static quantization, as one peer.

The settings are those that its documentation recommends for CPUs: QDQ format, uint8 activations,
int8 weights per channel, after `quant_pre_process`. Calibration runs image by image, as in its
examples: a batch would change nothing but the memory.

Entropy comes out equal to MinMax, and not by a mistake here: ONNX Runtime gives its search 128
bins for 128 levels, which leaves the full range as the only candidate, and `quantize_static` has
no option for either number. The row stands for what a user gets who asks for it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import onnxruntime as ort
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.studies.peers.candidates.job import Candidate, Job, calibration_batches
from eightbit.models.errors import InputError

_METHODS: Final = {
    Candidate.ORT_MINMAX: CalibrationMethod.MinMax,
    Candidate.ORT_PERCENTILE: CalibrationMethod.Percentile,
    Candidate.ORT_ENTROPY: CalibrationMethod.Entropy,
}


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration images one by one, decoded as they are asked for."""

    def __init__(self, job: Job, input_name: str) -> None:
        self._batches = calibration_batches(job, size=1)
        self._input_name = input_name

    def get_next(self) -> dict[str, FloatArray] | None:
        """The next image, as ONNX Runtime wants it; None after the last one."""
        batch = next(self._batches, None)
        return None if batch is None else {self._input_name: batch.pixels}


def load_onnxruntime(job: Job) -> Callable[[], Path]:
    """Find the float model; the result calibrates and writes the quantized one.

    Raises:
        InputError: There is no float model.
    """
    model = float_model(job)
    method = _METHODS[job.candidate]

    def quantize() -> Path:
        prepared, quantized = job.folder / "prepared.onnx", job.folder / "quantized.onnx"
        quant_pre_process(model, prepared)
        quantize_static(
            prepared,
            quantized,
            _Reader(job, input_name(model)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=method,
        )
        return quantized

    return quantize


def float_model(job: Job) -> Path:
    """The float ONNX model of a job.

    Raises:
        InputError: There is none.
    """
    if job.file is None or not job.file.is_file():
        raise InputError("no model.fp32.onnx to start from: eightbit quantize wrote none")
    return job.file


def input_name(model: Path) -> str:
    """Name of the only input of an ONNX model."""
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    return str(image.name)
