"""The reference's layers against loops over Python's own integers and fractions."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.golden.recipes import quantized_by_hand, recipe_by_hand
from torch import nn

from eightbit.calibration import QuantDType, QuantParams, dequantize
from eightbit.models import Architecture, ModelSpec, Preprocessing
from eightbit.models.networks.quantizable import ConvReLU2d, DeQuantStub, FloatFunctional, QuantStub
from eightbit.quantize import Recipe
from eightbit.quantize.recipe.recipe import LayerParams
from eightbit.quantize.verify.reference import reference_logits

scales = st.floats(2.0**-10, 4.0, width=32)
grids = st.builds(
    lambda scale, zero_point: QuantParams(
        dtype=QuantDType.UINT8, scale=(scale,), zero_point=(zero_point,)
    ),
    scales,
    st.integers(0, 255),
)


def recipe_of(
    activations: dict[str, QuantParams], layers: dict[str, LayerParams], output: str
) -> Recipe:
    return recipe_by_hand(
        spec=ModelSpec(
            architecture=Architecture.CIFAR_RESNET20,
            num_classes=10,
            preprocessing=Preprocessing(resize=32, crop=32),
        ),
        activations=activations,
        layers=layers,
        output=output,
    )


def exactly(*factors: float) -> Fraction:
    result = Fraction(1)
    for factor in factors:
        result *= Fraction(float(factor))
    return result


def rounded(real: Fraction, params: QuantParams) -> Fraction:
    """A real number on a grid; Python rounds a fraction half to even, without any error."""
    (scale,), (zero_point,) = params.scale, params.zero_point
    q = min(max(round(real / exactly(scale)) + zero_point, 0), 255)
    return (q - zero_point) * exactly(scale)


def as_float(numbers: list[Fraction], shape: tuple[int, ...]) -> np.ndarray:
    return np.array([float(number) for number in numbers], np.float32).reshape(shape)


@dataclass
class Layer:
    """A convolution between two grids, and an image of whole numbers."""

    conv: nn.Conv2d
    relu: bool
    weight: np.ndarray
    params: LayerParams
    source: QuantParams
    output: QuantParams
    image: np.ndarray


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    groups = draw(st.integers(1, 3))
    conv = nn.Conv2d(
        groups * draw(st.integers(1, 3)),
        groups * draw(st.integers(1, 2)),
        kernel_size=(draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        stride=(draw(st.integers(1, 2)), draw(st.integers(1, 3))),
        padding=(draw(st.integers(0, 1)), draw(st.integers(0, 2))),
        dilation=draw(st.integers(1, 2)),
        groups=groups,
    )
    weight = draw(arrays(np.int64, tuple(conv.weight.shape), elements=st.integers(-127, 127)))
    steps = draw(st.lists(scales, min_size=len(weight), max_size=len(weight)))
    bias = draw(st.lists(st.integers(-(2**30), 2**30), min_size=len(weight), max_size=len(weight)))
    params = LayerParams(
        weight=QuantParams(
            dtype=QuantDType.INT8, scale=tuple(steps), zero_point=(0,) * len(steps), axis=0
        ),
        # Of the size of the sums, or far beyond them.
        bias=tuple(draw(st.sampled_from((b, b >> 16))) for b in bias),
    )
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(dequantize(weight, params.weight)))
    shape = (2, conv.in_channels, 5, 6)
    image = draw(arrays(np.int64, shape, elements=st.integers(0, 255)))
    return Layer(conv, draw(st.booleans()), weight, params, draw(grids), draw(grids), image)


class OneLayer(nn.Module):
    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.quant, self.dequant = QuantStub(), DeQuantStub()
        self.conv = ConvReLU2d(layer.conv, nn.ReLU()) if layer.relu else layer.conv

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.dequant(self.conv(self.quant(x)))
        return out


def slowly(layer: Layer) -> list[Fraction]:
    """Every output as a loop over its products, in order (N, O, H', W')."""
    conv, (zero_point,) = layer.conv, layer.source.zero_point
    (stride_y, stride_x), (pad_y, pad_x) = conv.stride, conv.padding
    (dilation_y, dilation_x), (height, width) = conv.dilation, layer.image.shape[2:]
    outputs, taps, kernel_y, kernel_x = layer.weight.shape
    rows = (height + 2 * pad_y - dilation_y * (kernel_y - 1) - 1) // stride_y + 1
    columns = (width + 2 * pad_x - dilation_x * (kernel_x - 1) - 1) // stride_x + 1
    found = []
    for n, o, y, x in product(range(2), range(outputs), range(rows), range(columns)):
        first = o // (outputs // conv.groups) * taps
        acc = layer.params.bias[o]
        for c, ky, kx in product(range(taps), range(kernel_y), range(kernel_x)):
            row, column = y * stride_y + ky * dilation_y, x * stride_x + kx * dilation_x
            row, column = row - pad_y, column - pad_x
            if 0 <= row < height and 0 <= column < width:
                pixel = int(layer.image[n, first + c, row, column]) - zero_point
                acc += pixel * int(layer.weight[o, c, ky, kx])
        # Scales are float32 numbers, also the one from sums to the output's steps.
        product_ = np.float32(layer.params.weight.scale[o]) * np.float32(layer.source.scale[0])
        multiplier = np.float32(product_ / np.float32(layer.output.scale[0]))
        real = acc * exactly(multiplier, layer.output.scale[0])
        real = rounded(real, layer.output)
        found.append(max(real, Fraction(0)) if layer.relu else real)
    return found


@given(layers())
def test_a_convolution_is_its_loop(layer: Layer) -> None:
    recipe = recipe_of(
        {"input": layer.source, "conv": layer.output}, {"conv": layer.params}, "conv"
    )
    found = reference_logits(
        quantized_by_hand(OneLayer(layer), recipe), dequantize(layer.image, layer.source)
    )
    assert np.array_equal(found, as_float(slowly(layer), found.shape))


class AddAndPool(nn.Module):
    """The input and a convolution of it that changes nothing but the grid, added and pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.quant, self.dequant = QuantStub(), DeQuantStub()
        self.conv = nn.Conv2d(1, 1, kernel_size=1, bias=False)
        self.skip_add = FloatFunctional()
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(1, 1)
        with torch.no_grad():
            self.conv.weight.fill_(1.0)
            self.fc.weight.fill_(1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.quant(x)
        x = self.avgpool(self.skip_add.add_relu(self.conv(x), x))
        out: torch.Tensor = self.dequant(self.fc(torch.flatten(x, 1)))
        return out


UNIT = LayerParams(
    weight=QuantParams(dtype=QuantDType.INT8, scale=(1.0,), zero_point=(0,), axis=0), bias=(0,)
)


@given(
    arrays(np.int64, (2, 1, 3, 5), elements=st.integers(0, 255)),
    st.fixed_dictionaries(dict.fromkeys(("input", "conv", "skip_add", "avgpool"), grids)),
)
def test_an_add_and_the_pool_are_fractions_rounded_once_each(
    image: np.ndarray, activations: dict[str, QuantParams]
) -> None:
    x = dequantize(image, activations["input"])
    recipe = recipe_of(activations, {"conv": UNIT, "fc": UNIT}, "fc")
    found = reference_logits(quantized_by_hand(AddAndPool(), recipe), x)
    (input_step,), (conv_step,) = activations["input"].scale, activations["conv"].scale
    multiplier = exactly(np.float32(input_step) / np.float32(conv_step), conv_step)
    for one, logit in zip(image, found.ravel(), strict=True):
        sums = []
        for q in one.ravel().tolist():
            steps = q - activations["input"].zero_point[0]
            total = rounded(steps * multiplier, activations["conv"]) + steps * exactly(input_step)
            sums.append(rounded(max(total, Fraction(0)), activations["skip_add"]))
        assert logit == np.float32(float(rounded(sum(sums) / 15, activations["avgpool"])))


@given(
    arrays(np.int64, (3, 4, 1, 1), elements=st.integers(0, 255)),
    arrays(np.int64, (4, 4), elements=st.integers(-127, 127)),
    st.lists(scales, min_size=4, max_size=4),
    grids,
)
def test_logits_are_exact_sums_in_their_own_scale(
    image: np.ndarray, weight: np.ndarray, steps: list[float], source: QuantParams
) -> None:
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quant, self.dequant, self.fc = QuantStub(), DeQuantStub(), nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.dequant(self.fc(torch.flatten(self.quant(x), 1)))
            return out

    params = LayerParams(
        weight=QuantParams(dtype=QuantDType.INT8, scale=tuple(steps), zero_point=(0,) * 4, axis=0),
        bias=(0, 1, -(2**30), 2**30),
    )
    network = Classifier()
    with torch.no_grad():
        network.fc.weight.copy_(torch.from_numpy(dequantize(weight, params.weight)))
    recipe = recipe_of({"input": source}, {"fc": params}, "fc")
    found = reference_logits(quantized_by_hand(network, recipe), dequantize(image, source))
    sums = (image[:, :, 0, 0] - source.zero_point[0]) @ weight.T + np.array(params.bias)
    scale = (np.array(steps, np.float32) * np.float32(source.scale[0])).astype(np.float64)
    assert np.array_equal(found, (sums * scale).astype(np.float32))
