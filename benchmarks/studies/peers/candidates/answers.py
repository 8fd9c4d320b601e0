"""What a network answers: its logits, and the features that its classifier reads.

The features of an ONNX model are the tensor that its last matrix product takes, on the float side
of a dequantization. They are read from a second file, which ends there: a further output in the
middle of the whole network would keep ONNX Runtime from fusing what surrounds it, and so change
what is measured. What leads to them is the same in both files, and so are their integers.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import onnx
import onnxruntime as ort

from eightbit.benchmarks.artifact.formats import ONNX, format_of
from eightbit.benchmarks.runtimes.opening import open_runner
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.models.errors import InputError

Answers: TypeAlias = Callable[[FloatArray], tuple[FloatArray, FloatArray | None]]
"""From images, float32 (N, 3, H, W), to logits and features, float32 (N, ...)."""

_PRODUCTS: Final = frozenset({"Gemm", "MatMul"})


def open_answers(path: Path, threads: int, folder: Path, *, as_written: bool = False) -> Answers:
    """What a model file answers.

    Of a TorchScript file, in which everything is compiled into one, these are the logits alone.

    Args:
        path: ONNX or TorchScript.
        threads: Inside one operator.
        folder: For the second file.
        as_written: Whether the nodes of an ONNX model run one by one, between which everything is
            float: so no processor saturates a sum of products.

    Raises:
        InputError: The runtime cannot load it, or nothing in it is a classifier.
    """
    if format_of(path) is not ONNX:
        compiled = open_runner(path, threads)
        return lambda batch: (compiled(batch), None)
    runner = OnnxRunner(path, threads, optimize=not as_written)
    options = ort.SessionOptions()
    if as_written:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    features = ort.InferenceSession(
        write_features(path, folder / "features.onnx"), options, providers=["CPUExecutionProvider"]
    )
    (image,) = features.get_inputs()

    def answer(batch: FloatArray) -> tuple[FloatArray, FloatArray]:
        (read,) = features.run(None, {image.name: batch})
        return runner(batch), np.asarray(read)

    return answer


def write_features(path: Path, written: Path) -> Path:
    """Write an ONNX model that ends with what the classifier of another one reads.

    Raises:
        InputError: There is no matrix product in it.
    """
    model = onnx.load(path)
    products = [node for node in model.graph.node if node.op_type in _PRODUCTS]
    if not products:
        raise InputError(f"{path}: expected a classifier ({', '.join(sorted(_PRODUCTS))})")
    read = onnx.helper.make_tensor_value_info(products[-1].input[0], onnx.TensorProto.FLOAT, None)
    del model.graph.output[:]
    model.graph.output.append(read)
    onnx.save(model, written)
    return written
