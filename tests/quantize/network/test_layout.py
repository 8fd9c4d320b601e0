"""A network that keeps channels last is the one that keeps them second, without permutations."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eightbit.quantize.network.graph import trace
from eightbit.quantize.network.importing import imported
from eightbit.quantize.network.skeleton import Skeleton, Step

SIDE = 8

Layer = Callable[[Tensor], Tensor]
Function = Callable[["Parts", Tensor], Tensor]


class Parts(nn.Module):
    """Layers of four channels, and a function of them and of images (N, 3, 8, 8)."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.reduce, self.expand = nn.Linear(4, 2), nn.Linear(2, 4)
        self.scale = nn.Parameter(torch.rand(4))
        self.fc, self.flat = nn.Linear(4, 2), nn.Linear(4 * SIDE * SIDE, 2)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """The function of the images."""
        return self.function(self, x)

    def last(self, layer: Layer, x: Tensor) -> Tensor:
        """A layer of channels second on maps whose channels stand last."""
        return layer(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def steps(function: Function) -> tuple[Step, ...]:
    """Operators, attributes and what they read, but not what they are called."""
    module = Parts(function).eval()
    network = imported(module, SIDE)
    images = torch.randn(3, 3, SIDE, SIDE)
    with torch.inference_mode():
        torch.testing.assert_close(network(images), module(images))
    skeleton = Skeleton.of(trace(network))
    return tuple(step.model_copy(update={"name": ""}) for step in skeleton.steps)


def _second(m: Parts, x: Tensor) -> Tensor:
    return m.a(x)


def _last(m: Parts, x: Tensor) -> Tensor:
    return m.a(x).permute(0, 2, 3, 1)


def _gate(m: Parts, pooled: Tensor) -> Tensor:
    return torch.sigmoid(m.expand(F.relu(m.reduce(pooled))))


PAIRS: dict[str, tuple[Function, Function]] = {
    "an activation belongs to its convolution": (
        lambda m, x: m.fc(F.relu(_second(m, x)).mean((2, 3))),
        lambda m, x: m.fc(F.relu(_last(m, x)).mean((1, 2))),
    ),
    "a residual sum with its activation": (
        lambda m, x: m.fc(F.relu(m.b(_second(m, x)) + _second(m, x)).mean((2, 3))),
        lambda m, x: m.fc(F.relu(m.last(m.b, _last(m, x)) + _last(m, x)).mean((1, 2))),
    ),
    "concatenation, of the other dimension": (
        lambda m, x: m.fc(
            torch.cat([_second(m, x), m.b(_second(m, x))], 1)[:, 2:6].mean((2, 3)),
        ),
        lambda m, x: m.fc(
            torch.cat([_last(m, x), m.last(m.b, _last(m, x))], -1)[..., 2:6].mean((1, 2)),
        ),
    ),
    "parts": (
        lambda m, x: m.fc(torch.cat(_second(m, x).split([1, 3], 1)[::-1], 1).mean((2, 3))),
        lambda m, x: m.fc(torch.cat(_last(m, x).split([1, 3], 3)[::-1], 3).mean((1, 2))),
    ),
    "padding below and right": (
        lambda m, x: m.fc(F.max_pool2d(F.pad(_second(m, x), (0, 1, 0, 2)), 3).mean((2, 3))),
        lambda m, x: m.fc(
            m.last(lambda y: F.max_pool2d(y, 3), F.pad(_last(m, x), (0, 0, 0, 1, 0, 2))).mean(
                (1, 2)
            )
        ),
    ),
    "a gate, from a vector": (
        lambda m, x: m.fc(
            (_second(m, x) * _gate(m, _second(m, x).mean((2, 3))).reshape(-1, 4, 1, 1)).mean((2, 3))
        ),
        lambda m, x: m.fc(
            (_last(m, x) * _gate(m, _last(m, x).mean((1, 2))).reshape(-1, 1, 1, 4)).mean((1, 2))
        ),
    ),
    "a gate, from maps of one pixel": (
        lambda m, x: m.fc(
            (_second(m, x) * m.b(_second(m, x).mean((2, 3), True)).sigmoid()).mean((2, 3))
        ),
        lambda m, x: m.fc(
            (_last(m, x) * m.last(m.b, _last(m, x).mean((1, 2), True)).sigmoid()).mean((1, 2))
        ),
    ),
    "weights for each channel": (
        lambda m, x: m.fc((_second(m, x) * m.scale[None, :, None, None]).mean((2, 3))),
        lambda m, x: m.fc((_last(m, x) * m.scale).mean((1, 2))),
    ),
    "images that are permuted back": (
        lambda m, x: m.fc(_second(m, x).mean((2, 3))),
        lambda m, x: m.fc(m.a(x.permute(0, 2, 3, 1).permute(0, 3, 1, 2)).mean((2, 3))),
    ),
    "flattened, with the weights in the other order": (
        lambda m, x: m.flat(_second(m, x).flatten(1)),
        lambda m, x: m.flat(_last(m, x).flatten(1)),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_channels_last_are_channels_second(name: str) -> None:
    second, last = PAIRS[name]
    assert steps(last) == steps(second)


def test_what_reads_a_permuted_map_is_not_given_the_activation_of_another_reader() -> None:
    def both(m: Parts, x: Tensor) -> Tensor:
        maps = _last(m, x)
        rectified = F.relu(maps.permute(0, 3, 1, 2))
        return m.flat(maps.flatten(1)) + m.fc(rectified.mean((2, 3)))

    assert [step.operator for step in steps(both)].count("conv_relu") == 0


def test_what_needs_the_last_dimension_keeps_its_permutation() -> None:
    def normalised(m: Parts, x: Tensor) -> Tensor:
        return m.fc(F.layer_norm(_last(m, x), (4,)).mean((1, 2)))

    assert [step.operator for step in steps(normalised)].count("permute") == 1


def test_pixels_as_a_sequence_keep_their_order() -> None:
    def sequence(m: Parts, x: Tensor) -> Tensor:
        return m.fc(
            F.linear(_last(m, x).reshape(-1, SIDE * SIDE, 4), m.b.weight[:, :, 0, 0]).mean(1)
        )

    assert [step.operator for step in steps(sequence)].count("permute") == 1
