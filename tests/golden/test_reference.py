"""The reference on a network of three channels that can be computed with pencil and paper."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from tests.golden.recipes import quantized_by_hand, recipe_by_hand
from torch import nn

from eightbit.calibration import QuantDType, QuantParams
from eightbit.models import Architecture, InputError, Pretrained
from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.networks.quantizable import ConvReLU2d, DeQuantStub, FloatFunctional, QuantStub
from eightbit.quantize import Recipe
from eightbit.quantize.front_ends.front_ends import quantized_module
from eightbit.quantize.recipe.recipe import LayerParams
from eightbit.quantize.verify.reference import reference_logits

Networks = Callable[..., Pretrained]


class Tiny(nn.Module):
    """A padded convolution with ReLU, a residual add, the pool and the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantStub()
        self.conv = ConvReLU2d(nn.Conv2d(3, 3, kernel_size=3, padding=1), nn.ReLU())
        self.skip_add = FloatFunctional()
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(3, 2)
        self.dequant = DeQuantStub()
        with torch.no_grad():
            # Channel 0: a half of everything around, and another one of the pixel itself.
            # Channels 1 and 2: the pixel, and less the pixel.
            kernel = self.conv[0].weight.zero_()
            kernel[0, 0] = 0.5
            kernel[0, 0, 1, 1] = 1.5
            kernel[1, 1, 1, 1] = 1.0
            kernel[2, 2, 1, 1] = -1.0
            self.fc.weight.copy_(torch.tensor([[127 / 4, -1 / 4, 3 / 4], [0.0, 1 / 8, -127 / 8]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.quant(x)
        x = self.skip_add.add_relu(self.conv(x), x)
        out: torch.Tensor = self.dequant(self.fc(torch.flatten(self.avgpool(x), 1)))
        return out


def uint8(scale: float, zero_point: int) -> QuantParams:
    return QuantParams(dtype=QuantDType.UINT8, scale=(scale,), zero_point=(zero_point,))


def layer(*scales: float, bias: tuple[int, ...]) -> LayerParams:
    zeros = (0,) * len(scales)
    weight = QuantParams(dtype=QuantDType.INT8, scale=scales, zero_point=zeros, axis=0)
    return LayerParams(weight=weight, bias=bias)


# Even zero points: torch adds them before it rounds, and a tie to even is the same tie then.
ACTIVATIONS = {
    "input": uint8(0.5, 2),
    "conv": uint8(0.5, 10),
    "skip_add": uint8(1.0, 0),
    "avgpool": uint8(0.5, 2),
}
LAYERS = {
    "conv": layer(0.5, 0.5, 0.5, bias=(1, 0, 0)),
    "fc": layer(0.25, 0.125, bias=(7, -130)),
}


def recipe_of(
    random_network: Networks,
    activations: dict[str, QuantParams],
    layers: dict[str, LayerParams],
    output: str = "fc",
    float_layers: tuple[str, ...] = (),
) -> Recipe:
    return recipe_by_hand(
        spec=random_network(Architecture.CIFAR_RESNET20, side=32).spec,
        activations=activations,
        layers=layers,
        float_layers=float_layers,
        output=output,
    )


def pixels(*channels: list[int]) -> np.ndarray:
    """One image of 2x2 pixels that are the given integers of the input's grid."""
    integers = np.array(channels, np.float32).reshape(1, len(channels), 2, 2)
    return (integers - 2) * np.float32(0.5)


# Steps of 1/2 from the zero point 2: 4 2 / 0 -2, 253 1 / 3 0, 0 2 / 1 -2.
IMAGE = pixels([6, 4, 2, 0], [255, 3, 5, 2], [2, 4, 3, 0])

# conv, in sums of 1/2 * 1/2, becomes steps of 1/2: half of them.
#   Channel 0: all four pixels (4 in all; what lies outside counts nothing), twice the pixel itself
#   and the bias 1: 13 9 / 5 1. Halves: 6.5 4.5 / 2.5 0.5, to even 6 4 / 2 0.
#   Channel 1: twice the pixel, 506 2 / 6 0. Halves 253 1 / 3 0; but 10 + 253 is clamped to 255,
#   which is 245 steps.
#   Channel 2: less twice the pixel, 0 -4 / -2 4. Halves 0 -2 / -1 2; the ReLU leaves 0 0 / 0 2.
# skip_add, in steps of 1: half of the steps of conv and of the input.
#   Channel 0: 3 2 / 1 0 and 2 1 / 0 -1 are 5 3 / 1 -1; the ReLU leaves 5 3 / 1 0.
#   Channel 1: 122.5 0.5 / 1.5 0 and 126.5 0.5 / 1.5 0 are 249 1 / 3 0.
#   Channel 2: 0 0 / 0 1 and 0 1 / 0.5 -1 are 0 1 / 0.5 0; 0.5 is rounded to even 0.
# avgpool, in steps of 1/2: means 9/4, 253/4, 1/4 are 4.5, 126.5, 0.5 steps, to even 4, 126, 0.
# fc: 127 * 4 - 1 * 126 + 3 * 0 + 7 = 389 of 1/2 * 1/4; 126 - 130 = -4 of 1/2 * 1/8.
EXPECTED = [[389 / 8, -4 / 16]]


def test_the_tiny_network_by_hand(random_network: Networks) -> None:
    recipe = recipe_of(random_network, ACTIVATIONS, LAYERS)
    found = reference_logits(quantized_by_hand(Tiny(), recipe), IMAGE)
    assert found.dtype == np.float32
    assert found.tolist() == EXPECTED


def test_torch_finds_the_same(random_network: Networks, onednn: None) -> None:
    recipe = recipe_of(random_network, ACTIVATIONS, LAYERS)
    with torch.inference_mode():
        found = quantized_module(quantized_by_hand(Tiny(), recipe))(torch.from_numpy(IMAGE))
    assert found.tolist() == EXPECTED


def test_a_layer_that_the_recipe_leaves_in_float_uses_its_own_weights(
    random_network: Networks,
) -> None:
    network = Tiny()
    with torch.no_grad():
        network.conv[0].bias.copy_(torch.tensor([0.25, 0.0, 0.0]))
        network.conv[0].weight[2, 2, 1, 1] = -2.0
    layers = {"fc": LAYERS["fc"]}
    recipe = recipe_of(random_network, ACTIVATIONS, layers, float_layers=("conv",))
    # The same sums, rounded to the same grid; but twice as much in channel 2: 0 0 / 0 2 and 0 1 /
    # 0.5 -1 are 0 1 / 0 1, 2/4 is one step of 1/2. 389 + 3 = 392; -4 - 127 = -131.
    assert reference_logits(quantized_by_hand(network, recipe), IMAGE).tolist() == [
        [392 / 8, -131 / 16]
    ]


def test_real_numbers_between_float_layers_are_not_rounded(random_network: Networks) -> None:
    network = Tiny()
    with torch.no_grad():
        network.conv[0].bias.copy_(torch.tensor([0.3, 0.0, 0.0]))
    # Nothing in integers reads the input either; its numbers are on the grid all the same.
    activations = {name: ACTIVATIONS[name] for name in ("skip_add", "avgpool")}
    layers = {"fc": LAYERS["fc"]}
    recipe = recipe_of(random_network, activations, layers, float_layers=("conv", "skip_add"))
    # Channel 0: 3.3 2.3 / 1.3 0.3 and 2 1 / 0 -1 are 5.3 3.3 / 1.3 -0.7, rounded 5 3 / 1 0. (On
    # conv's grid 3.3 is 3.5, and the sum would be 5.5, which is 6.) Channel 1, not clamped: 253 1 /
    # 3 0, 257/4 are 128.5 steps of 1/2, to even 128. Channel 2: as before.
    # 127 * 4 - 128 + 7 = 387; 128 - 130 = -2.
    assert reference_logits(quantized_by_hand(network, recipe), IMAGE).tolist() == [
        [387 / 8, -2 / 16]
    ]


class Classifier(nn.Module):
    """One class, and more features than float32 can add up."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.quant, self.dequant = QuantStub(), DeQuantStub()
        self.fc = nn.Linear(features, 1)
        nn.init.constant_(self.fc.weight, 127.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.dequant(self.fc(torch.flatten(self.quant(x), 1)))
        return out


def test_sums_beyond_the_integers_of_float32_are_exact(random_network: Networks) -> None:
    # 600 * 255 * 127 = 19,431,000 is more than 2^24, and 19,430,999 is not a float32 number.
    layers = {"fc": layer(1.0, bias=(-19_430_999,))}
    recipe = recipe_of(random_network, {"input": uint8(1.0, 0)}, layers)
    x = np.full((1, 600, 1, 1), 255.0, np.float32)
    assert reference_logits(quantized_by_hand(Classifier(600), recipe), x).tolist() == [[1.0]]


class Moves(nn.Module):
    """Max pooling with padding and the shortcut, read by a convolution that changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.quant = QuantStub()
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.shortcut = OptionAShortcut(3, 5)
        self.conv = nn.Conv2d(5, 5, kernel_size=1, bias=False)
        self.dequant = DeQuantStub()
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(5).reshape(5, 5, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.dequant(self.conv(self.shortcut(self.maxpool(self.quant(x)))))
        return out


def test_max_pooling_and_the_shortcut_keep_the_grid(random_network: Networks) -> None:
    # Three tenths of a step of 1/2 above integers: what comes out is on the grid.
    x = pixels([0, 1, 1, 0], [2, 9, 1, 1], [255, 0, 0, 0]) + np.float32(0.15)
    activations = dict.fromkeys(("input", "conv"), ACTIVATIONS["input"])
    layers = {"conv": layer(*[1.0] * 5, bias=(0,) * 5)}
    recipe = recipe_of(random_network, activations, layers, output="conv")
    found = reference_logits(quantized_by_hand(Moves(), recipe), x)
    assert found.shape == (1, 5, 1, 1)
    # The largest integers are 1, 9 and 255: padding is no pixel, or 0 would win over -1/2. The
    # two channels that the shortcut adds hold the zero point.
    assert found.ravel().tolist() == [0.0, -0.5, 3.5, 126.5, 0.0]


def test_batches_are_put_together_in_order(random_network: Networks) -> None:
    x = np.concatenate([IMAGE, 0 * IMAGE] * 5)
    recipe = recipe_of(random_network, ACTIVATIONS, LAYERS)
    found = reference_logits(quantized_by_hand(Tiny(), recipe), x)
    assert found.shape == (10, 2)
    assert found[0::2].tolist() == EXPECTED * 5
    assert found[1::2].tolist() == [found[1].tolist()] * 5 != EXPECTED * 5


def test_a_recipe_of_another_network_is_refused(random_network: Networks) -> None:
    recipe = recipe_of(random_network, ACTIVATIONS, {"fc": LAYERS["fc"]})
    with pytest.raises(InputError, match="conv: expected 3 output channels, found 0"):
        reference_logits(quantized_by_hand(Tiny(), recipe), IMAGE)


def test_a_module_that_no_resnet_has_is_refused(random_network: Networks) -> None:
    network = Tiny()
    network.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Sigmoid())  # type: ignore[assignment]
    activations = {k: v for k, v in ACTIVATIONS.items() if k != "avgpool"}
    activations["avgpool.0"] = ACTIVATIONS["avgpool"]
    recipe = recipe_of(random_network, activations, LAYERS)
    with pytest.raises(InputError, match=r"avgpool\.1: expected an operator known here, found S"):
        reference_logits(quantized_by_hand(network, recipe), IMAGE)


def test_a_pixel_that_is_no_number_is_refused(random_network: Networks) -> None:
    recipe = recipe_of(random_network, ACTIVATIONS, LAYERS)
    with pytest.raises(ValueError, match="found NaN"):
        reference_logits(quantized_by_hand(Tiny(), recipe), IMAGE * np.float32(np.nan))
