"""Folding: each Conv-BN(-ReLU) of a quantization-ready network becomes one module."""

from typing import cast

import numpy as np
import torch
from torch import nn
from torch.ao.quantization import fuse_modules

from eightbit.calibration.qparams import FloatArray
from eightbit.models.networks.architectures import build_from_spec
from eightbit.models.networks.fusable import FusableNetwork
from eightbit.models.spec import ModelSpec
from eightbit.quantize.network.operators import layer_of
from eightbit.quantize.torch_settings import expected_deprecations


def fold(model: FusableNetwork) -> nn.Module:
    """A copy of the float network with BatchNorm folded and ReLU attached.

    Folding is ``w' = w * gamma / sqrt(var + eps)``, ``b' = beta - mean * gamma / sqrt(var + eps)``
    (Jacob et al., arXiv:1712.05877, section 3.2), by torch's own ``fuse_modules``.

    Raises:
        ValueError: The network is in training mode, where statistics still move.
    """
    if model.training:
        raise ValueError("fuse: expected a network in eval mode; call model.eval() first")
    with expected_deprecations():
        fused = cast("nn.Module", fuse_modules(model, model.fusion_groups()))
    # The order in which convolutions are fastest, here and in every copy.
    return fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


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
