"""Which tensors are quantized once some layers stay in float, worked out by hand."""

import pytest
import torch
from torch import fx

from eightbit.models import Architecture, build_model
from eightbit.models.networks.fusable import fold
from eightbit.models.networks.quantizable import QuantStub
from eightbit.quantize.network.graph import trace
from eightbit.quantize.network.importing import imported
from eightbit.quantize.network.placement import (
    float_candidates,
    float_operators,
    logits_name,
    quantized_tensors,
)

CHANGES = [
    pytest.param((), set(), {}, id="nothing: all but the logits"),
    pytest.param(("conv1",), {"input"}, {"conv": 1}, id="the first conv reads the real image"),
    pytest.param(
        ("layer2.0.conv1",), set(), {"conv": 1}, id="a conv between integer ones rounds its result"
    ),
    pytest.param(
        ("layer1.0.skip_add",), set(), {}, id="an add between integer operations is an integer add"
    ),
    pytest.param(
        ("layer1.0.conv2", "layer1.0.skip_add"),
        {"layer1.0.conv2"},
        {"conv": 1, "add": 1},
        id="what one float operation hands another stays real",
    ),
    pytest.param(
        ("conv1", "layer1.0.conv1"),
        {"input"},
        {"conv": 2},
        id="an integer add reads behind the max pooling",
    ),
    pytest.param(
        ("conv1", "layer1.0.conv1", "layer1.0.skip_add"),
        {"input", "conv1"},
        {"conv": 2, "add": 1, "pool": 1},
        id="max pooling between float operations moves real numbers",
    ),
    pytest.param(("fc",), set(), {"linear": 1}, id="the classifier reads what the pool rounded"),
    pytest.param(
        ("layer4.1.skip_add",), set(), {}, id="an add before an integer pool is an integer add"
    ),
    pytest.param(
        ("layer4.1.skip_add", "fc"),
        {"layer4.1.skip_add", "avgpool"},
        {"add": 1, "linear": 1, "pool": 1},
        id="the pool between float operations is in float",
    ),
]


@pytest.fixture(scope="module")
def graph() -> fx.Graph:
    return trace(fold(build_model(Architecture.RESNET18).eval())).graph


def named(graph: fx.Graph) -> set[str]:
    """Every tensor of the network that has a name."""
    return {"input", "avgpool", *float_candidates(graph)}


@pytest.mark.parametrize(("float_layers", "real", "operators"), CHANGES)
def test_the_tensors_that_stay_real(
    graph: fx.Graph,
    float_layers: tuple[str, ...],
    real: set[str],
    operators: dict[str, int],
) -> None:
    quantized = quantized_tensors(graph, float_layers)
    assert named(graph) - set(quantized) == {"fc", *real}
    counted = float_operators(graph, float_layers)
    assert {kind: number for kind, number in counted.items() if number} == operators


def test_they_come_in_the_order_of_execution(graph: fx.Graph) -> None:
    quantized = quantized_tensors(graph)
    assert quantized[:3] == ("input", "conv1", "layer1.0.conv1")
    assert quantized[-2:] == ("layer4.1.skip_add", "avgpool")


def test_everything_in_float_quantizes_nothing(graph: fx.Graph) -> None:
    everything = float_candidates(graph)
    assert quantized_tensors(graph, everything) == ()
    assert float_operators(graph, everything) == {"conv": 20, "add": 8, "linear": 1, "pool": 2}


def test_a_network_without_a_classifier_ends_in_a_quantized_tensor() -> None:
    graph = trace(fold(build_model(Architecture.CIFAR_RESNET20, include_top=False).eval())).graph
    assert logits_name(graph) is None
    assert "layer3.2.skip_add" in quantized_tensors(graph)
    assert "layer3.2.skip_add" not in quantized_tensors(graph, ["layer3.2.skip_add"])


def test_the_option_a_shortcut_is_looked_through() -> None:
    graph = trace(fold(build_model(Architecture.CIFAR_RESNET20).eval())).graph
    block = ("layer1.2.skip_add", "layer2.0.conv1")
    # The shortcut hands it to an integer add.
    assert "layer1.2.skip_add" in quantized_tensors(graph, block)
    assert "layer1.2.skip_add" not in quantized_tensors(graph, (*block, "layer2.0.skip_add"))


def test_a_linear_layer_inside_a_network_is_rounded() -> None:
    class Two(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quant = QuantStub()
            self.hidden = torch.nn.Linear(4, 4)
            self.head = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = self.head(self.hidden(self.quant(x)))
            return out

    graph = trace(Two().eval()).graph
    assert logits_name(graph) == "head"
    assert quantized_tensors(graph) == ("input", "hidden")


class Gated(torch.nn.Module):
    """A map with a SiLU, its gate behind a pool and another SiLU, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 1)
        self.squeeze, self.head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.nn.functional.silu(self.conv(x))
        gate = torch.nn.functional.silu(x.mean((2, 3)))
        gate = torch.sigmoid(self.squeeze(gate))[:, :, None, None]
        out: torch.Tensor = self.head((x * gate).mean((2, 3)))
        return out


def test_products_and_their_gates_are_rounded() -> None:
    graph = trace(imported(Gated().eval(), 8)).graph
    assert quantized_tensors(graph) == (
        *("input", "conv", "net.sigmoid", "net.silu", "net.pool", "net.sigmoid_2", "net.silu_2"),
        *("squeeze", "net.sigmoid_3", "net.mul", "net.pool_2"),
    )
    assert not +float_operators(graph)


def test_pools_and_products_between_float_operations_are_in_float() -> None:
    graph = trace(imported(Gated().eval(), 8)).graph
    assert quantized_tensors(graph, float_candidates(graph)) == ()
    assert float_operators(graph, float_candidates(graph)) == (
        {"conv": 1, "linear": 2, "pool": 2, "product": 3}
    )
    # Between the convolution and the layer in the gate all are beside an integer.
    left = quantized_tensors(graph, ("squeeze", "head"))
    assert left[:6] == ("input", "conv", "net.sigmoid", "net.silu", "net.pool", "net.sigmoid_2")
