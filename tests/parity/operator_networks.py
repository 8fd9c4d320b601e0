"""Tiny networks of 16 px images, one for each operation that a network may have besides a ResNet's.

Each takes float32 (N, 3, 16, 16) and returns logits (N, 5).
"""

from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE: Final = 16
CLASSES: Final = 5


class Net(nn.Module):
    """A convolution, what is tested, and a classifier behind a global average."""

    def __init__(self, middle: nn.Module, channels: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.middle = middle
        self.last = nn.Conv2d(channels, 8, 1)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 5)."""
        out: Tensor = self.fc(self.last(self.middle(self.stem(x))).mean((2, 3)))
        return out


class Of(nn.Module):
    """A function of maps as a module, with two convolutions that it may use."""

    def __init__(self, function: Callable[["Of", Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.a = nn.Conv2d(8, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 1)
        self.dense = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        """The function of the maps."""
        return self.function(self, x)


def _batch_norm() -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(8)
    norm.running_mean = torch.linspace(-1, 1, 8)
    norm.running_var = torch.linspace(0.3, 2, 8)
    return norm


def _shuffled(of: Of, x: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return of.a(x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w))


def _split(of: Of, x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=1)
    return torch.cat([first, torch.relu(second), first[:, 1:2], second[:, 0].unsqueeze(1)], 1)


def _dense(of: Of, x: Tensor) -> Tensor:
    one = of.a(x)
    two = of.b(torch.cat([x, one], 1)[:, :8])
    return torch.cat([x, one, two], 1)


def _gate(of: Of, x: Tensor) -> Tensor:
    gate = torch.sigmoid(of.b(F.adaptive_avg_pool2d(torch.relu(of.a(x)), 1)))
    return x * gate


def _excited(of: Of, x: Tensor) -> Tensor:
    """Two blocks with squeeze and excitation, whose sums need the grids of the products."""
    for convolution in (of.a, of.b):
        y = F.hardswish(convolution(x))
        gate = F.hardsigmoid(of.dense(F.silu(y.mean((2, 3)))))[:, :, None, None]
        x = x + y * gate
    return x


def _curves(of: Of, x: Tensor) -> Tensor:
    """Curves one behind the other, of what else is read, and of a sum."""
    y = of.a(x)
    one = F.gelu(y, approximate="tanh")
    two = F.mish(of.b(one)) + one
    return torch.tanh(two) + F.elu(torch.sigmoid(y) * 3 - 1) + torch.sigmoid(-two)


def _by_hand(of: Of, x: Tensor) -> Tensor:
    """A hard swish, a swish of another slope and a square, as people write them."""
    y = x * F.relu6(x + 3) / 6
    z = of.a(y)
    return of.b(z * torch.sigmoid(1.702 * z)) ** 2


def _maps(of: Of, x: Tensor) -> Tensor:
    """Maps by maps, by one map for all channels, and by themselves."""
    y = of.a(x).relu() * of.b(x)
    z = y * torch.sigmoid(y.mean(1, keepdim=True))
    return z * z


NETWORKS: Final[dict[str, Callable[[], nn.Module]]] = {
    "relu6 behind a convolution": lambda: Net(nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU6())),
    "clip of a sum": lambda: Net(Of(lambda of, x: F.hardtanh(of.a(x) + of.b(x), 0, 0.7))),
    "clip alone": lambda: Net(Of(lambda of, x: of.a(x.clamp(-0.2, 0.3)))),
    "relu of what else is read": lambda: Net(Of(lambda of, x: of.a(torch.relu(x)) + x)),
    "sum without relu": lambda: Net(Of(lambda of, x: of.a(x).add_(x))),
    "batch norm alone": lambda: Net(nn.Sequential(nn.ReLU(), _batch_norm(), nn.ReLU())),
    "concatenation": lambda: Net(
        Of(lambda of, x: torch.cat([of.a(x), of.b(x)], dim=1)), channels=16
    ),
    "concatenation of relu and not": lambda: Net(
        Of(lambda of, x: torch.cat([of.a(x).relu(), of.b(x)], dim=1)), channels=16
    ),
    "concatenation of relu6 and relu": lambda: Net(
        Of(lambda of, x: torch.cat([F.hardtanh(of.a(x), 0, 0.1), of.b(x).relu()], 1)), channels=16
    ),
    "dense concatenations": lambda: Net(Of(_dense), channels=24),
    "max pool with ceil_mode": lambda: Net(nn.MaxPool2d(3, 2, ceil_mode=True)),
    "max pool with dilation": lambda: Net(nn.MaxPool2d(3, 2, padding=1, dilation=2)),
    "average pool": lambda: Net(nn.AvgPool2d(2)),
    "average pool with padding": lambda: Net(nn.AvgPool2d(3, 2, padding=1)),
    "average pool that leaves padding out": lambda: Net(
        nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)
    ),
    "average pool with ceil_mode": lambda: Net(nn.AvgPool2d(3, 2, ceil_mode=True)),
    "pool to 4 x 4": lambda: Net(nn.AdaptiveAvgPool2d(4)),
    "pool to 3 x 5": lambda: Net(nn.AdaptiveAvgPool2d((3, 5))),
    "padding on two sides": lambda: Net(
        nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(8, 8, 3, stride=2))
    ),
    "padding with another number": lambda: Net(Of(lambda of, x: of.a(F.pad(x, (1, 2), value=0.5)))),
    "reflected padding": lambda: Net(
        nn.Sequential(nn.ReflectionPad2d((1, 0, 1, 2)), nn.Conv2d(8, 8, 3))
    ),
    "even kernel padded to the same size": lambda: Net(nn.Conv2d(8, 8, 4, padding="same")),
    "channel shuffle": lambda: Net(Of(_shuffled)),
    "split": lambda: Net(Of(_split), channels=10),
    "upsampling by copying": lambda: Net(nn.UpsamplingNearest2d(scale_factor=2)),
    "upsampling to another size": lambda: Net(nn.Upsample(size=(23, 19), mode="bilinear")),
    "gate of channels": lambda: Net(Of(_gate)),
    "gates beside sums": lambda: Net(Of(_excited)),
    "curves": lambda: Net(Of(_curves)),
    "curves by hand": lambda: Net(Of(_by_hand)),
    "products of maps": lambda: Net(Of(_maps)),
    "maps of six channels": lambda: Net(
        nn.Sequential(nn.Conv2d(8, 6, 1), nn.SiLU(), nn.Conv2d(6, 6, 3), nn.Conv2d(6, 8, 1))
    ),
    "silu": lambda: Net(nn.SiLU()),
    "hard swish": lambda: Net(nn.Hardswish()),
    "gelu": lambda: Net(nn.GELU()),
    "layer norm over channels": lambda: Net(
        Of(lambda of, x: F.layer_norm(x.permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2))
    ),
    "group norm": lambda: Net(nn.GroupNorm(2, 8)),
    "leaky relu": lambda: Net(nn.LeakyReLU(0.1)),
    "parametric relu": lambda: Net(nn.PReLU(8)),
    "parametric relu with one slope": lambda: Net(nn.PReLU()),
    "transposed convolution": lambda: Net(nn.ConvTranspose2d(8, 8, 2, stride=2)),
    "linear with relu": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(3 * SIDE**2, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, CLASSES)
    ),
    "linear over last channels": lambda: Net(
        Of(
            lambda of, x: F.linear(x.permute(0, 2, 3, 1), of.b.weight.flatten(1)).permute(
                0, 3, 1, 2
            )
        )
    ),
}
