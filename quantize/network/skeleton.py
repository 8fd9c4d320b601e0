"""A network without its weights, as data from which artefacts are built again.

A skeleton lists the operations of a fused network in order of execution. It defines what can be
computed here, in integers or in float: any other operation or attribute is refused.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, cast

import torch
from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)
from torch import fx, nn

from eightbit.models.errors import InputError
from eightbit.models.networks.cifar import OptionAShortcut
from eightbit.models.networks.quantizable import ConvReLU2d, DeQuantStub, LinearReLU, QuantStub
from eightbit.models.spec import Finite, FrozenModel, Positive
from eightbit.quantize.network.graph import OBSERVER_SUFFIX, attribute, inputs_of, tensor_name
from eightbit.quantize.network.operators import (
    NAMED,
    NAMES,
    ConvClip2d,
    activation_of,
    layer_of,
)

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

_TENSOR: Final = "tensor"
_Constant = (
    bool
    | Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
    | Finite
    | Literal["none", "tanh"]
    | None
)
Argument = Literal["tensor"] | _Constant | tuple[Literal["tensor"] | _Constant, ...]
"""What a function is called with; in place of each tensor a word, in the order of `Step.reads`."""


class Step(FrozenModel):
    """One operation.

    Attributes:
        name: Of its module, or of a residual add's tensor; empty if it has none.
        reads: Indices of the earlier steps whose results it takes.
        options: The attributes of its module.
        arguments: Of a function, by position, as far as it takes other things than tensors.
        keywords: Those that it takes by name only.

    What is empty of the last two is not in the JSON.
    """

    operator: str
    name: ModulePath = ""
    reads: tuple[Size, ...] = ()
    options: Mapping[str, Size | Positive | tuple[Size, ...]] = {}
    arguments: tuple[Argument, ...] = ()
    keywords: Mapping[str, Argument] = {}

    @model_serializer(mode="wrap")
    def _without_what_is_empty(self, serialize: SerializerFunctionWrapHandler) -> Any:
        fields = serialize(self)
        return {
            name: value
            for name, value in fields.items()
            if value or name not in ("arguments", "keywords")
        }


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
        modules: _Modules = {}
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
        if sum(map(_weights, modules.values())) > MAX_WEIGHTS:
            raise InputError(f"skeleton: expected at most {MAX_WEIGHTS} weights, found more")
        network = fx.GraphModule(modules, graph).to_empty(device="cpu").eval()
        # The order in which convolutions are fastest, as behind `fuse`.
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _weights(part: nn.Module | nn.Parameter) -> int:
    parameters = part.parameters() if isinstance(part, nn.Module) else [part]
    return sum(parameter.numel() for parameter in parameters)


def _dots(name: str) -> list[int]:
    return [place for place, char in enumerate(name) if char == "."]


@dataclass(frozen=True, kw_only=True)
class _Form:
    """How a kind of module is described and made.

    Attributes:
        make: From its options; on the meta device.
        options: Its attributes, which `make` takes.
        unusual: Attributes that `make` takes as well, by the values that need not be said.
        allowed: The values that are computed here of its other attributes.
    """

    operator: str
    make: Callable[..., nn.Module]
    options: tuple[str, ...] = ()
    unusual: Mapping[str, Collection[object]] = field(default_factory=dict)
    allowed: Mapping[str, Collection[object]] = field(default_factory=dict)


def _convolution(bias: int, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(**options, bias=bool(bias))


def _with_relu(**options: Any) -> ConvReLU2d:
    return ConvReLU2d(_convolution(**options), nn.ReLU())


def _clipped(high: float, **options: Any) -> ConvClip2d:
    return ConvClip2d(_convolution(**options), nn.Hardtanh(0.0, high))


def _linear(bias: int, **options: Any) -> nn.Linear:
    return nn.Linear(**options, bias=bool(bias))


def _linear_with_relu(**options: Any) -> LinearReLU:
    return LinearReLU(_linear(**options), nn.ReLU())


def _max_pool(ceil_mode: int = 0, **options: Any) -> nn.MaxPool2d:
    return nn.MaxPool2d(**options, ceil_mode=bool(ceil_mode))


def _shortcut(padding: int) -> OptionAShortcut:
    return OptionAShortcut(1, 1 + 2 * padding)


_CONVOLUTION: Final = ("in_channels", "out_channels", "kernel_size", "stride", "padding")
_CONVOLUTION_OPTIONS: Final = (*_CONVOLUTION, "dilation", "groups", "bias")
_POSITIVE: Final = frozenset(
    {"in_channels", "out_channels", "in_features", "out_features", "kernel_size", "stride"}
    | {"dilation", "groups"}
)
_ZEROS: Final = {"padding_mode": ("zeros",)}
_LINEAR_OPTIONS: Final = ("in_features", "out_features", "bias")

_FORMS: Final = {
    QuantStub: _Form(operator="quantize", make=QuantStub),
    DeQuantStub: _Form(operator="dequantize", make=DeQuantStub),
    nn.Conv2d: _Form(
        operator="conv", make=_convolution, options=_CONVOLUTION_OPTIONS, allowed=_ZEROS
    ),
    ConvReLU2d: _Form(
        operator="conv_relu", make=_with_relu, options=_CONVOLUTION_OPTIONS, allowed=_ZEROS
    ),
    ConvClip2d: _Form(
        operator="conv_clip",
        make=_clipped,
        options=(*_CONVOLUTION_OPTIONS, "high"),
        allowed=_ZEROS,
    ),
    nn.Linear: _Form(operator="linear", make=_linear, options=_LINEAR_OPTIONS),
    LinearReLU: _Form(operator="linear_relu", make=_linear_with_relu, options=_LINEAR_OPTIONS),
    nn.MaxPool2d: _Form(
        operator="max_pool",
        make=_max_pool,
        options=("kernel_size", "stride", "padding"),
        unusual={"dilation": (1, (1, 1)), "ceil_mode": (False,)},
        allowed={"return_indices": (False,)},
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
    if node.op == "call_function" and node.target in NAMES:
        if node.target is torch.flatten and node.args[1:] != (1,):
            raise InputError(f"{node.name}: expected flattening from dimension 1, found another")
        return _called(node)
    if node.op == "get_attr":
        shape = tuple(attribute(traced, str(node.target)).shape)
        return {"operator": _PARAMETER, "name": str(node.target), "options": {"shape": shape}}
    if node.op != "call_module":
        raise InputError(f"{node.target}: expected an operator known here, found {node.target}")
    module = traced.get_submodule(str(node.target))
    form = _FORMS.get(type(module))
    if form is None:
        found = type(module).__name__
        raise InputError(f"{node.target}: expected an operator known here, found {found}")
    inner = layer_of(module)
    for name, values in form.allowed.items():
        if getattr(inner, name) not in values:
            raise InputError(
                f"{node.target}: expected {name}={next(iter(values))}, found {getattr(inner, name)}"
            )
    return {
        "operator": form.operator,
        "name": str(node.target),
        "options": {
            name: _option(str(node.target), module, name)
            for name in (*form.options, *form.unusual)
            if name in form.options or getattr(inner, name) not in form.unusual[name]
        },
    }


def _called(node: fx.Node) -> dict[str, Any]:
    """The fields of a function's call; nothing is said of one that takes tensors and no more."""
    described = {"operator": NAMES[node.target], "name": tensor_name(node) or ""}
    if described["operator"] in _PLAIN:
        return described
    keywords = fx.node.map_aggregate(node.kwargs, _argument)
    return described | {
        "arguments": tuple(_frozen(fx.node.map_aggregate(arg, _argument)) for arg in node.args),
        "keywords": {name: _frozen(value) for name, value in dict(keywords).items()},
    }


def _argument(value: Any) -> Any:
    return _TENSOR if isinstance(value, fx.Node) else value


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


def _option(where: str, module: nn.Module, name: str) -> int | float | tuple[int, ...]:
    if name == "high":
        bound = activation_of(module)
        assert isinstance(bound, nn.Hardtanh)
        return float(bound.max_val)
    value = getattr(layer_of(module), name)
    if name == "bias":
        return int(value is not None)
    if name == "ceil_mode":
        return int(value)
    if not isinstance(value, int | tuple):
        raise InputError(f"{where}: expected {name} as numbers, found {value!r}")
    return value


_Modules = dict[str, nn.Module | nn.Parameter]
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
    if step.operator in _PLAIN:
        if len(sources) != (2 if step.operator == "add" else 1):
            raise ValueError(f"{step.operator}: expected another number of inputs")
        extra = (1,) if step.operator == "flatten" else ()
        node = graph.call_function(NAMED[step.operator], (*sources, *extra))
    else:
        left = iter(sources)
        call: Any = (step.arguments, dict(step.keywords))
        arguments, keywords = fx.node.map_aggregate(
            call, lambda value: next(left) if value == _TENSOR else value
        )
        arguments = tuple(list(arg) if isinstance(arg, tuple) else arg for arg in arguments)
        if next(left, None) is not None:
            raise ValueError(f"{step.operator}: expected fewer inputs")
        node = graph.call_function(NAMED[step.operator], arguments, dict(keywords))
    if not step.name:
        return node
    # Where the trace reads the name of what a function makes: torch's place for its observer.
    modules[step.name + OBSERVER_SUFFIX] = nn.Identity()
    return graph.call_module(step.name + OBSERVER_SUFFIX, (node,))


def _build_parameter(
    step: Step, graph: fx.Graph, sources: list[fx.Node], modules: _Modules
) -> fx.Node:
    shape = step.options["shape"]
    if sources or not step.name or not isinstance(shape, tuple):
        raise ValueError("parameter: expected a name and a shape")
    modules[step.name] = nn.Parameter(torch.empty(shape, device="meta"), requires_grad=False)
    return graph.get_attr(step.name)


def _build_output(
    step: Step, graph: fx.Graph, sources: list[fx.Node], modules: _Modules
) -> fx.Node:
    (source,) = sources
    return cast("fx.Node", graph.output(source))


_PARAMETER: Final = "parameter"

# Functions that are called in one way alone.
_PLAIN: Final = ("add", "relu", "flatten")

_BUILDERS: Final[Mapping[str, _Builder]] = {
    "placeholder": lambda step, graph, sources, modules: graph.placeholder("x"),
    "output": _build_output,
    **{form.operator: _module_builder(form) for form in _FORMS.values()},
    _PARAMETER: _build_parameter,
    **dict.fromkeys(NAMED, _build_function),
}
