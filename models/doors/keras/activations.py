"""Activations by the names that Keras gives them.

Source: `keras/src/activations/activations.py` of Keras 3, `keras/src/activations.py` of 2.15.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor

from eightbit.models.doors.wordings import shown

Function = Callable[[Tensor], Tensor]

# What a final one may be: probabilities, of which the network's logits are taken.
SOFTMAX: Final = "softmax"
SIGMOID: Final = "sigmoid"
LINEAR: Final = "linear"

_ALIASES: Final[Mapping[str, str]] = {
    "swish": "silu",
    "hard_swish": "hard_silu",
    "identity": LINEAR,
    "None": LINEAR,
}
_RECTIFYING: Final = ("relu", "relu6", "sigmoid", "softmax", "softplus", "hard_sigmoid")


def name_of(said: Any) -> str:
    """An activation's name out of the forms in which a configuration says it."""
    if isinstance(said, dict):
        config = said.get("config")
        inner = config if isinstance(config, str) else said.get("class_name")
        own = str(said.get("registered_name") or inner)
        said = inner if own in (str(inner), "function") else own
    name = str(said)
    return _ALIASES.get(name, name)


def function_of(name: str, keras: tuple[int, int], rank: int) -> Function:
    """What an activation computes.

    Args:
        name: Of it, as `name_of` gives it; not that of the identity.
        keras: The version of Keras that wrote the file.
        rank: Of its input, the images counted.

    Raises:
        KeyError: It is none of Keras'.
    """
    if name == "hard_sigmoid" and keras < (3, 0):
        return _old_hard_sigmoid
    if name in (SOFTMAX, "log_softmax"):
        # Keras' last dimension, the channels, is torch's second.
        function = F.softmax if name == SOFTMAX else F.log_softmax
        return partial(function, dim=1) if rank in (2, 4) else partial(function, dim=-1)
    return _FUNCTIONS[name]


def is_rectifying(name: str) -> bool:
    """Whether an activation has no negative results."""
    return name in _RECTIFYING


def expected() -> str:
    """The names in a message."""
    return shown(f"one of {', '.join((*_FUNCTIONS, SOFTMAX, LINEAR))}")


def _old_hard_sigmoid(x: Tensor) -> Tensor:
    return torch.clamp(x * 0.2 + 0.5, 0.0, 1.0)


_FUNCTIONS: Final[Mapping[str, Function]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": F.hardsigmoid,
    "silu": F.silu,
    "hard_silu": F.hardswish,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "elu": F.elu,
    "leaky_relu": partial(F.leaky_relu, negative_slope=0.2),
    "softplus": F.softplus,
    "mish": F.mish,
    "exponential": torch.exp,
}
