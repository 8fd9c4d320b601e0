"""An ONNX model in ONNX Runtime on the CPU."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from eightbit.benchmarks.artifact.formats import ONNX_METADATA_KEY
from eightbit.benchmarks.artifact.metadata import check_outputs, parse_metadata
from eightbit.benchmarks.artifact.onnx_file import check_onnx
from eightbit.benchmarks.artifact.refusals import onnxruntime_cause, onnxruntime_refusal
from eightbit.benchmarks.runtimes.feed import feed_of, fitted
from eightbit.benchmarks.runtimes.runner import AnyArray, FloatArray, check_logits
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable

_ERRORS_ONLY = 3
_TYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}


class OnnxRunner:
    """Runs an ONNX classifier; see `runner.Runner`.

    Args:
        path: The .onnx file: one input, which is float32 (N, 3, H, W) unless its metadata says
            otherwise, and the logits as first output.
        threads: Threads inside one operator; operators run one after the other.
        optimize: Whether ONNX Runtime may fuse the graph; without, every node runs as written.

    Raises:
        InputError: The file needs others, ONNX Runtime cannot load it, or it is no image
            classifier.
    """

    def __init__(self, path: Path, threads: int, *, optimize: bool = True) -> None:
        self._where = printable(str(path))
        check_onnx(path)
        try:
            self._session = ort.InferenceSession(
                str(path), _session_options(threads, optimize), providers=["CPUExecutionProvider"]
            )
            described = self._session.get_modelmeta().custom_metadata_map.get(ONNX_METADATA_KEY)
        except Exception as exc:  # ONNX Runtime's exceptions have no common base
            raise onnxruntime_refusal(exc, self._where, ort.__version__) from exc
        metadata = None if described is None else parse_metadata(described.encode(), self._where)
        self._classes = metadata.spec.num_classes if metadata else None
        self.feed = feed_of(metadata)
        inputs = self._session.get_inputs()
        dtype = self.feed.input.dtype
        if [entry.type for entry in inputs] != [_TYPES[dtype]]:
            raise InputError(
                f"{self._where}: expected a model with one {dtype} input, "
                f"found {[printable(f'{entry.name}: {entry.type}') for entry in inputs]}; "
                "export it again as an image classifier"
            )
        self.feed = fitted(self.feed, inputs[0].shape, self._where)
        self._input = inputs[0].name
        outputs = self._session.get_outputs()
        check_outputs(len(outputs), metadata, self._where)
        self._output = outputs[0].name

    def __call__(self, batch: AnyArray) -> FloatArray:
        """Runs the model on float32 (N, 3, H, W); returns float32 logits (N, classes)."""
        batch = self.feed(batch, where=self._where)
        try:
            logits = self._session.run([self._output], {self._input: batch})[0]
        except Exception as exc:  # as above; a model of fixed size ends here
            raise InputError(
                f"{self._where}: cannot run a batch of shape {batch.shape}: "
                f"{onnxruntime_cause(str(exc))}"
            ) from exc
        logits = np.asarray(logits)
        check_logits(logits, images=len(batch), where=self._where, classes=self._classes)
        return logits


def _session_options(threads: int, optimize: bool) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = (
        ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        if optimize
        else ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    )
    options.log_severity_level = _ERRORS_ONLY
    # Threads still spin for work inside a call, as they do by default; after it they sleep, so
    # that an idle model takes no core from the one that is being measured.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options
