"""The network that folding leaves: each Conv-BN(-ReLU) is one module, and what weights it has."""

import numpy as np
from torch import nn

from eightbit.calibration.qparams import FloatArray
from eightbit.models.networks.architectures import build_from_spec
from eightbit.models.networks.fusable import fold
from eightbit.models.spec import ModelSpec
from eightbit.quantize.network.operators import layer_of


def fused_architecture(spec: ModelSpec) -> nn.Module:
    """The fused network that a spec's architecture names, with weights yet to be replaced."""
    return fold(build_from_spec(spec).eval())


def integer_layers(fused: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers with weights of a fused network, by module name, in order of definition."""
    layers: dict[str, nn.Conv2d | nn.Linear] = {}
    for name, module in fused.named_modules():
        inner = layer_of(module)
        # A fused convolution appears twice, as the pair and inside it: the pair's name counts.
        if isinstance(inner, nn.Conv2d | nn.Linear) and inner not in layers.values():
            layers[name] = inner
    return layers


def float_parameters(layer: nn.Conv2d | nn.Linear) -> tuple[FloatArray, FloatArray]:
    """Weight (O, ...) and bias (O,) of a layer as float32 arrays; a missing bias is zero."""
    weight = layer.weight.detach().numpy()
    if layer.bias is None:
        return weight, np.zeros(len(weight), dtype=np.float32)
    return weight, layer.bias.detach().numpy()
