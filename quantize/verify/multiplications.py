"""How many multiplications each operation of a network takes for one image."""

import math
from typing import Any

import torch
from torch import fx, nn

from eightbit.models.torch_state import own_state
from eightbit.quantize.network.graph import inputs_of, operation_kind, tensor_name
from eightbit.quantize.network.network import Network
from eightbit.quantize.network.operators import FLOAT, Kind, layer_of

_aten = torch.ops.aten

# Of float operators those that multiply; the others of `FLOAT` take one for each number.
_PRODUCTS = (_aten.matmul.default, _aten.bmm.default)
_LAYERS = (_aten.linear.default, _aten.conv1d.default, _aten.conv2d.default)


@own_state()
def multiplications(network: Network) -> dict[str, int]:
    """By tensor name: of layers, and of whatever computes in float."""
    counter = _Counter(network.traced)
    with torch.inference_mode():
        counter.run(torch.zeros(1, 3, *network.spec.preprocessing.crop_size))
    return counter.found


class _Counter(fx.Interpreter):
    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.found: dict[str, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node, and count what it took."""
        sources = [self.env.get(source) for source in inputs_of(n)]
        result = super().run_node(n)
        name = tensor_name(n)
        if name is None or not isinstance(result, torch.Tensor):
            return result
        if operation_kind(n) in (Kind.CONV, Kind.LINEAR):
            layer = layer_of(self.fetch_attr(str(n.target)))
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            self.found[name] = result.numel() * math.prod(layer.weight.shape[1:])
        elif n.target in FLOAT.values():
            self.found[name] = _of_function(n.target, sources, result)
        return result


def _of_function(target: Any, sources: list[Any], result: torch.Tensor) -> int:
    if target in _PRODUCTS:
        return int(result.numel() * sources[0].shape[-1])
    if target in _LAYERS:
        return int(result.numel() * math.prod(sources[1].shape[1:]))
    if target is _aten.conv_transpose2d.input:
        return int(sources[0].numel() * math.prod(sources[1].shape[1:]))
    return result.numel()
