"""torch's FX graph mode front end: observers are nodes of the traced graph."""

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import torch
import torch.ao.quantization.backend_config.utils  # not imported by its own package in 2.13
from torch import fx, nn
from torch.ao.quantization import QConfigMapping
from torch.ao.quantization.backend_config import (
    BackendConfig,
    BackendPatternConfig,
    DTypeConfig,
    ObservationType,
    get_native_backend_config,
)
from torch.ao.quantization.fx.custom_config import PrepareCustomConfig
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.torch_warnings import expected_deprecations
from eightbit.quantize.front_ends.torch_modules import take_torchs_modules
from eightbit.quantize.front_ends.torch_observers import (
    OBSERVING,
    PreparedNetwork,
    TorchActivationObserver,
)
from eightbit.quantize.network.graph import INPUT, operation_kind, tensor_name, trace
from eightbit.quantize.network.operators import Kind
from eightbit.quantize.torch_settings import no_stack_traces


def observe(fused: nn.Module) -> PreparedNetwork:
    """A traced copy of a fused module with an observer behind every quantized tensor."""
    traced = trace(copy.deepcopy(fused))
    take_torchs_modules(traced)
    with expected_deprecations(), no_stack_traces():
        prepared = prepare_fx(
            traced,
            QConfigMapping().set_global(OBSERVING),
            # Ignored by FX tracing, but asked for.
            example_inputs=(torch.zeros(1, 3, 32, 32),),
            prepare_custom_config=PrepareCustomConfig().set_non_traceable_module_classes(
                [OptionAShortcut]
            ),
            backend_config=_backend_config(),
        )
    return PreparedNetwork(module=prepared, observers=_observers(traced, prepared))


def convert_observed(observed: PreparedNetwork, islands: Mapping[str, nn.Module]) -> nn.Module:
    """Torch's quantized network, once every observer holds its parameters.

    ``islands`` are modules to put into it, by the names of their tensors.
    """
    prepared = cast("fx.GraphModule", observed.module)
    called = {str(node.target) for node in prepared.graph.nodes if node.op == "call_module"}
    adds = [name for name in observed.observers if name not in {INPUT, *called}]
    with expected_deprecations():
        converted = convert_fx(prepared, backend_config=_backend_config())
    _let_shortcuts_move_integers(converted)
    _place_in_adds(converted, adds, islands)
    for name in called & islands.keys():
        converted.set_submodule(name, islands[name])
    if INPUT in islands:
        (pixels,) = converted.graph.find_nodes(op="placeholder")
        (quantize,) = pixels.users
        quantize.replace_all_uses_with(pixels)
    converted.graph.eliminate_dead_code()
    converted.recompile()
    return converted


def _let_shortcuts_move_integers(converted: fx.GraphModule) -> None:
    """Take away what torch leaves around a module that it does not know, as eager mode does."""
    for node in converted.graph.nodes:
        if node.op != "call_module":
            continue
        if isinstance(converted.get_submodule(str(node.target)), OptionAShortcut):
            (dequantize,), (quantize,) = node.args, node.users
            node.replace_input_with(dequantize, dequantize.all_input_nodes[0])
            quantize.replace_all_uses_with(node)


def _place_in_adds(
    converted: fx.GraphModule, adds: Sequence[str], islands: Mapping[str, nn.Module]
) -> None:
    """Replace residual adds, which torch makes functions of; ``adds`` names them in order."""
    nodes = converted.graph.find_nodes(op="call_function", target=torch.ops.quantized.add_relu)
    for node, name in zip(nodes, adds, strict=True):
        if name not in islands:
            continue
        converted.add_submodule(name, islands[name])
        with converted.graph.inserting_before(node):
            placed = converted.graph.call_module(name, node.args[:2])
        node.replace_all_uses_with(placed)


def _backend_config() -> BackendConfig:
    """Torch's own operators, and our shortcut, which moves integers and keeps their scale."""
    quint8 = DTypeConfig(input_dtype=torch.quint8, output_dtype=torch.quint8)
    shortcut = BackendPatternConfig(OptionAShortcut)
    shortcut.set_observation_type(ObservationType.OUTPUT_SHARE_OBSERVER_WITH_INPUT)
    shortcut.set_dtype_configs([quint8])
    return get_native_backend_config().set_backend_pattern_config(shortcut)


def _observers(
    traced: fx.GraphModule, prepared: fx.GraphModule
) -> Mapping[str, TorchActivationObserver]:
    """The observers by tensor name: FX numbers them, the node before each says what it is.

    prepare_fx traces anew and forgets the names of the residual adds, but keeps their order.
    """
    adds = (tensor_name(node) for node in traced.graph.nodes if operation_kind(node) is Kind.ADD)
    observers: dict[str, TorchActivationObserver] = {}
    for node in prepared.graph.nodes:
        observer = prepared.get_submodule(node.target) if node.op == "call_module" else None
        # Pooling shares the observer of its input, which has its name already.
        if not isinstance(observer, TorchActivationObserver) or observer in observers.values():
            continue
        (source,) = node.args
        if source.op == "placeholder":
            observers[INPUT] = observer
        elif source.op == "call_module":
            observers[str(source.target)] = observer
        else:
            observers[str(next(adds))] = observer
    return observers
