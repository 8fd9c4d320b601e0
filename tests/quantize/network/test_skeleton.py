"""A skeleton builds the network again, and takes nothing that is not one."""

import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tests.hostile.inputs.models import skeleton
from torch import nn

from eightbit.models import Architecture, InputError, Pretrained, build_model
from eightbit.models.networks.fusable import fold
from eightbit.models.networks.quantizable import FloatFunctional
from eightbit.models.spec import ModelSpec
from eightbit.quantize import Network, fuse
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
        (nn.AdaptiveAvgPool2d((2, 2)), r"layer: expected output_size=1, found \(2, 2\)"),
        (nn.Conv2d(3, 3, 3, padding="same"), "layer: expected padding as numbers, found 'same'"),
        (
            nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
            "layer: expected padding_mode=zeros, found reflect",
        ),
        (nn.Sigmoid(), "layer: expected an operator known here, found Sigmoid"),
    ],
    ids=["pool to 2x2", "padding by name", "reflection", "sigmoid"],
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


def chain(rng: random.Random) -> dict[str, Any]:
    """Steps that read each other as those of a network do, with other sizes and names."""

    def size() -> int:
        return rng.choice((0, 1, 3, 3, 2**16, 2**31 - 1))

    sizes = ("in_channels", "out_channels", "groups", "bias")
    pairs = ("kernel_size", "stride", "padding", "dilation")
    steps: list[dict[str, Any]] = [{"operator": "placeholder"}]
    for _ in range(rng.randrange(1, 8)):
        operator = rng.choice(("conv", "conv_relu", "linear", "max_pool", "quantize", "add"))
        options: dict[str, Any] = {}
        if operator.startswith("conv"):
            options = {name: size() for name in sizes}
            options |= {name: (size(), size()) for name in pairs}
        elif operator == "linear":
            options = {name: size() for name in ("in_features", "out_features", "bias")}
        elif operator == "max_pool":
            options = {name: size() for name in ("kernel_size", "stride", "padding")}
        name = rng.choice(("a", "b", "a.weight", "a.b.c", "weight", "conv.bias"))
        reads = [len(steps) - 1] * (2 if operator == "add" else 1)
        steps.append({"operator": operator, "name": name, "reads": reads, "options": options})
    return {"steps": [*steps, {"operator": "output", "reads": [len(steps) - 1]}]}


@pytest.mark.parametrize("seed", range(0, 200, 20))
def test_a_skeleton_of_a_stranger_is_built_or_refused_in_one_line(seed: int) -> None:
    """Sizes beyond all memory, circles, names of weights: warnings are errors here."""
    for number in range(seed, seed + 20):
        rng = random.Random(number)
        document = chain(rng) if number % 2 else skeleton(rng)
        try:
            Skeleton.model_validate_json(json.dumps(document)).build()
        except ValidationError:
            continue
        except InputError as exc:
            assert str(exc).isprintable()
            assert len(str(exc)) < 300


def test_a_module_does_not_take_the_place_of_a_weight() -> None:
    steps = (
        Step(operator="placeholder"),
        Step(
            operator="linear",
            name="a",
            reads=(0,),
            options={"in_features": 1, "out_features": 1, "bias": 1},
        ),
        Step(operator="quantize", name="a.weight", reads=(1,)),
        Step(operator="output", reads=(2,)),
    )
    with pytest.raises(InputError, match="expected a to hold no other module"):
        Skeleton(steps=steps).build()
