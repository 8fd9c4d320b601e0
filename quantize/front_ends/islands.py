"""What torch's own conversion cannot express, as modules that replace those it made.

Both front ends use them. Each takes quantized or float tensors; the pool and the float layers are
islands between a dequantize and a quantize, the classifier returns its integer sums as floats.
"""

import torch
from torch import Tensor, fx, nn
from torch.ao.nn.quantized import DeQuantize, Quantize

from eightbit.calibration import QuantParams, bias_params
from eightbit.quantize.network.graph import INPUT, operation_kind, sources, tensor_name
from eightbit.quantize.network.operators import Kind, activation_of
from eightbit.quantize.recipe.integers import weight_integers
from eightbit.quantize.recipe.quantized import Quantized
from eightbit.quantize.recipe.recipe import LayerParams, Recipe


def islands(quantized: Quantized) -> dict[str, nn.Module]:
    """The modules to put into torch's converted network, by the names of their tensors."""
    network, recipe = quantized.network, quantized.recipe
    placed: dict[str, nn.Module] = {}
    for node in network.graph.nodes:
        name = tensor_name(node)
        if name is None:
            continue
        island = integer_classifier(quantized, name)
        if island is None:
            island = _island(network.traced, node, name, recipe)
        if island is not None:
            placed[name] = island
    return placed


def _island(traced: fx.GraphModule, node: fx.Node, name: str, recipe: Recipe) -> nn.Module | None:
    """What computes a tensor, None where torch's own conversion does it right."""
    rounding = _rounding(recipe.activations.get(name))
    kind = operation_kind(node)
    if name == INPUT:
        return rounding if name not in recipe.activations else None
    if kind is Kind.ADD:
        tensors = {name, *sources(node)}
        # Between quantized tensors torch's integer add computes the same.
        is_real = name in recipe.float_layers and not tensors <= recipe.activations.keys()
        return FloatAdd(rounding) if is_real else None
    if kind is Kind.POOL or name in recipe.float_layers:
        return nn.Sequential(DeQuantize(), traced.get_submodule(name), rounding)
    return None


def _rounding(params: QuantParams | None) -> nn.Module:
    """Rounds to a tensor's own grid, or hands real numbers on if it has none."""
    if params is None:
        return nn.Identity()
    return Quantize(params.scale[0], params.zero_point[0], torch.quint8)


class FloatAdd(nn.Module):
    """A residual add with ReLU in float, then ``rounding``, in place of ``FloatFunctional``."""

    def __init__(self, rounding: nn.Module) -> None:
        super().__init__()
        self.rounding = rounding

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """The same as `forward`, under the name by which eager mode's networks call it."""
        return self.forward(x, y)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Sum of two tensors of one shape, float32 or quantized; not below zero."""
        out: Tensor = self.rounding(torch.relu(x.dequantize() + y.dequantize()))
        return out


class IntegerClassifier(nn.Module):
    """A linear layer in integers whose int32 sums become float32 logits without rounding.

    ``y = (sum(x_q * w_q) + b_q - z_x * sum(w_q)) * (s_x * s_w)``, the bracket exact in int32. The
    integer ``weight`` has the shape (O, K); ``source`` are the input's parameters.
    """

    weight: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, params: LayerParams, source: QuantParams) -> None:
        super().__init__()
        (input_scale,), (zero_point,) = source.scale, source.zero_point
        scale = bias_params(params.weight, input_scale).scale
        # Subtracted, since the audit takes an addition for a residual one.
        shift = zero_point * weight.to(torch.int64).sum(1) - torch.tensor(params.bias)
        self.register_buffer("weight", weight.to(torch.int8))
        self.register_buffer("shift", shift.to(torch.int32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Map quantized features (N, K) to float32 logits (N, O)."""
        sums = torch._int_mm(x.int_repr(), self.weight.t())
        return (sums - self.shift) * self.scale


def integer_classifier(quantized: Quantized, name: str) -> nn.Module | None:
    """The classifier in integers, if the layer is that; None for any other."""
    network, recipe = quantized.network, quantized.recipe
    if name != network.logits or name not in recipe.layers:
        return None
    params = recipe.layers[name]
    source = recipe.activations[network.inputs[name]]
    weight = torch.from_numpy(weight_integers(network.layers[name], params))
    classifier = IntegerClassifier(weight, params, source)
    activation = activation_of(network.traced.get_submodule(name))
    return classifier if activation is None else nn.Sequential(classifier, activation)
