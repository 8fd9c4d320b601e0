"""The fused network with observers in it: what both of torch's front ends hand back."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn
from torch.ao.quantization import QConfig, default_per_channel_weight_observer

from eightbit.calibration import ActivationObserver

# While observing, torch only asks which dtype the weights will have; before it converts, each layer
# is given the weight observer that serves its own scales.
OBSERVING = QConfig(activation=ActivationObserver, weight=default_per_channel_weight_observer)


@dataclass(frozen=True, kw_only=True)
class ObservedNetwork:
    """A float network, float32 (N, 3, H, W) to its output, and its observers by tensor name.

    The names do not depend on the front end.
    """

    module: nn.Module
    observers: Mapping[str, ActivationObserver]
