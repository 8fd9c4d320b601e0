"""What a float network consists of besides plain layers so that it can be quantized.

These modules compute what their names say and no more; what quantizes finds its places by them.
They bear the names of those in `torch.ao`, which is to be removed from torch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class QuantStub(nn.Module):
    """Where the network's input becomes integers; returns it as it is."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x


class DeQuantStub(nn.Module):
    """Where integers become real numbers again; returns its input as it is."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x``."""
        return x


class FloatFunctional(nn.Module):
    """A sum as a module, so that its result has a name and a place to observe it."""

    def __init__(self) -> None:
        super().__init__()
        self.activation_post_process = nn.Identity()

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """Sum of two tensors of one shape, not below zero."""
        out: Tensor = self.activation_post_process(F.relu(torch.add(x, y)))
        return out


class ConvReLU2d(nn.Sequential):
    """A convolution and its ReLU; one tensor."""

    def __init__(self, convolution: nn.Conv2d, relu: nn.ReLU) -> None:
        super().__init__(convolution, relu)


class LinearReLU(nn.Sequential):
    """A linear layer and its ReLU; one tensor."""

    def __init__(self, linear: nn.Linear, relu: nn.ReLU) -> None:
        super().__init__(linear, relu)
