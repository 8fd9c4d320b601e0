"""Every number of a recipe, chosen: ranges by the method, scales that fit each other, integers."""

import math
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import numpy as np
import torch
from torch import fx

from eightbit.calibration import (
    CalibrationResult,
    QuantParams,
    TensorStatistics,
    activation_params,
    choose_params,
)
from eightbit.calibration.qparams import FloatArray, with_scale
from eightbit.calibration.range_methods import Method
from eightbit.calibration.ties import (
    tie_free_add,
    tie_free_mean,
    tie_free_multipliers,
    tie_free_scale,
)
from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.images.preprocessing import normalise
from eightbit.models.spec import Preprocessing
from eightbit.models.torch_state import own_state
from eightbit.quantize.config import QuantConfig
from eightbit.quantize.network.graph import INPUT, operation_kind, sources, tensor_name
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.operators import Kind
from eightbit.quantize.network.placement import quantized_tensors
from eightbit.quantize.recipe.grids import share_grids, upper_bounds, within
from eightbit.quantize.recipe.integers import layer_params
from eightbit.quantize.recipe.recipe import Decided, Provenance, Recipe


def align(
    activations: Mapping[str, QuantParams], traced: fx.GraphModule, preprocessing: Preprocessing
) -> dict[str, QuantParams]:
    """Raise the scales of calibrated activations a little, until no result is near a tie.

    In order of execution: the input, the residual adds, the average pools, the concatenations; for
    convolutions see `tie_free_weights`. Tensors that nothing but a concatenation reads have its
    grid from the start. ``preprocessing`` gives the input's size and possible values.
    """
    aligned, together = share_grids(activations, traced)
    settled: set[str] = set()
    highest = upper_bounds(traced)

    def settle(name: str, scale: float) -> None:
        for tensor in together.get(name, (name,)):
            aligned[tensor] = within(with_scale(aligned[tensor], scale), highest.get(tensor))
            settled.add(tensor)

    for node in traced.graph.nodes:
        name = tensor_name(node)
        if name is None or name not in aligned:
            continue
        wanted = aligned[name].scale[0]
        if name == INPUT:
            settle(name, tie_free_scale(_levels(preprocessing), wanted))
        elif operation_kind(node) is Kind.ADD:
            # What an earlier add has settled comes second.
            first, second = sorted(sources(node), key=lambda source: source in settled)
            scales = (aligned[first].scale[0], aligned[second].scale[0])
            (a, b), total = tie_free_add(scales, wanted, fixed=second in settled)
            for tensor, scale in ((first, a), (second, b), (name, total)):
                if tensor not in settled:
                    settle(tensor, scale)
        elif operation_kind(node) is Kind.CONCAT:
            for source in sources(node):
                if source in aligned and source not in settled and source not in together:
                    (ratio,) = tie_free_multipliers(np.array([aligned[source].scale[0] / wanted]))
                    settle(source, float(ratio) * wanted)
        elif operation_kind(node) is Kind.POOL and name not in settled:
            (source,) = sources(node)
            positions = _positions(traced, node, preprocessing.crop)
            settle(name, tie_free_mean(aligned[source].scale[0], positions, wanted))
    return aligned


def _levels(preprocessing: Preprocessing) -> FloatArray:
    """Every value that the input can have: float32, shape (1, 256, 3)."""
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    return normalise(pixels, preprocessing)


def _positions(traced: fx.GraphModule, node: fx.Node, side: int) -> int:
    """How many positions a pool averages, for square images of that side.

    Where there are fewer at the border, the number is a multiple of all.
    """
    if node.op == "call_function":
        kernel: Any = node.args[1]
        counts_padding = node.args[5]
        if counts_padding:
            return math.prod(kernel)
        return math.prod(math.lcm(*range(1, size + 1)) for size in kernel)
    shapes: list[torch.Size] = []
    module = traced.get_submodule(str(node.target))
    hook = module.register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape))
    with hook, torch.inference_mode():
        traced(torch.zeros(1, 3, side, side))
    return shapes[0][-2] * shapes[0][-1]


_COMPUTED_BY: Final = ("eightbit", "torch", "numpy", "pillow")


@own_state()
def make_recipe(
    network: Network,
    collected: CalibrationResult,
    pretrained: Pretrained,
    config: QuantConfig,
    method: Method | None = None,
) -> Recipe:
    """Choose every number: ranges by the method, weights and biases by the integer contract.

    Args:
        network: The float network.
        collected: Statistics of its tensors.
        pretrained: Where it comes from.
        config: The intent.
        method: None for the config's, or where that leaves it open, `Method.WEIGHTED_MSE`.

    Raises:
        InputError: A weight is not finite.
    """
    if method is None:
        method = Method.WEIGHTED_MSE if config.method is Method.AUTO else config.method
    activations = align(
        {
            name: choose_params(collected.tensors[name], method)
            for name in quantized_tensors(network.graph)
        },
        network.traced,
        network.spec.preprocessing,
    )
    inputs, output = network.inputs, network.output
    layers = {
        name: layer_params(name, layer, activations[inputs[name]], activations.get(name), config)
        for name, layer in network.layers.items()
    }
    return Recipe(
        spec=network.spec,
        skeleton=network.own_skeleton,
        config=config,
        decided=Decided(method=method),
        activations=activations,
        layers=layers,
        output=output,
        output_scale=_output_scale(collected.tensors[output], activations.get(output)),
        provenance=Provenance(
            weights=pretrained.source,
            weights_sha256=pretrained.weights_sha256,
            weights_key=pretrained.weights_key,
            weights_notes=pretrained.notes,
            images=collected.images,
            images_sha256=collected.images_sha256,
            threads=collected.threads,
            versions={name: version(name) for name in _COMPUTED_BY},
        ),
    )


def _output_scale(statistics: TensorStatistics, params: QuantParams | None) -> float:
    """One last bit of the output: its scale, or what that would be over the whole range."""
    params = params or activation_params(statistics.low, statistics.high)
    return params.scale[0]
