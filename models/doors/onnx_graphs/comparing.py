"""Asks ONNX Runtime what a file answers: a translation has to answer the same."""

from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import nn

from eightbit.models.doors.onnx_graphs.graphs import Graph
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import Size, height_and_width

_QUIET: Final = 4
_MOST_DIFFERENT: Final = 1e-3


def check_same(
    model: onnx.ModelProto, graph: Graph, module: nn.Module, size: Size, *, channels_last: bool
) -> None:
    """Compare a module with the file that it was made of, on random images.

    Args:
        model: The file; its output becomes that of the graph.
        graph: As far as the module computes it.
        module: Takes float32 (N, 3, H, W).
        size: In pixels.
        channels_last: Whether the file takes (N, H, W, 3).

    Raises:
        InputError: ONNX Runtime does not run it, or the answers differ.
    """
    batch = graph.shape[0] or 1
    generator = torch.Generator().manual_seed(0)
    # Another number at a time than the file takes.
    step = 2 if batch != 2 else 1
    shape = (max(batch, 2), 3, *height_and_width(size))
    images = torch.rand(shape, generator=generator) * 4 - 2
    with torch.inference_mode():
        found = torch.cat([module(part) for part in images.split(step)]).numpy()
    theirs = images.permute(0, 2, 3, 1) if channels_last else images
    session = _opened(model, graph)
    try:
        expected = np.concatenate(
            [
                session.run(None, {graph.input: part.contiguous().numpy()})[0]
                for part in theirs.split(batch)
            ]
        )
    except Exception as exc:  # ONNX Runtime's own types, and pybind's
        raise InputError(
            f"expected a graph that ONNX Runtime computes, found one where it says: {one_line(exc)}"
        ) from exc
    expected = expected.reshape(found.shape) if expected.size == found.size else expected
    if expected.shape != found.shape:
        raise InputError(
            f"expected answers of shape {expected.shape}, as ONNX Runtime gives, found "
            f"{found.shape}; is there a fixed number of images in a shape?"
        )
    error = float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-30))
    if not error <= _MOST_DIFFERENT:
        raise InputError(
            f"expected the answers of ONNX Runtime, found ones that differ by {error:.1e} of the "
            "largest; does it depend on the number of images, or on chance?"
        )


def _opened(model: onnx.ModelProto, graph: Graph) -> ort.InferenceSession:
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    asked.ClearField("training_info")
    # What the module leaves out is not computed there either, whatever it would take.
    made = {name for node in graph.nodes for name in node.outputs if name}
    kept = [node for node in asked.graph.node if made.intersection(node.output)]
    del asked.graph.node[:], asked.graph.output[:]
    asked.graph.node.extend(kept)
    asked.graph.output.append(
        onnx.helper.make_tensor_value_info(graph.output, onnx.TensorProto.FLOAT, None)
    )
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _QUIET
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(
            asked.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as exc:  # ONNX Runtime's own types, and protobuf's for more than 2 GiB
        raise InputError(
            f"expected a graph that ONNX Runtime opens, found one where it says: {one_line(exc)}"
        ) from exc
