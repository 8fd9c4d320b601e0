"""Intel's Neural Network Compression Framework, as one peer.

Its ONNX backend is used: it takes the same float model as ONNX Runtime's quantizer, and gives a
file whose integers ONNX Runtime executes. Its torch backend gives a network that only simulates
integers, and compiles a C++ extension on first use. NNCF 3.4 installs beside this project's pinned
versions.

Two rows. The default settings: performance preset, which makes activations with a sign symmetric;
ranges from the mean over the images of each image's extremes, which clip what is larger; fast bias
correction. And what a user would try next: the mixed preset with plain minima and maxima.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx

from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.studies.peers.candidates.by_onnxruntime import float_model, input_name
from eightbit.benchmarks.studies.peers.candidates.job import Candidate, Job, calibration_batches
from eightbit.models.errors import InputError


def load_nncf(job: Job) -> Callable[[], Path]:
    """Load the float model; the result calibrates and writes the quantized one.

    Raises:
        InputError: NNCF is not installed, or there is no float model.
    """
    try:
        nncf = import_module("nncf")
    except ModuleNotFoundError as exc:
        raise InputError(f"{exc}; pip install 'eightbit[peers]'") from exc
    path = float_model(job)
    model = onnx.load(path)
    name = input_name(path)

    def feed(pixels: FloatArray) -> dict[str, FloatArray]:
        return {name: pixels}

    def quantize() -> Path:
        # NNCF goes over its data several times: they are decoded once.
        images = [batch.pixels for batch in calibration_batches(job, size=1)]
        quantized = nncf.quantize(
            model, nncf.Dataset(images, feed), subset_size=len(images), **_settings(job.candidate)
        )
        written = job.folder / "quantized.onnx"
        onnx.save(quantized, written)
        return written

    return quantize


def _settings(candidate: Candidate) -> dict[str, Any]:
    """What is not left to NNCF's defaults."""
    if candidate is Candidate.NNCF:
        return {}
    nncf = import_module("nncf")
    ranges = import_module("nncf.quantization.range_estimator").RangeEstimatorParametersSet.MINMAX
    advanced = nncf.AdvancedQuantizationParameters(activations_range_estimator_params=ranges)
    return {"preset": nncf.QuantizationPreset.MIXED, "advanced_parameters": advanced}
