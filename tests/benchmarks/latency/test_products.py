"""Multiplications counted by hand and by others."""

import pytest
import torch
from torch import nn

from eightbit.benchmarks.latency.products import products_per_image
from eightbit.models import Architecture, build_model


def meta(architecture: Architecture, num_classes: int | None = None) -> nn.Module:
    with torch.device("meta"):
        return build_model(architecture, num_classes=num_classes).eval()


def test_a_network_counted_by_hand() -> None:
    """cifar_resnet20: 3 to 16 channels at 32 px, then six layers each at 32, 16 and 8 px."""
    stem = 32**2 * 16 * 3 * 9
    first = 6 * 32**2 * 16 * 16 * 9
    second = 16**2 * 9 * (32 * 16 + 5 * 32 * 32)
    third = 8**2 * 9 * (64 * 32 + 5 * 64 * 64)
    expected = stem + first + second + third + 64 * 10
    assert products_per_image(meta(Architecture.CIFAR_RESNET20), size=32) == expected


@pytest.mark.parametrize(
    ("architecture", "giga"), [(Architecture.RESNET18, 1.814), (Architecture.RESNET50, 4.089)]
)
def test_networks_that_torchvision_publishes_the_count_of(
    architecture: Architecture, giga: float
) -> None:
    """The GFLOPS of torchvision's weights count a multiplication and its addition as one."""
    assert products_per_image(meta(architecture), size=224) / 1e9 == pytest.approx(giga, abs=0.0006)


def test_height_and_width_count_by_their_product() -> None:
    classifier = 64 * 10
    square, wide = (
        products_per_image(meta(Architecture.CIFAR_RESNET20), size=size) - classifier
        for size in (32, (32, 96))
    )
    assert wide == 3 * square


def test_the_classifier_is_as_wide_as_the_classes() -> None:
    narrow, wide = (
        products_per_image(meta(Architecture.RESNET18, classes), size=32) for classes in (1, 11)
    )
    assert wide - narrow == 10 * 512
