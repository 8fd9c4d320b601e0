"""Networks of other channels answer images in red, green, blue as they answered theirs."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from eightbit.models import (
    Architecture,
    ChannelOrder,
    InputError,
    Preprocessing,
    Wanted,
    build_model,
    from_module,
    load_pretrained,
    load_source,
)
from eightbit.models.doors.channels import taking_rgb
from eightbit.models.images.preprocessing import preprocess


def small(channels: int) -> nn.Module:
    torch.manual_seed(1)
    features = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU())
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()


PHOTO = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_blue_green_red_is_turned_round() -> None:
    network = small(3)
    expected = network(PHOTO.flip(1))
    torch.testing.assert_close(taking_rgb(network, ChannelOrder.BGR)(PHOTO), expected)


def test_of_this_projects_networks_the_first_weights_are(tmp_path) -> None:
    network = build_model(Architecture.CIFAR_RESNET20).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    asked = {"weights": str(tmp_path / "w.pth"), "channels": ChannelOrder.BGR}
    found = load_source("cifar_resnet20", Wanted(**asked))
    assert (found.channels, type(found.model)) == (ChannelOrder.BGR, type(network))
    photo = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(found.model(photo), network(photo.flip(1)))
    with pytest.raises(InputError, match="expected rgb or bgr of cifar_resnet20, found grey"):
        load_pretrained(Architecture.CIFAR_RESNET20, asked["weights"], channels=ChannelOrder.GREY)


def test_grey_is_that_of_pillow_but_for_its_rounding() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    how = Preprocessing(resize=8, crop=8, mean=(0.5,) * 3, std=(0.25,) * 3)
    pretrained = from_module(small(1), preprocessing=how, channels=ChannelOrder.GREY)
    image = Image.fromarray(pixels)
    grey = torch.from_numpy(preprocess(image.convert("L").convert("RGB"), how))[None]
    inner = pretrained.model.grey(torch.from_numpy(preprocess(image, how))[None])
    half_a_level = 0.5 / 255 / 0.25
    assert float((inner - grey[:, :1]).abs().max()) <= half_a_level * 1.01
    # A photo without colours has nothing to be rounded.
    torch.testing.assert_close(pretrained.model(grey), small(1)(grey[:, :1]))
    assert pretrained.channels is ChannelOrder.GREY
