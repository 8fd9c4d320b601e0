"""The quantized network as a LiteRT file."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from torch import fx

from eightbit.benchmarks.artifact.formats import Precision
from eightbit.benchmarks.artifact.metadata import ArtifactMetadata
from eightbit.models.errors import InputError
from eightbit.models.images.preprocessing import PIXEL_MAX, channel_statistics
from eightbit.models.spec import ModelSpec
from eightbit.models.torch_state import own_state
from eightbit.quantize.litert.call import Call
from eightbit.quantize.litert.emitter import Emitter
from eightbit.quantize.litert.functions import write_function
from eightbit.quantize.litert.graph import Operator, Shape, Tensor
from eightbit.quantize.litert.layers import write_module
from eightbit.quantize.network.graph import inputs_of
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.quantized import Quantized

INPUT_NAME: Final = "input"
OUTPUT_NAME: Final = "output"


@own_state()
def refuse_litert(network: Network, spec: ModelSpec) -> None:
    """Refuse a network with an operator that LiteRT lacks, before any work is done.

    Raises:
        InputError: It has one.
    """
    _written(network, Emitter(None), ArtifactMetadata(precision=Precision.FP32, spec=spec))


@own_state()
def export_litert(quantized: Quantized, metadata: ArtifactMetadata, path: Path) -> None:
    """Write the quantized network to ``path``, deterministically.

    Input: preprocessed images as float32 (batch, H, W, 3), or pixels as uint8 where the metadata
    say so, of that shape too; output: float32 (batch, classes) or (batch, H, W, C). The batch is
    free: an interpreter is resized to another than 1.

    Raises:
        InputError: LiteRT lacks an operator.
    """
    emitter = Emitter(quantized.recipe)
    image, output = _written(quantized.network, emitter, metadata)
    name = str(metadata.spec.architecture)
    path.write_bytes(emitter.graph.file(name, image, output, metadata.to_json()))


def _written(
    network: Network, emitter: Emitter, metadata: ArtifactMetadata
) -> tuple[Tensor, Tensor]:
    """Write the whole network; returns the tensors of images and output."""
    height, width = metadata.spec.preprocessing.crop_size
    shapes = _Shapes(network.traced).of((1, 3, height, width))
    image = emitter.graph.image(INPUT_NAME, (1, height, width, 3), metadata.input.dtype)
    values: dict[fx.Node, Tensor] = {}
    for node in network.graph.nodes:
        sources = [values[source] for source in inputs_of(node)]
        if node.op == "placeholder":
            values[node] = _images(emitter, image, metadata)
        elif node.op == "output":
            (found,) = sources
        elif node.op == "call_module":
            module, name = network.traced.get_submodule(str(node.target)), str(node.target)
            values[node] = write_module(emitter, name, module, sources[0], shapes[node])
        elif node.op == "get_attr":
            raise InputError(
                f"{node.target}: expected weights of layers alone, which is what is written for "
                "LiteRT, found others; leave litert out of --formats"
            )
        else:
            call = Call(emitter=emitter, node=node, sources=sources, shape=shapes[node])
            values[node] = write_function(call)
    return image, _output(emitter, found)


class _Shapes(fx.Interpreter):
    """Runs a network once to see the shapes of everything in it, as torch has them."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self._shapes: dict[fx.Node, Shape] = {}

    def of(self, shape: Shape) -> dict[fx.Node, Shape]:
        """Shapes by node, for an input of that shape."""
        with torch.inference_mode():
            self.run(torch.zeros(shape))
        return self._shapes

    def run_node(self, n: fx.Node) -> Any:
        """Run a node, and remember the shape of its result."""
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            self._shapes[n] = tuple(result.shape)
        return result


def _images(emitter: Emitter, image: Tensor, metadata: ArtifactMetadata) -> Tensor:
    """Preprocessed images from the input; the operations and their order are `normalise`'s."""
    if metadata.input.dtype == "float32":
        return image
    options = schema.CastOptionsT()
    options.inDataType, options.outDataType = schema.TensorType.UINT8, schema.TensorType.FLOAT32
    x = emitter.emit(Operator.CAST, [image], "input/float", image.shape, None, options)
    mean, std = channel_statistics(metadata.spec.preprocessing)
    for code, word, numbers, kind in (
        (Operator.DIV, "scaled", np.array([PIXEL_MAX], np.float32), schema.DivOptionsT),
        (Operator.SUB, "centred", mean, schema.SubOptionsT),
        (Operator.DIV, "normalised", std, schema.DivOptionsT),
    ):
        by = emitter.graph.constant(f"input.{word}", numbers.astype(np.float32).reshape(-1))
        x = emitter.emit(code, [x, by], f"input/{word}", x.shape, None, kind())
    return x


def _output(emitter: Emitter, found: Tensor) -> Tensor:
    """The result as float32, under its name."""
    if found.params is not None:
        return emitter.emit(Operator.DEQUANTIZE, [found], OUTPUT_NAME, found.shape, None)
    emitter.graph.rename(found, OUTPUT_NAME)
    return found
