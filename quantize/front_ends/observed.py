"""The fused network with observers in it, placed straight into its graph."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from eightbit.calibration import ActivationObserver
from eightbit.models.torch_state import own_state
from eightbit.quantize.network.graph import OBSERVER_SUFFIX, part, tensor_name
from eightbit.quantize.network.network import Network


@dataclass(frozen=True, kw_only=True)
class ObservedNetwork:
    """A float network, float32 (N, 3, H, W) to its output, and its observers by tensor name.

    The names do not depend on the front end.
    """

    module: nn.Module
    observers: Mapping[str, ActivationObserver]


@own_state()
def observed_directly(network: Network) -> ObservedNetwork:
    """A copy of the network with an observer behind every tensor that has a name."""
    traced = network.traced
    graph = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    modules: dict[str, Any] = {}
    observers: dict[str, ActivationObserver] = {}
    for node in traced.graph.nodes:
        copied[node] = graph.node_copy(node, copied.__getitem__)
        if node.op in ("call_module", "get_attr"):
            modules[str(node.target)] = copy.deepcopy(part(traced, node))
        name = tensor_name(node)
        if name is not None:
            observers[name] = modules[name + OBSERVER_SUFFIX] = ActivationObserver()
            copied[node] = graph.call_module(name + OBSERVER_SUFFIX, (copied[node],))
    # An observer lies inside the module that it watches: one object must not replace the other.
    for place in [place for place in modules if place.endswith(OBSERVER_SUFFIX)]:
        flat = "observers." + place.removesuffix(OBSERVER_SUFFIX).replace(".", "__")
        for node in graph.find_nodes(op="call_module", target=place):
            node.target = flat
        modules[flat] = modules.pop(place)
    return ObservedNetwork(module=fx.GraphModule(modules, graph), observers=observers)
