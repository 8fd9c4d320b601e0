"""torch's eager mode front end: observers are children of the modules that they observe."""

import copy
from collections.abc import Mapping

from torch import nn
from torch.ao.quantization import QuantStub, convert, prepare

from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize.front_ends.torch_modules import take_torchs_modules
from eightbit.quantize.front_ends.torch_observers import (
    OBSERVING,
    PreparedNetwork,
    TorchActivationObserver,
)
from eightbit.quantize.network.graph import INPUT, OBSERVER_SUFFIX


def observe(fused: nn.Module) -> PreparedNetwork:
    """A copy of a fused module with an observer behind every quantized tensor."""
    with expected_deprecations():
        observed = copy.deepcopy(fused)
        take_torchs_modules(observed)
        observed.qconfig = OBSERVING  # type: ignore[assignment]
        prepared = prepare(observed, inplace=True)
    observers = {}
    for path, module in prepared.named_modules():
        if isinstance(module, TorchActivationObserver):
            owner = path.removesuffix(OBSERVER_SUFFIX)
            stub = isinstance(prepared.get_submodule(owner), QuantStub)
            observers[INPUT if stub else owner] = module
    return PreparedNetwork(module=prepared, observers=observers)


def convert_observed(observed: PreparedNetwork, islands: Mapping[str, nn.Module]) -> nn.Module:
    """Torch's quantized network, once every observer holds its parameters.

    ``islands`` are modules to put into it, by the names of their tensors.
    """
    modules = observed.module.named_modules()
    stub = next(path for path, module in modules if isinstance(module, QuantStub))
    with expected_deprecations():
        converted: nn.Module = convert(observed.module)
    for name, island in islands.items():
        converted.set_submodule(stub if name == INPUT else name, island)
    return converted
