"""The float network as one value, which every stage behind fusion is handed."""

from dataclasses import dataclass, field
from functools import cache, cached_property

import torch
from torch import fx, nn

from eightbit.models.doors.pretrained import Pretrained
from eightbit.models.networks.fusable import FusableNetwork, fold
from eightbit.models.spec import Architecture, ModelSpec
from eightbit.models.torch_state import own_state
from eightbit.quantize.network.fusion import fused_architecture, integer_layers
from eightbit.quantize.network.graph import (
    attribute,
    operation_kind,
    source_name,
    sources,
    trace,
)
from eightbit.quantize.network.operators import Kind
from eightbit.quantize.network.placement import float_candidates, logits_name
from eightbit.quantize.network.skeleton import Skeleton


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A fused float network; its graph is traced once.

    Attributes:
        module: Takes float32 (N, 3, H, W), gives logits (N, classes), or features without a top.
        traced: Its operations; shares the module's parameters. `graph.tensor_name` reads its nodes.
        skeleton: Its operations as data, from which it is built again without its weights.

    Raises:
        InputError: It has an operation that is not computed here.
    """

    module: nn.Module
    spec: ModelSpec
    traced: fx.GraphModule = field(init=False)
    skeleton: Skeleton = field(init=False)

    def __post_init__(self) -> None:
        traced = trace(self.module)
        object.__setattr__(self, "traced", traced)
        object.__setattr__(self, "skeleton", Skeleton.of(traced))

    @property
    def graph(self) -> fx.Graph:
        """The operations in order of execution."""
        return self.traced.graph

    @cached_property
    def layers(self) -> dict[str, nn.Conv2d | nn.Linear]:
        """The layers with weights, by module name, in order of definition."""
        return integer_layers(self.module)

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        """All weights: those of layers as `LAYER.weight` and `LAYER.bias`, others by their name."""
        found = {
            f"{name}.{kind}": getattr(layer, kind)
            for name, layer in self.layers.items()
            for kind in ("weight", "bias")
        }
        for node in self.graph.nodes:
            if node.op == "get_attr":
                found[str(node.target)] = attribute(self.traced, str(node.target))
        return found

    @cached_property
    def inputs(self) -> dict[str, str]:
        """For every layer with weights, the name of the tensor that it reads."""
        return {
            str(node.target): next(sources(node))
            for node in self.graph.nodes
            if operation_kind(node) in (Kind.CONV, Kind.LINEAR)
        }

    @cached_property
    def output(self) -> str:
        """Name of the tensor that it returns."""
        return source_name(self.graph.output_node())

    @cached_property
    def logits(self) -> str | None:
        """Name of the linear layer whose result is the output, None if there is none."""
        return logits_name(self.graph)

    @cached_property
    def float_candidates(self) -> tuple[str, ...]:
        """Names of the operations that a recipe may leave in float, in order of execution."""
        return float_candidates(self.graph)

    @cached_property
    def own_skeleton(self) -> Skeleton | None:
        """The skeleton; None where the spec's architecture, built by its name, has the same."""
        architecture = self.spec.architecture
        if not isinstance(architecture, Architecture):
            return self.skeleton
        named = _named_skeleton(architecture, self.spec.num_classes)
        return None if named == self.skeleton else self.skeleton


@own_state()
def fuse(pretrained: Pretrained) -> Network:
    """The network that is quantized: BatchNorm folded, ReLU attached; a copy.

    Raises:
        InputError: It has an operation that is not computed here.
        ValueError: It is in training mode, where statistics still move.
    """
    return Network(module=_folded(pretrained.model, pretrained.spec), spec=pretrained.spec)


def _folded(model: nn.Module, spec: ModelSpec) -> nn.Module:
    if isinstance(model, FusableNetwork):
        return fold(model)
    # Here, since torch.export takes a second to load.
    from eightbit.quantize.network.importing import imported

    return imported(model, spec.preprocessing.crop)


@cache
def _named_skeleton(architecture: Architecture, num_classes: int) -> Skeleton:
    spec = ModelSpec(architecture=architecture, num_classes=num_classes)
    return Skeleton.of(trace(unweighted(spec, None)))


def unweighted(spec: ModelSpec, skeleton: Skeleton | None) -> nn.Module:
    """The fused module with weights that are yet to be replaced, from the skeleton or architecture.

    Raises:
        InputError: The skeleton is of no network.
    """
    if skeleton is not None:
        return skeleton.build()
    # On the meta device torch would load its compiler to fold, which takes seconds.
    with torch.random.fork_rng(devices=[]):
        return fused_architecture(spec)
