"""The float network of a bundle, rebuilt in torch from its float ONNX model."""

from pathlib import Path

import torch
from onnx import numpy_helper

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata, read_metadata
from eightbit.benchmarks.artifact.untrusted_onnx import read_foreign
from eightbit.benchmarks.runtimes.feed import feed_of
from eightbit.models.errors import InputError
from eightbit.quantize.artifacts.pixel_input import with_input
from eightbit.quantize.artifacts.torchscript_worker import archive_bytes, scripted
from eightbit.quantize.network.network import Network, unweighted
from eightbit.quantize.network.operators import by_name
from eightbit.quantize.recipe.recipe import Recipe


def write_float_torchscript(float_onnx: Path, recipe: Recipe, path: Path) -> None:
    """Write the frozen float network, with input and weights of the ONNX model, to ``path``.

    Raises:
        InputError: The ONNX model is not one of this network.
    """
    network = read_float_network(float_onnx, recipe)
    taken = feed_of(read_metadata(float_onnx)).input
    metadata = ArtifactMetadata(precision=Precision.FP32, spec=recipe.spec, input=taken)
    script = scripted(with_input(by_name(network.module), metadata))
    path.write_bytes(archive_bytes(script, metadata.to_json()))


def read_float_network(float_onnx: Path, recipe: Recipe) -> Network:
    """The float network of a recipe, with the weights of the ONNX model.

    Raises:
        InputError: The ONNX model is not one of this network.
    """
    weights = {tensor.name: tensor for tensor in read_foreign(float_onnx).graph.initializer}
    network = Network(module=unweighted(recipe.spec, recipe.skeleton), spec=recipe.spec)
    with torch.no_grad():
        for name, parameter in network.parameters.items():
            stored = weights.get(name)
            if stored is None or tuple(stored.dims) != tuple(parameter.shape):
                raise InputError(
                    f"{float_onnx}: {name}: expected a weight of {recipe.spec.architecture}, "
                    "found none of its shape"
                )
            parameter.copy_(torch.tensor(numpy_helper.to_array(stored)))
    return network
