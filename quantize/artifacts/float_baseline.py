"""The float network of a bundle, rebuilt in torch from its float ONNX model."""

from pathlib import Path

import torch
from onnx import numpy_helper
from torch import nn

from eightbit.benchmarks.artifact.artifact import ArtifactMetadata, Precision, read_metadata
from eightbit.benchmarks.runtimes.feed import feed_of
from eightbit.models.errors import InputError
from eightbit.models.spec import ModelSpec
from eightbit.quantize.artifacts.pixel_input import with_input
from eightbit.quantize.artifacts.torchscript_worker import archive_bytes, scripted
from eightbit.quantize.network.fusion import fused_skeleton, integer_layers
from eightbit.quantize.network.onnx_file import read_foreign


def write_float_torchscript(float_onnx: Path, spec: ModelSpec, path: Path) -> None:
    """Write the frozen float network, with the very weights of the ONNX model, to ``path``.

    It takes what the ONNX model takes, so that their times can be compared.

    Raises:
        InputError: The ONNX model is not one of this network.
    """
    fused = read_float_network(float_onnx, spec)
    taken = feed_of(read_metadata(float_onnx)).input
    metadata = ArtifactMetadata(precision=Precision.FP32, spec=spec, input=taken)
    script = scripted(with_input(fused, metadata))
    path.write_bytes(archive_bytes(script, metadata.to_json()))


def read_float_network(float_onnx: Path, spec: ModelSpec) -> nn.Module:
    """The fused float network with the very weights of the ONNX model.

    Raises:
        InputError: The ONNX model is not one of this network.
    """
    weights = {tensor.name: tensor for tensor in read_foreign(float_onnx).graph.initializer}
    fused = fused_skeleton(spec)
    with torch.no_grad():
        for name, layer in integer_layers(fused).items():
            for parameter in ("weight", "bias"):
                stored = weights.get(f"{name}.{parameter}")
                if stored is None or tuple(stored.dims) != tuple(getattr(layer, parameter).shape):
                    raise InputError(
                        f"{float_onnx}: {name}.{parameter}: expected a weight of "
                        f"{spec.architecture}, found none of its shape"
                    )
                getattr(layer, parameter).copy_(torch.tensor(numpy_helper.to_array(stored)))
    return fused
