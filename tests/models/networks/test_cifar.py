from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from eightbit.models.doors.pretrained import load_pretrained
from eightbit.models.errors import InputError
from eightbit.models.images.loading import LoadedImage, load_images
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import open_source
from eightbit.models.labels import match_images
from eightbit.models.networks.architectures import build_model
from eightbit.models.networks.cifar import CifarResNet, OptionAShortcut
from eightbit.models.spec import Architecture
from eightbit.models.torch_warnings import expected_deprecations

CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def quantized(x: Tensor, scale: float, zero_point: int) -> Tensor:
    with expected_deprecations():
        return torch.quantize_per_tensor(x, scale, zero_point, torch.quint8)


def test_the_shortcut_takes_every_second_pixel_and_adds_channels_of_zeros() -> None:
    x = torch.arange(2 * 5 * 4, dtype=torch.float32).reshape(1, 2, 5, 4) + 1
    y = OptionAShortcut(2, 4)(x)
    assert y.shape == (1, 4, 3, 2)
    assert not y[:, [0, 3]].any()
    # rows 0, 2, 4 and columns 0, 2 of the first channel of the input
    assert y[0, 1].tolist() == [[1, 3], [9, 11], [17, 19]]


@pytest.mark.parametrize("scripted", [False, True])
def test_the_shortcut_of_a_quantized_tensor_pads_with_its_zero_point(scripted: bool) -> None:
    shortcut: torch.nn.Module = OptionAShortcut(16, 32)
    x = quantized(torch.randn(2, 16, 6, 6), scale=0.1, zero_point=37)
    if scripted:
        with expected_deprecations():
            shortcut = torch.jit.script(shortcut)
    y = shortcut(x)
    assert (y.q_scale(), y.q_zero_point(), y.dtype) == (0.1, 37, torch.quint8)
    expected = F.pad(x.int_repr()[:, :, ::2, ::2], (0, 0, 0, 0, 8, 8), value=37)
    assert torch.equal(y.int_repr(), expected)


@pytest.mark.parametrize("channels", [(16, 16), (16, 19), (32, 16)])
def test_a_shortcut_without_an_even_number_of_new_channels_is_refused(
    channels: tuple[int, int],
) -> None:
    with pytest.raises(InputError, match="even number"):
        OptionAShortcut(*channels)


@pytest.mark.parametrize("depth", [2, 18, 21, -4])
def test_a_depth_that_the_paper_does_not_define_is_refused(depth: int) -> None:
    with pytest.raises(InputError, match="6n"):
        CifarResNet(depth)


def test_depth_counts_the_weighted_layers() -> None:
    for architecture in (a for a in Architecture if a.is_cifar):
        with torch.device("meta"):
            state = build_model(architecture).state_dict()
        weighted = [key for key in state if key.endswith("weight") and state[key].ndim > 1]
        assert len(weighted) == int(architecture.value.removeprefix("cifar_resnet"))


@pytest.mark.parametrize("name", ["cifar_resnet20", "cifar_resnet32"])
def test_real_checkpoints_classify_real_images(
    name: str, shared_file: Callable[[str], Path]
) -> None:
    weights = shared_file(f"weights/{name}.pth")
    archive = shared_file("data/cifar10-evaluation.tar")
    pretrained = load_pretrained(Architecture(name), str(weights), labels=CIFAR10)
    assert pretrained.spec.num_classes == 10
    assert not pretrained.model.training
    with open_source(archive) as source:
        match = match_images(source.listing, pretrained.spec)
        assert match is not None
        classes = match.indices
        items = balanced_order(source.items, seed=0)[:200]
        loaded = [
            image
            for image in load_images(source, items, pretrained.spec.preprocessing)
            if isinstance(image, LoadedImage)
        ]
    assert len(loaded) == 200
    with torch.inference_mode():
        batch = torch.stack([torch.from_numpy(image.pixels) for image in loaded])
        predicted = pretrained.model(batch).argmax(1).tolist()
    pairs = islice(zip(loaded, predicted, strict=True), 200)
    correct = sum(classes[image.item.name] == index for image, index in pairs)
    # 81 % on all 10,000 images; 200 images scatter by 2.8 points (one standard deviation).
    assert correct / 200 > 0.70
