"""Models that answer every image alike, and say of themselves whatever a test wants."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from eightbit.models.torch_warnings import expected_deprecations

KEY = "eightbit"
SIDE = 4
LENGTH = SIDE * SIDE * 3


def described(classes: int = 3, **changes: Any) -> str:
    """Metadata of a float model; ``spec``, ``preprocessing`` and the rest can be changed."""
    preprocessing = {"resize": SIDE, "crop": SIDE, "mean": [0.0] * 3, "std": [1.0] * 3}
    preprocessing |= changes.pop("preprocessing", {})
    spec = {"num_classes": classes, "labels": None, "preprocessing": preprocessing}
    spec |= changes.pop("spec", {})
    taken = {"name": "float32", "dtype": "float32", "layout": "NCHW"}
    return json.dumps({"format_version": 1, "spec": spec, "input": taken, "engine": None} | changes)


def onnx_model(path: Path, logits: list[float], metadata: str | None = None) -> Path:
    """An ONNX model that takes (N, 3, 4, 4) and answers with the logits."""
    constants = {"none": [0.0], "logits": [logits]}
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["grey"], axes=[1, 2, 3], keepdims=0),
            helper.make_node("Unsqueeze", ["grey", "one"], ["column"]),
            helper.make_node("Mul", ["column", "none"], ["nothing"]),
            helper.make_node("Add", ["nothing", "logits"], ["answer"]),
        ],
        "synthetic",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", len(logits)])],
        [
            numpy_helper.from_array(np.array(values, dtype=np.float32), name)
            for name, values in constants.items()
        ]
        + [numpy_helper.from_array(np.array([1], dtype=np.int64), "one")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if metadata is not None:
        helper.set_model_props(model, {KEY: metadata})
    onnx.save(model, path)
    return path


class _Average(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))


class _Pair(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images, images


class _AsymmetricWeights(torch.nn.Module):
    """A classifier in integers whose weights have a zero point, which oneDNN alone refuses."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.ao.nn.quantized.Linear(3, 3)
        weight = torch.quantize_per_tensor(torch.eye(3), 0.1, 3, torch.qint8)
        self.linear.set_weight_bias(weight, None)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        colours = torch.quantize_per_tensor(images.mean((2, 3)), 0.1, 128, torch.quint8)
        return self.linear(colours).dequantize()


def model_that_onednn_refuses(path: Path, metadata: str) -> Path:
    """A TorchScript classifier that loads under any engine but oneDNN."""
    backend = torch.backends.quantized
    before = backend.engine
    backend.engine = "fbgemm"
    with expected_deprecations():
        module = torch.jit.script(_AsymmetricWeights().eval())
        torch.jit.save(module, str(path), _extra_files={"eightbit.json": metadata})
    backend.engine = before
    return path


def torchscript_model(path: Path, metadata: str | None, *, pair: bool = False) -> Path:
    """A TorchScript module that answers with the mean of each colour, or with no logits at all."""
    extra = {} if metadata is None else {"eightbit.json": metadata}
    with expected_deprecations():
        module = torch.jit.script(_Pair() if pair else _Average())
        torch.jit.save(module, str(path), _extra_files=extra)
    return path
