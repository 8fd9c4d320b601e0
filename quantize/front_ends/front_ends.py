"""Between the fused float network and torch's quantized one, by either of torch's front ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from torch import nn
from torch.ao.quantization import QConfig

from eightbit.calibration import ActivationObserver, QuantDType, QuantParams
from eightbit.models.torch_state import own_state
from eightbit.quantize.config import Mode
from eightbit.quantize.front_ends import direct, eager, fx
from eightbit.quantize.front_ends.islands import islands
from eightbit.quantize.front_ends.observed import ObservedNetwork, observed_directly
from eightbit.quantize.front_ends.torch_observers import (
    PreparedNetwork,
    TorchActivationObserver,
    TorchWeightObserver,
)
from eightbit.quantize.network.network import Network
from eightbit.quantize.recipe.integers import round_weights
from eightbit.quantize.recipe.quantized import Quantized


@dataclass(frozen=True)
class FrontEnd:
    """One of torch's ways to place observers and to convert."""

    observe: Callable[[nn.Module], PreparedNetwork]
    convert: Callable[[PreparedNetwork, Mapping[str, nn.Module]], nn.Module]


# Observer settings of a tensor whose producer an island replaces.
_NO_MATTER = QuantParams(dtype=QuantDType.UINT8, scale=(1.0,), zero_point=(0,))


@own_state()
def observe(network: Network, mode: Mode) -> ObservedNetwork:
    """A copy of the network that is watched while it runs; both modes name tensors alike.

    `observed_directly` does the same without torch's front ends.
    """
    if not direct.is_known_to_torch(network):
        return observed_directly(network)
    observed = FRONT_ENDS[mode].observe(network.module).observed
    observers = dict(observed.observers)
    for name, module in network.module.named_modules():
        if isinstance(module, nn.AdaptiveAvgPool2d):
            # torch thinks that pooling keeps its input's scale, and does not look behind it.
            observers[name] = ActivationObserver()
            watched = nn.Sequential(observed.module.get_submodule(name), observers[name])
            observed.module.set_submodule(name, watched)
    return ObservedNetwork(module=observed.module, observers=observers)


@own_state()
def quantized_module(quantized: Quantized) -> nn.Module:
    """Torch's integer network with exactly the recipe's integers: float32 (N, 3, H, W) to logits.

    ``recipe.config.mode`` chooses the front end, where torch's can express the network. Build and
    run it under the engine of its target.
    """
    recipe = quantized.recipe
    if not direct.is_known_to_torch(quantized.network):
        return direct.quantized_module(quantized)
    front_end = FRONT_ENDS[recipe.config.mode]
    observed = front_end.observe(round_weights(quantized.network, recipe))
    for name, observer in observed.observers.items():
        observer.params = recipe.activations.get(name, _NO_MATTER)
    for name, params in recipe.layers.items():
        qconfig = QConfig(
            activation=TorchActivationObserver,
            weight=TorchWeightObserver.with_args(params=params.weight),
        )
        # FX reads it from the fused pair, eager mode from the convolution inside it.
        for module in observed.module.get_submodule(name).modules():
            module.qconfig = qconfig  # type: ignore[assignment]
    return front_end.convert(observed, islands(quantized))


FRONT_ENDS: Final = {
    Mode.FX: FrontEnd(fx.observe, fx.convert_observed),
    Mode.EAGER: FrontEnd(eager.observe, eager.convert_observed),
}
