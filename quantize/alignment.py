"""Activation scales that fit each other, so that every runtime makes the same integers.

Each of the few places where real numbers are rounded is looked at in order of execution: the
input, the residual adds, the global average pool. (What remains, the convolutions, is a matter of
their weights' scales.) `calibration/ties.py` says why a fitting scale ends all disagreement.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import fx

from eightbit.calibration import QuantParams
from eightbit.calibration.qparams import FloatArray, with_scale
from eightbit.calibration.ties import tie_free_add, tie_free_mean, tie_free_scale
from eightbit.models.images.preprocessing import normalise
from eightbit.models.spec import Preprocessing
from eightbit.quantize.network.graph import INPUT, operation_kind, tensor_name
from eightbit.quantize.network.placement import sources


def align(
    activations: Mapping[str, QuantParams], traced: fx.GraphModule, preprocessing: Preprocessing
) -> dict[str, QuantParams]:
    """The same parameters with scales raised a little, until no result is near a tie.

    Args:
        activations: Parameters of the quantized tensors as calibrated.
        traced: The fused network, traced.
        preprocessing: What the input's values come from, and its size.
    """
    aligned = dict(activations)
    settled: set[str] = set()

    def settle(name: str, scale: float) -> None:
        aligned[name] = with_scale(aligned[name], scale)
        settled.add(name)

    for node in traced.graph.nodes:
        name = tensor_name(traced, node)
        if name is None or name not in aligned:
            continue
        wanted = aligned[name].scale[0]
        if name == INPUT:
            settle(name, tie_free_scale(_levels(preprocessing), wanted))
        elif operation_kind(traced, node) == "add":
            # What an earlier add has settled comes second.
            first, second = sorted(sources(traced, node), key=lambda source: source in settled)
            scales = (aligned[first].scale[0], aligned[second].scale[0])
            (a, b), total = tie_free_add(scales, wanted, fixed=second in settled)
            for tensor, scale in ((first, a), (second, b), (name, total)):
                if tensor not in settled:
                    settle(tensor, scale)
        elif operation_kind(traced, node) == "pool":
            (source,) = sources(traced, node)
            positions = _positions(traced, node, preprocessing.crop)
            settle(name, tie_free_mean(aligned[source].scale[0], positions, wanted))
    return aligned


def _levels(preprocessing: Preprocessing) -> FloatArray:
    """Every value that the input can have: float32, shape (1, 256, 3)."""
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 256, 3)
    return normalise(pixels, preprocessing)


def _positions(traced: fx.GraphModule, node: fx.Node, side: int) -> int:
    """How many positions a pool averages, for square images of that side."""
    shapes: list[torch.Size] = []
    module = traced.get_submodule(str(node.target))
    hook = module.register_forward_pre_hook(lambda _, args: shapes.append(args[0].shape))
    with hook, torch.inference_mode():
        traced(torch.zeros(1, 3, side, side))
    return shapes[0][-2] * shapes[0][-1]
