"""What every network of this room has in common: quantization stubs, and groups that fuse."""

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from eightbit.models.networks.quantizable import ConvReLU2d, DeQuantStub, QuantStub


class FusableNetwork(nn.Module):
    """Base of the networks: one convention decides what fuses.

    Children are registered in the order in which they run. So a convolution directly followed by
    a BatchNorm, and that one perhaps by a ReLU, is one group; nothing has to be listed by hand.
    `quant` and `dequant` are the stubs of eager mode.
    """

    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantStub()
        self.dequant = DeQuantStub()

    def fusion_groups(self) -> list[list[str]]:
        """Dotted names of the modules to fuse, Conv-BN-ReLU or Conv-BN, in network order.

        Such as `[["conv1", "bn1", "relu"], ["layer1.0.conv2", "layer1.0.bn2"]]`; empty once fused.
        """
        groups = []
        for prefix, module in self.named_modules():
            children = list(module.named_children())
            for index, (_, child) in enumerate(children):
                following = [type(later) for _, later in children[index + 1 : index + 3]]
                if type(child) is not nn.Conv2d or following[:1] != [nn.BatchNorm2d]:
                    continue
                length = 3 if following[1:] == [nn.ReLU] else 2
                names = [name for name, _ in children[index : index + length]]
                groups.append([f"{prefix}.{name}" if prefix else name for name in names])
        return groups


def fold(model: FusableNetwork) -> nn.Module:
    """A copy of the float network with BatchNorm folded and ReLU attached.

    Folding is ``w' = w * gamma / sqrt(var + eps)``, ``b' = beta - mean * gamma / sqrt(var + eps)``
    (Jacob et al., arXiv:1712.05877, section 3.2), by torch's own ``fuse_conv_bn_eval``.

    Raises:
        ValueError: The network is in training mode, where statistics still move.
    """
    if model.training:
        raise ValueError("fuse: expected a network in eval mode; call model.eval() first")
    fused = copy.deepcopy(model)
    for convolution, norm, *relu in model.fusion_groups():
        folded: nn.Module = fuse_conv_bn_eval(
            fused.get_submodule(convolution),  # type: ignore[type-var]
            fused.get_submodule(norm),  # type: ignore[arg-type]
        )
        for name in relu:
            folded = ConvReLU2d(folded, fused.get_submodule(name))  # type: ignore[arg-type]
        fused.set_submodule(convolution, folded.eval())
        for name in (norm, *relu):
            fused.set_submodule(name, nn.Identity().eval())
    # The order in which convolutions are fastest, here and in every copy.
    return fused.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def initialize_convolutions(network: nn.Module) -> None:
    """Draw convolution weights from He's normal distribution, fan-out mode (as torchvision does).

    Source: He et al., https://arxiv.org/abs/1502.01852, equation 10.
    """
    for module in network.modules():
        # On the meta device nothing is drawn, but torch would load its compiler, for seconds.
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
