"""An ONNX model in OpenVINO on the CPU."""

from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import numpy as np

from eightbit.benchmarks.artifact.formats import ONNX_METADATA_KEY, OPENVINO
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata, check_outputs, parse_metadata
from eightbit.benchmarks.artifact.onnx_file import check_onnx
from eightbit.benchmarks.artifact.refusals import openvino_cause, openvino_refusal
from eightbit.benchmarks.runtimes.feed import feed_of, fitted
from eightbit.benchmarks.runtimes.runner import AnyArray, FloatArray, check_logits
from eightbit.models.errors import InputError
from eightbit.models.plain_text import printable

# A model is compiled for each shape of its input; a whole pass over images has two.
_SHAPES_KEPT: Final = 4

_TYPES: Final = {"float32": "f32", "uint8": "u8"}


class OpenVinoRunner:
    """Runs an ONNX classifier; see `runner.Runner`.

    Args:
        path: The .onnx file: one input, which is float32 (N, 3, H, W) unless its metadata says
            otherwise, and the logits as first output.
        threads: Threads for one call, at least 1; calls run one after the other.
        optimize: Whether OpenVINO may transform what is quantized: it adds the shortcut to the sums
            of the convolution before those are rounded, which saves a rounding, and time.

    Raises:
        InputError: OpenVINO is not installed or cannot load the file, the file needs others, or it
            is no image classifier.
    """

    def __init__(self, path: Path, threads: int, *, optimize: bool = True) -> None:
        self._where = printable(str(path))
        openvino = _imported(self._where)
        check_onnx(path)
        self._settings = _settings(threads, optimize)
        try:
            self._core = openvino.Core()
            self._model = self._core.read_model(path)
        except Exception as exc:  # OpenVINO raises RuntimeError, and its frontends their own
            raise openvino_refusal(exc, self._where, _version(openvino)) from exc
        metadata = self._read_metadata()
        self._classes = metadata.spec.num_classes if metadata else None
        self.feed = feed_of(metadata)
        types = [entry.get_element_type().to_string() for entry in self._model.inputs]
        if types != [_TYPES[self.feed.input.dtype]]:
            raise InputError(
                f"{self._where}: expected a model with one {self.feed.input.dtype} input, "
                f"found {types}; export it again as an image classifier"
            )
        shape = self._model.inputs[0].get_partial_shape()
        check_outputs(len(self._model.outputs), metadata, self._where)
        sizes = [] if shape.rank.is_dynamic else [_size(axis) for axis in shape]
        self.feed = fitted(self.feed, sizes, self._where)
        self._requests: OrderedDict[tuple[int, ...], Any] = OrderedDict()

    def __call__(self, batch: AnyArray) -> FloatArray:
        """Runs the model on float32 (N, 3, H, W); returns float32 logits (N, classes)."""
        batch = self.feed(batch, where=self._where)
        try:
            request = self._request(batch.shape)
            request.infer([np.ascontiguousarray(batch)], share_inputs=True)
            # The next call writes over the request's own memory.
            logits = np.array(request.get_output_tensor(0).data)
        except Exception as exc:  # as above; a model of fixed size ends here
            cause = openvino_cause(str(exc))
            raise InputError(
                f"{self._where}: cannot run a batch of shape {batch.shape}: {cause}"
            ) from exc
        check_logits(logits, images=len(batch), where=self._where, classes=self._classes)
        return logits

    def _read_metadata(self) -> ArtifactMetadata | None:
        where = ["framework", ONNX_METADATA_KEY]
        if not self._model.has_rt_info(where):
            return None
        described = str(self._model.get_rt_info(where).value)
        return parse_metadata(described.encode(), self._where)

    def _request(self, shape: tuple[int, ...]) -> Any:
        """The model compiled for one shape: a tenth faster on small networks than for any."""
        if shape not in self._requests:
            fixed = self._model.clone()
            fixed.reshape(list(shape))
            compiled = self._core.compile_model(fixed, "CPU", self._settings)
            self._requests[shape] = compiled.create_infer_request()
            if len(self._requests) > _SHAPES_KEPT:
                self._requests.popitem(last=False)
        self._requests.move_to_end(shape)
        return self._requests[shape]


def _imported(where: str) -> Any:
    """OpenVINO, or an InputError where it is not installed, or broken."""
    try:
        import openvino
    except Exception as exc:  # built for another system, without a library: whatever it is
        if isinstance(exc, ModuleNotFoundError) and exc.name == "openvino":
            raise InputError(f"{where}: {OPENVINO.not_installed}") from exc
        raise InputError(
            f"{where}: OpenVINO cannot be imported: {openvino_cause(str(exc))}"
        ) from exc
    return openvino


def _settings(threads: int, optimize: bool) -> dict[str, str | int]:
    as_written: dict[str, str | int] = {} if optimize else {"LP_TRANSFORMS_MODE": "NO"}
    return {
        **as_written,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # A CPU that has bfloat16 instructions would else compute in it what is left in float.
        "INFERENCE_PRECISION_HINT": "f32",
    }


def _version(openvino: Any) -> str:
    """Without the number of its build."""
    return str(openvino.__version__).partition("-")[0]


def _size(axis: Any) -> int | None:
    """Of an axis of a graph's input; None where it is free."""
    return None if axis.is_dynamic else int(axis.get_length())
