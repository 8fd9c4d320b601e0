"""A network is the same whatever way its operations are spelled, and computes what it computed."""

import operator
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eightbit.models import InputError
from eightbit.quantize.network.graph import trace
from eightbit.quantize.network.importing import imported
from eightbit.quantize.network.skeleton import Skeleton, Step

SIDE = 8

Function = Callable[["Maps", Tensor], Tensor]


class Maps(nn.Module):
    """Maps from two convolutions, and a function of them."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.fc = nn.Linear(4, 2)
        self.act, self.pool, self.drop = (
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Dropout(),
        )
        self.norm = nn.BatchNorm2d(4)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """The function of the images."""
        return self.function(self, x)


def steps(function: Function) -> tuple[Step, ...]:
    """Operators, attributes and what they read, but not what they are called."""
    network = imported(Maps(function).eval(), SIDE)
    skeleton = Skeleton.of(trace(network))
    return tuple(step.model_copy(update={"name": ""}) for step in skeleton.steps)


def _tail(m: Maps, x: Tensor) -> Tensor:
    return m.fc(torch.flatten(m.pool(x), 1))


SPELLINGS: dict[str, tuple[Function, ...]] = {
    "add": (
        lambda m, x: _tail(m, m.b(m.a(x)) + m.a(x)),
        lambda m, x: _tail(m, operator.add(m.b(m.a(x)), m.a(x))),
        lambda m, x: _tail(m, torch.add(m.b(m.a(x)), m.a(x))),
        lambda m, x: _tail(m, m.b(m.a(x)).add_(m.a(x))),
        lambda m, x: _tail(m, operator.iadd(m.b(m.a(x)), m.a(x))),
        lambda m, x: _tail(m, sum([m.b(m.a(x)), m.a(x)])),
        lambda m, x: _tail(m, 0 + (m.b(m.a(x)) * 1.0 - 0) / 1 + m.a(x)),
    ),
    "relu": (
        lambda m, x: _tail(m, m.act(m.a(x))),
        lambda m, x: _tail(m, F.relu(m.a(x))),
        lambda m, x: _tail(m, m.a(x).relu()),
        lambda m, x: _tail(m, torch.relu_(m.a(x))),
        lambda m, x: _tail(m, m.a(x).clamp(min=0)),
        lambda m, x: _tail(m, m.drop(F.relu(m.a(x).contiguous(), inplace=True))),
    ),
    "relu6": (
        lambda m, x: _tail(m, F.relu6(m.a(x))),
        lambda m, x: _tail(m, nn.ReLU6()(m.a(x))),
        lambda m, x: _tail(m, m.a(x).clamp(0, 6)),
        lambda m, x: _tail(m, F.hardtanh(m.a(x), 0, 6)),
    ),
    "global pool": (
        lambda m, x: _tail(m, m.a(x)),
        lambda m, x: m.fc(m.a(x).mean((2, 3))),
        lambda m, x: m.fc(m.a(x).mean([-1, -2])),
        lambda m, x: m.fc(F.adaptive_avg_pool2d(m.a(x), 1).squeeze(-1).squeeze(-1)),
        lambda m, x: m.fc(F.avg_pool2d(m.a(x), SIDE).view(x.size(0), -1)),
        lambda m, x: m.fc(m.pool(m.a(x)).reshape(len(x), 4)),
    ),
    "max pool": (
        lambda m, x: _tail(m, F.max_pool2d(m.a(x), 2)),
        lambda m, x: _tail(m, nn.MaxPool2d(2, 2, ceil_mode=True)(m.a(x))),
        lambda m, x: _tail(m, torch.max_pool2d(m.a(x), (2, 2), (2, 2))),
    ),
    "concatenation": (
        lambda m, x: _tail(m, torch.cat([m.a(x), m.b(m.a(x))], 1)[:, :4]),
        lambda m, x: _tail(m, torch.concat((m.a(x), m.b(m.a(x))), dim=-3).narrow(1, 0, 4)),
    ),
    "batch norm": (
        lambda m, x: _tail(m, m.norm(m.a(x))),
        lambda m, x: _tail(
            m,
            F.batch_norm(
                m.a(x), m.norm.running_mean, m.norm.running_var, m.norm.weight, m.norm.bias
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_all_spellings_of_an_operation_are_one(name: str) -> None:
    first, *others = (steps(spelling) for spelling in SPELLINGS[name])
    assert all(other == first for other in others)


def names(module: nn.Module) -> list[str]:
    skeleton = Skeleton.of(trace(imported(module.eval(), SIDE)))
    return [step.name for step in skeleton.steps if step.name]


def test_tensors_are_called_like_the_modules_that_make_them() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self._conv = nn.Conv2d(3, 3, 1)
            self.other = nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self._conv(x) + self.other(self.other(x))

    network = nn.Sequential(Block(), nn.Flatten(), nn.Linear(3 * SIDE**2, 2))
    assert names(network) == ["quant", "0.conv", "0.other", "0.other_2", "0.add", "2", "dequant"]


def test_what_reads_a_tensor_that_was_overwritten_reads_the_new_one() -> None:
    def overwritten(m: Maps, x: Tensor) -> Tensor:
        y = m.a(x)
        z = m.b(y)
        torch.relu_(y)
        return _tail(m, z + y)

    module = Maps(overwritten).eval()
    images = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        torch.testing.assert_close(imported(module, SIDE)(images), module(images))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda m, x: _tail(m, m.a(x).cumsum(1)), r"cumsum.default: expected an operator of a"),
        (lambda m, x: (m.a(x), m.b(m.a(x))), "expected a network with one tensor as its result"),
        (lambda m, x: _tail(m, m.a(x)[:1]), "expected all images of a batch together, found some"),
        (lambda m, x: _tail(m, m.a(x) + torch.randn(4, 1, 1)), "does it draw random numbers"),
        (lambda m, x: _tail(m, m.b(x)), "found one that raises RuntimeError"),
    ],
    ids=["an unknown operator", "two results", "a part of the batch", "chance", "its own error"],
)
def test_what_cannot_be_computed_is_refused_by_name(function: Function, message: str) -> None:
    with pytest.raises(InputError, match=message):
        imported(Maps(function).eval(), SIDE)


def test_a_network_that_counts_its_calls_is_refused() -> None:
    class Counting(Maps):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return _tail(self, self.a(x) * float(self.calls))

    with pytest.raises(InputError, match="expected a network whose operations, traced, compute"):
        imported(Counting(_tail).eval(), SIDE)


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a network in eval mode"):
        imported(Maps(_tail), SIDE)
