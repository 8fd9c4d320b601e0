"""Small ONNX models, written as ONNX's own text."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper, parser

SIDE = 8

# From maps to logits, one for each channel.
TAIL = "pooled = GlobalAveragePool(h) y = Flatten(pooled)"

Weights = Mapping[str, npt.NDArray[np.generic]]


def written(
    body: str,
    weights: Weights | None = None,
    *,
    opset: int = 18,
    shape: str = f"N,3,{SIDE},{SIDE}",
    input_type: str = "float",
) -> onnx.ModelProto:
    """A model of images `x` whose result is `y`."""
    model = parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}]> '
        f"g ({input_type}[{shape}] x) => (float[N,C] y) {{ {body} }}"
    )
    for name, array in (weights or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    return model


def numbers(*shape: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Weights, the same every time."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def convolution(**more: npt.NDArray[np.generic]) -> dict[str, npt.NDArray[np.generic]]:
    """Weights `w` of a 3x3 convolution from three channels to four, and others."""
    return {"w": numbers(4, 3, 3, 3), **more}


def saved(model: onnx.ModelProto, folder: Path, name: str = "model.onnx") -> Path:
    """The file of a model."""
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path
