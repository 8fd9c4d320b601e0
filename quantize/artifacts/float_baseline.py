"""The float network of a bundle, rebuilt in torch from its float ONNX model."""

from pathlib import Path

import torch
from onnx import numpy_helper

from eightbit.benchmarks.artifact.untrusted_onnx import read_foreign
from eightbit.models.errors import InputError
from eightbit.quantize.network.network import Network, unweighted
from eightbit.quantize.recipe.recipe import Recipe


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
