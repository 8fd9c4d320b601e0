"""Fusion: BatchNorm and ReLU disappear into their convolution, and the function stays."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.ao.quantization import fuse_modules

from eightbit.models import Architecture, Pretrained, build_model, import_torchvision
from eightbit.models.networks.fusable import fold
from eightbit.models.networks.quantizable import ConvReLU2d
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize.network.fusion import integer_layers

Networks = Callable[..., Pretrained]

# One of each kind of block; the others have more of the same, as `tests/models/networks` compares.
NETWORKS = (
    Architecture.RESNET18,
    Architecture.RESNET50,
    Architecture.RESNEXT50_32X4D,
    Architecture.WIDE_RESNET50_2,
)


@pytest.mark.parametrize("architecture", NETWORKS)
def test_the_fused_network_computes_what_torchvisions_own_model_computes(
    architecture: Architecture,
    random_network: Networks,
    noise_images: Callable[..., np.ndarray],
) -> None:
    pretrained = random_network(architecture)
    reference = import_torchvision().models.get_model(architecture.value, num_classes=10)
    reference.load_state_dict(pretrained.model.state_dict())
    x = torch.from_numpy(noise_images(2, 64, seed=7))
    with torch.inference_mode():
        expected, found = reference.eval()(x), fold(pretrained.model)(x)
    assert (expected - found).abs().max() <= 1e-4 * expected.abs().max()


def test_folding_gives_the_bits_of_torchs_own_front_end(random_network: Networks) -> None:
    model = random_network(Architecture.RESNET50).model
    with expected_deprecations():
        theirs = fuse_modules(model, model.fusion_groups())
    ours = fold(model)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor), name


def test_fusion_leaves_the_original_alone(random_network: Networks) -> None:
    model = random_network(Architecture.CIFAR_RESNET20, side=32).model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fold(model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_every_batch_norm_folds_and_every_relu_behind_one_is_attached(
    random_network: Networks,
) -> None:
    model = random_network(Architecture.RESNET50).model
    fused = fold(model)
    kinds = [type(module) for module in fused.modules()]
    assert nn.BatchNorm2d not in kinds
    # The stem, and the first two of the three convolutions of each of the 16 blocks.
    assert kinds.count(ConvReLU2d) == 1 + 2 * 16
    assert list(integer_layers(fused)) == [
        name for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)
    ]


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="eval mode"):
        fold(build_model(Architecture.CIFAR_RESNET20))
