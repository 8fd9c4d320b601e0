"""A skeleton builds the network again, and takes nothing that is not one."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.ao.nn.quantized import FloatFunctional

from eightbit.models import Architecture, InputError, Pretrained, build_model
from eightbit.models.spec import ModelSpec
from eightbit.quantize import Network, fuse
from eightbit.quantize.network.fusion import fold
from eightbit.quantize.network.graph import trace
from eightbit.quantize.network.skeleton import MAX_WEIGHTS, Skeleton, Step

Networks = Callable[..., Pretrained]


@pytest.mark.parametrize(
    "architecture",
    [Architecture.CIFAR_RESNET20, Architecture.RESNET18, Architecture.RESNEXT50_32X4D],
)
def test_what_is_built_has_the_skeleton_and_computes_the_same(
    architecture: Architecture, random_network: Networks, noise_images: Callable[..., np.ndarray]
) -> None:
    network = fuse(random_network(architecture))
    built = Skeleton.model_validate_json(network.skeleton.model_dump_json()).build()
    built.load_state_dict(network.module.state_dict())
    again = Network(module=built, spec=network.spec)
    assert again.skeleton == network.skeleton
    assert again.own_skeleton is None
    assert (again.output, again.inputs) == (network.output, network.inputs)
    x = torch.from_numpy(noise_images(2, 64))
    with torch.inference_mode():
        assert torch.equal(built(x), network.module(x))


class Layer(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(x)
        return out


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.MaxPool2d(2, ceil_mode=True), "layer: expected ceil_mode=False, found True"),
        (nn.MaxPool2d(2, dilation=2), "layer: expected dilation=1, found 2"),
        (nn.AdaptiveAvgPool2d((2, 2)), r"layer: expected output_size=1, found \(2, 2\)"),
        (nn.Conv2d(3, 3, 3, padding="same"), "layer: expected padding as numbers, found 'same'"),
        (
            nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
            "layer: expected padding_mode=zeros, found reflect",
        ),
        (nn.Sigmoid(), "layer: expected an operator of a ResNet, found Sigmoid"),
    ],
    ids=["ceil_mode", "dilated pool", "pool to 2x2", "padding by name", "reflection", "sigmoid"],
)
def test_an_attribute_that_is_not_computed_is_named(layer: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Skeleton.of(trace(Layer(layer)))


def test_only_a_network_that_its_name_does_not_build_has_a_skeleton_of_its_own() -> None:
    spec = ModelSpec(architecture=Architecture.CIFAR_RESNET20, num_classes=10)
    model = build_model(Architecture.CIFAR_RESNET20).eval()
    assert Network(module=fold(model), spec=spec).own_skeleton is None
    conv = model.layer1[0].conv1
    conv.dilation = conv.padding = (2, 2)
    network = Network(module=fold(model), spec=spec)
    assert network.own_skeleton == network.skeleton


def test_an_add_of_a_tensor_to_itself_reads_it_twice() -> None:
    class Double(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.skip_add = FloatFunctional()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.skip_add.add_relu(x, x)
            return out

    skeleton = Skeleton.of(trace(Double()))
    built = skeleton.build()
    assert Skeleton.of(trace(built)) == skeleton
    assert built(torch.tensor([3.0, -1.0])).tolist() == [6.0, 0.0]


INPUT = Step(operator="placeholder")
OUTPUT = Step(operator="output", reads=(1,))


@pytest.mark.parametrize(
    "step",
    [
        Step(operator="sigmoid", name="a", reads=(0,)),
        Step(operator="relu", reads=(5,)),
        Step(operator="linear", name="a", reads=(0,), options={"in_features": 3}),
        Step(operator="linear", name="a", reads=(0,), options={"rows": 3}),
        Step(operator="quantize", name="a"),
        Step(operator="flatten"),
    ],
    ids=["unknown", "a later step", "half an option", "another option", "nothing read", "no input"],
)
def test_steps_that_are_no_network_are_refused(step: Step) -> None:
    with pytest.raises(InputError, match="skeleton: step 1: expected an operation on earlier"):
        Skeleton(steps=(INPUT, step, OUTPUT)).build()


def test_more_weights_than_any_network_has_take_no_memory() -> None:
    side = int(MAX_WEIGHTS**0.5) + 1
    options = {"in_features": side, "out_features": side, "bias": 0}
    wide = Step(operator="linear", name="fc", reads=(0,), options=options)
    with pytest.raises(InputError, match=r"expected at most \d+ weights, found more"):
        Skeleton(steps=(INPUT, wide, OUTPUT)).build()


@pytest.mark.parametrize(
    "name", ["forward", "a.training", "a..b", "_x", 'a"b', "a b", "a.", "x" * 501]
)
def test_a_name_that_is_no_modules_own_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Step(operator="quantize", name=name, reads=(0,))
