"""A network without its weights, as data from which artefacts are built again.

A skeleton lists the operations of a fused network in order of execution. It defines what can be
computed in integers: any other operation or attribute is refused.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, cast

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field, StringConstraints
from torch import fx, nn
from torch.ao.nn.intrinsic import ConvReLU2d
from torch.ao.quantization import DeQuantStub, QuantStub

from eightbit.models.errors import InputError
from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.spec import FrozenModel
from eightbit.quantize.network.graph import OBSERVER_SUFFIX, inputs_of, tensor_name

# Far beyond any classifier: a ResNet-152 has 570 steps and 60 million weights.
MAX_STEPS: Final = 100_000
MAX_WEIGHTS: Final = 2**29

_TAKEN: Final = frozenset(dir(nn.Module()))


def _is_free(name: str) -> str:
    if not _TAKEN.isdisjoint(name.split(".")):
        raise ValueError(f"expected a module's own name, found {name}")
    return name


# Names become attributes, and source code that torch compiles: nothing but names gets there.
ModulePath = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z0-9][A-Za-z0-9_]*(\.[A-Za-z0-9][A-Za-z0-9_]*)*)?$"),
    Field(max_length=500),
    AfterValidator(_is_free),
]
Size = Annotated[int, Field(ge=0, le=2**31 - 1)]


class Step(FrozenModel):
    """One operation.

    Attributes:
        name: Of its module, or of a residual add's tensor; empty if it has none.
        reads: Indices of the earlier steps whose results it takes.
        options: The attributes of its module.
    """

    operator: str
    name: ModulePath = ""
    reads: tuple[Size, ...] = ()
    options: Mapping[str, Size | tuple[Size, ...]] = {}


class Skeleton(FrozenModel):
    """The operations of a fused network in order: first the input, last the output."""

    steps: Annotated[tuple[Step, ...], Field(max_length=MAX_STEPS)]

    @classmethod
    def of(cls, traced: fx.GraphModule) -> "Skeleton":
        """The skeleton of a traced network.

        Raises:
            InputError: It has an operation, or an attribute of one, that is not computed here.
        """
        places = {node: place for place, node in enumerate(traced.graph.nodes)}
        return cls(
            steps=tuple(
                Step(
                    reads=tuple(places[source] for source in inputs_of(node)),
                    **_described(traced, node),
                )
                for node in traced.graph.nodes
            )
        )

    def build(self) -> nn.Module:
        """The fused network with weights that are yet to be replaced; its trace has this skeleton.

        Raises:
            InputError: The steps are no network, or one with more than `MAX_WEIGHTS` weights.
        """
        graph = fx.Graph()
        modules: dict[str, nn.Module] = {}
        nodes: list[fx.Node] = []
        for place, step in enumerate(self.steps):
            try:
                sources = [nodes[read] for read in step.reads]
                nodes.append(_BUILDERS[step.operator](step, graph, sources, modules))
            except (LookupError, TypeError, ValueError, RuntimeError) as exc:
                raise InputError(
                    f"skeleton: step {place}: expected an operation on earlier steps, found "
                    f"{step.operator[:40]!r}, which cannot be built"
                ) from exc
        around = {name[:end] for name in modules for end in _dots(name)}
        for name in sorted(around & modules.keys())[:1]:
            # The module in it would take the place of a weight.
            raise InputError(f"skeleton: expected {name[:40]} to hold no other module, found one")
        if sum(p.numel() for module in modules.values() for p in module.parameters()) > MAX_WEIGHTS:
            raise InputError(f"skeleton: expected at most {MAX_WEIGHTS} weights, found more")
        network = fx.GraphModule(modules, graph).to_empty(device="cpu").eval()
        # The order in which convolutions are fastest, as behind `fuse`.
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _dots(name: str) -> list[int]:
    return [place for place, char in enumerate(name) if char == "."]


@dataclass(frozen=True, kw_only=True)
class _Form:
    """How a kind of module is described and made.

    Attributes:
        make: From its options; on the meta device.
        options: Its attributes, which `make` takes.
        allowed: The values that are computed here of its other attributes.
    """

    operator: str
    make: Callable[..., nn.Module]
    options: tuple[str, ...] = ()
    allowed: Mapping[str, Collection[object]] = field(default_factory=dict)


def _convolution(bias: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(**options, bias=bool(bias))


def _with_relu(**options: Any) -> ConvReLU2d:
    return ConvReLU2d(_convolution(**options), nn.ReLU())


def _linear(bias: int, **options: Any) -> nn.Linear:
    return nn.Linear(**options, bias=bool(bias))


def _shortcut(padding: int) -> OptionAShortcut:
    return OptionAShortcut(1, 1 + 2 * padding)


_CONVOLUTION: Final = ("in_channels", "out_channels", "kernel_size", "stride", "padding")
_CONVOLUTION_OPTIONS: Final = (*_CONVOLUTION, "dilation", "groups", "bias")
_POSITIVE: Final = frozenset(
    {"in_channels", "out_channels", "in_features", "out_features", "kernel_size", "stride"}
    | {"dilation", "groups"}
)
_ZEROS: Final = {"padding_mode": ("zeros",)}

_FORMS: Final = {
    QuantStub: _Form(operator="quantize", make=QuantStub),
    DeQuantStub: _Form(operator="dequantize", make=DeQuantStub),
    nn.Conv2d: _Form(
        operator="conv", make=_convolution, options=_CONVOLUTION_OPTIONS, allowed=_ZEROS
    ),
    ConvReLU2d: _Form(
        operator="conv_relu", make=_with_relu, options=_CONVOLUTION_OPTIONS, allowed=_ZEROS
    ),
    nn.Linear: _Form(
        operator="linear", make=_linear, options=("in_features", "out_features", "bias")
    ),
    nn.MaxPool2d: _Form(
        operator="max_pool",
        make=nn.MaxPool2d,
        options=("kernel_size", "stride", "padding"),
        allowed={"dilation": (1, (1, 1)), "ceil_mode": (False,), "return_indices": (False,)},
    ),
    nn.AdaptiveAvgPool2d: _Form(
        operator="global_average_pool",
        make=lambda: nn.AdaptiveAvgPool2d((1, 1)),
        allowed={"output_size": (1, (1, 1))},
    ),
    OptionAShortcut: _Form(operator="option_a_shortcut", make=_shortcut, options=("padding",)),
}


def _described(traced: fx.GraphModule, node: fx.Node) -> dict[str, Any]:
    """What a node computes, as fields of a `Step`."""
    if node.op in ("placeholder", "output"):
        return {"operator": node.op}
    if node.op == "call_function" and node.target in _FUNCTIONS:
        if node.target is torch.flatten and node.args[1:] != (1,):
            raise InputError(f"{node.name}: expected flattening from dimension 1, found another")
        return {"operator": _FUNCTIONS[node.target], "name": tensor_name(node) or ""}
    if node.op != "call_module":
        raise InputError(f"{node.target}: expected an operator of a ResNet, found {node.target}")
    module = traced.get_submodule(str(node.target))
    form = _FORMS.get(type(module))
    if form is None:
        found = type(module).__name__
        raise InputError(f"{node.target}: expected an operator of a ResNet, found {found}")
    inner = module[0] if isinstance(module, ConvReLU2d) else module
    for name, values in form.allowed.items():
        if getattr(inner, name) not in values:
            raise InputError(
                f"{node.target}: expected {name}={next(iter(values))}, found {getattr(inner, name)}"
            )
    return {
        "operator": form.operator,
        "name": str(node.target),
        "options": {name: _option(str(node.target), inner, name) for name in form.options},
    }


def _option(where: str, module: nn.Module, name: str) -> int | tuple[int, ...]:
    value = getattr(module, name)
    if name == "bias":
        return int(value is not None)
    if not isinstance(value, int | tuple):
        raise InputError(f"{where}: expected {name} as numbers, found {value!r}")
    return value


_Modules = dict[str, nn.Module]
_Builder = Callable[[Step, fx.Graph, list[fx.Node], _Modules], fx.Node]


def _module_builder(form: _Form) -> _Builder:
    def build(step: Step, graph: fx.Graph, sources: list[fx.Node], modules: _Modules) -> fx.Node:
        (source,) = sources
        for name in _POSITIVE & step.options.keys():
            value = step.options[name]
            if 0 in (value if isinstance(value, tuple) else (value,)):
                raise ValueError(f"{name}: expected at least 1, found 0")
        with torch.device("meta"):
            modules[step.name] = form.make(**step.options)
        return graph.call_module(step.name, (source,))

    return build


def _build_function(
    step: Step, graph: fx.Graph, sources: list[fx.Node], modules: _Modules
) -> fx.Node:
    if len(sources) != (2 if step.operator == "add" else 1):
        raise ValueError(f"{step.operator}: expected another number of inputs")
    extra = (1,) if step.operator == "flatten" else ()
    (target,) = (target for target, operator in _FUNCTIONS.items() if operator == step.operator)
    node = graph.call_function(target, (*sources, *extra))  # type: ignore[arg-type]
    if not step.name:
        return node
    # Where the trace reads the name of a residual add: torch's place for its observer.
    modules[step.name + OBSERVER_SUFFIX] = nn.Identity()
    return graph.call_module(step.name + OBSERVER_SUFFIX, (node,))


def _build_output(
    step: Step, graph: fx.Graph, sources: list[fx.Node], modules: _Modules
) -> fx.Node:
    (source,) = sources
    return cast("fx.Node", graph.output(source))


_FUNCTIONS: Final = {torch.add: "add", F.relu: "relu", torch.flatten: "flatten"}

_BUILDERS: Final[Mapping[str, _Builder]] = {
    "placeholder": lambda step, graph, sources, modules: graph.placeholder("x"),
    "output": _build_output,
    **{form.operator: _module_builder(form) for form in _FORMS.values()},
    **dict.fromkeys(_FUNCTIONS.values(), _build_function),
}
