"""A LiteRT file in LiteRT's interpreter on the CPU."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from eightbit.benchmarks.artifact.formats import LITERT
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.artifact.refusals import last_line
from eightbit.benchmarks.runtimes.feed import feed_of
from eightbit.benchmarks.runtimes.runner import AnyArray, FloatArray, check_logits
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line, printable

_TO_LAST: Final = (0, 2, 3, 1)
# How the name of a weight ends that is ones, to take means.
MEAN_SUFFIX: Final = ".ones"


class LiteRtRunner:
    """Runs a LiteRT classifier; see `runner.Runner`.

    Args:
        path: The .tflite file: images as float32 (N, H, W, 3), or pixels where its metadata says
            so, in and logits as float32 out.
        threads: Threads for one call.
        optimize: Whether XNNPACK's kernels are taken, as by default, or LiteRT's own alone.

    Raises:
        InputError: LiteRT is not installed or cannot load the file, or it is no image classifier.
    """

    def __init__(self, path: Path, threads: int, *, optimize: bool = True) -> None:
        self._where = printable(str(path))
        metadata = read_metadata(path)
        self._classes = metadata.spec.num_classes if metadata else None
        self.feed = feed_of(metadata)
        self._interpreter = opened(path, threads, self._where, optimize=optimize)
        self._image, self._output = self._interface()
        self._shape: tuple[int, ...] = ()

    def __call__(self, batch: AnyArray) -> FloatArray:
        """Runs the model on float32 (N, 3, H, W); returns float32 logits (N, classes)."""
        batch = self.feed(batch, where=self._where)
        if self.feed.input.layout == "NCHW":
            batch = batch.transpose(_TO_LAST)
        try:
            if batch.shape != self._shape:
                self._interpreter.resize_tensor_input(self._image, batch.shape, strict=True)
                self._interpreter.allocate_tensors()
                self._shape = batch.shape
            self._interpreter.set_tensor(self._image, np.ascontiguousarray(batch))
            self._interpreter.invoke()
            logits: FloatArray = self._interpreter.get_tensor(self._output)
        except (ValueError, RuntimeError) as exc:
            raise InputError(
                f"{self._where}: cannot run a batch of shape {batch.shape}: "
                f"{one_line(last_line(exc), 200)}"
            ) from exc
        check_logits(logits, images=len(batch), where=self._where, classes=self._classes)
        return logits

    def _interface(self) -> tuple[int, int]:
        """Numbers of the tensors of images and logits."""
        images, outputs = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        types = [np.dtype(one["dtype"]).name for one in images]
        if types != [self.feed.input.dtype] or not outputs:
            raise InputError(
                f"{self._where}: expected a model with one {self.feed.input.dtype} input and an "
                f"output, found inputs {types} and {len(outputs)} outputs; export it again as an "
                "image classifier"
            )
        return int(images[0]["index"]), int(outputs[0]["index"])


def litert_operators(path: Path) -> list[str]:
    """The operators of a file in order, as "CONV_2D of integers" or "ADD of reals".

    A convolution of each channel with ones, which is how means over windows are written, is called
    MEAN_OF_WINDOWS.

    Raises:
        InputError: LiteRT is not installed or cannot load the file.
    """
    read_metadata(path)
    where = printable(str(path))
    interpreter = opened(path, 1, where, optimize=False)
    tensors = {one["index"]: one for one in interpreter.get_tensor_details()}
    found = []
    # LiteRT has no other way to ask.
    for operator in interpreter._get_ops_details():
        first, *others = (tensors[index] for index in operator["inputs"] if index in tensors)
        means = any(str(other["name"]).endswith(MEAN_SUFFIX) for other in others)
        name = "MEAN_OF_WINDOWS" if means else operator["op_name"]
        kind = "integers" if np.issubdtype(first["dtype"], np.integer) else "reals"
        found.append(f"{name} of {kind}")
    return found


def opened(path: Path, threads: int, where: str, *, optimize: bool) -> Any:
    """An interpreter of a file, with XNNPACK's kernels or without.

    Raises:
        InputError: LiteRT is not installed or cannot load the file.
    """
    litert = _imported(where)
    kinds = litert.OpResolverType
    kind = kinds.AUTO if optimize else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        interpreter = litert.Interpreter(
            model_path=str(path), num_threads=threads, experimental_op_resolver_type=kind
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as exc:
        raise InputError(
            f"{where}: LiteRT cannot load it: {one_line(last_line(exc), 200)}; quantize again"
        ) from exc
    return interpreter


def _imported(where: str) -> Any:
    """LiteRT's interpreter, or an InputError where it is not installed."""
    try:
        from ai_edge_litert import interpreter
    except ModuleNotFoundError as exc:
        raise InputError(f"{where}: {LITERT.runtimes[0].not_installed}") from exc
    return interpreter
