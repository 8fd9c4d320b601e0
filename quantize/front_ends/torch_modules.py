"""The modules by which torch's front ends find their places in a fused network: torch.ao's."""

from collections.abc import Callable, Mapping
from typing import Final

from torch import nn
from torch.ao.nn import intrinsic
from torch.ao.nn.quantized import FloatFunctional
from torch.ao.quantization import DeQuantStub, QuantStub

from eightbit.models.networks import quantizable


def take_torchs_modules(fused: nn.Module) -> None:
    """Replace the project's own modules in a network by torch's, which compute the same."""
    for path, module in list(fused.named_modules()):
        if (make := _TORCHS.get(type(module))) is not None:
            fused.set_submodule(path, make(module).train(module.training))


_TORCHS: Final[Mapping[type, Callable[[nn.Module], nn.Module]]] = {
    quantizable.QuantStub: lambda _: QuantStub(),
    quantizable.DeQuantStub: lambda _: DeQuantStub(),
    quantizable.FloatFunctional: lambda _: FloatFunctional(),
    quantizable.ConvReLU2d: lambda pair: intrinsic.ConvReLU2d(*pair.children()),
    quantizable.LinearReLU: lambda pair: intrinsic.LinearReLU(*pair.children()),
}
