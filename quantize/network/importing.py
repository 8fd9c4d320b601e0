"""Any torch module as a network of the operations known here.

`torch.export` traces it, whatever way its operations are spelled: as modules, functions, methods
or operators they become the same few of torch's own. What those are here is said in
`lowered_layers` and `lowered_maps`; any other operator that is known computes in float.
"""

import copy
import warnings
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram, default_decompositions, export

from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line
from eightbit.models.spec import Size, height_and_width, size_text
from eightbit.models.torch_state import own_state
from eightbit.quantize.network.affine import LOWERED_AFFINE
from eightbit.quantize.network.layout import lowered
from eightbit.quantize.network.lowered_layers import LOWERED_LAYERS
from eightbit.quantize.network.lowered_maps import LOWERED_MAPS
from eightbit.quantize.network.lowering import Call, Lowering
from eightbit.quantize.network.operators import FLOAT

# Two images, since torch takes a single one for a batch that is always one.
_BATCH: Final = 2

# As many images where that number has to be fixed while tracing; what is drawn then is compared
# with the module for another number.
_FIXED: Final = 17

_LOWERED: Final = {**LOWERED_LAYERS, **LOWERED_MAPS, **LOWERED_AFFINE}

# What a call with sizes, or a check of them, begins with.
_OF_SIZES: Final = ("sym_", "_assert")

# Rules of torch may use operators that have rules themselves.
_MOST_ROUNDS: Final = 4

# Other kernels and folding give other last bits, which add up over a hundred layers: by so much of
# the largest answer, or so many times what float32 itself is away from float64, but never by more.
_MOST_DIFFERENT: Final = 1e-3
_TIMES_IN_DOUBT: Final = 20
_NEVER: Final = 0.05

# Hand their input on.
_NOTHING: Final = frozenset(
    {
        *("dropout.default", "feature_dropout.default", "alpha_dropout.default"),
        *("contiguous.default", "clone.default", "detach.default", "alias.default"),
        *(
            "to.dtype",
            "to.dtype_layout",
            "to.device",
            "_to_copy.default",
            "lift_fresh_copy.default",
        ),
        *("positive.default", "type_as.default"),
    }
)


@own_state()
def imported(module: nn.Module, size: Size) -> fx.GraphModule:
    """The network of a module of float32 images (N, 3, H, W) of a size, with copies of its weights.

    BatchNorm is folded into the convolution before it, activations belong to what computes their
    input, and everything has the name of the user's module, as far as there is one.

    Raises:
        InputError: torch cannot follow its code, or it has an operation that is not known here.
        ValueError: It is in training mode, where statistics still move.
    """
    if module.training:
        raise ValueError("import: expected a network in eval mode; call model.eval() first")
    with warnings.catch_warnings(action="ignore"):
        network = _Import(_exported(module, size)).run()
    _check_same(module, network, size)
    return network


def _check_same(module: nn.Module, network: fx.GraphModule, size: Size) -> None:
    """Refuse what computes something else than the user's module, for whatever reason."""
    shape = (_BATCH, 3, *height_and_width(size))
    images = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 4 - 2
    with warnings.catch_warnings(action="ignore"):
        expected, found = module(images), network(images)
    if expected.shape != found.shape:
        raise InputError(
            f"{type(module).__name__}: expected a network whose operations, traced, give a result "
            f"of shape {tuple(expected.shape)}, found {tuple(found.shape)}"
        )
    error = _distance(found, expected)
    if not error <= _MOST_DIFFERENT and not error <= _allowed(module, images, expected):
        raise InputError(
            f"{type(module).__name__}: expected a network whose operations, traced, compute what "
            f"it computes, found answers that differ by {error:.1e} of the largest; does it draw "
            "random numbers, keep a state, or overwrite what it still reads?"
        )


def _allowed(module: nn.Module, images: torch.Tensor, expected: torch.Tensor) -> float:
    """How far answers may be apart where float32 itself is in doubt about them."""
    with warnings.catch_warnings(action="ignore"):
        exact = copy.deepcopy(module).double()(images.double())
    return min(_TIMES_IN_DOUBT * _distance(expected, exact), _NEVER)


def _distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, relative to the largest number."""
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30))


def _exported(module: nn.Module, size: Size) -> ExportedProgram:
    shape = (3, *height_and_width(size))
    images = torch.zeros(_BATCH, *shape)
    try:
        with warnings.catch_warnings(action="ignore"):  # of the user's code, and of torch's tracing
            program = export(module, (images,), dynamic_shapes=({0: Dim.AUTO},), strict=False)
            if _known(_images_of(program).shape[0]) is not None:
                # Its code asks for a number of Python's, as `len` does: it is told by its size.
                program = export(module, (torch.zeros(_FIXED, *shape),), strict=False)
            return _decomposed(program)
    except Exception as exc:  # whatever the user's code raises
        raise InputError(
            f"{type(module).__name__}: expected a network that computes with images of "
            f"{size_text(size)} px, and that torch.export can follow, found one that raises "
            f"{type(exc).__name__}: {one_line(exc)}"
        ) from exc


def _images_of(program: ExportedProgram) -> torch.Tensor:
    """What stands for the images in a program."""
    (name,) = program.graph_signature.user_inputs
    (node,) = (node for node in program.graph.nodes if node.name == name)
    value: torch.Tensor = node.meta["val"]
    return value


def _decomposed(program: ExportedProgram) -> ExportedProgram:
    """The program with operators that are not known here taken apart, as far as torch can."""
    for _ in range(_MOST_ROUNDS):
        unknown = {
            node.target
            for node in program.graph.nodes
            if isinstance(node.target, torch._ops.OpOverload) and not _is_known(node.target)
        }
        rules = (
            {target: rule for target, rule in default_decompositions().items() if target in unknown}
            if unknown
            else {}
        )
        if not rules:
            break
        program = program.run_decompositions(rules)
    return program


def _is_known(target: torch._ops.OpOverload[Any, Any]) -> bool:
    key = _key(target)
    return (
        key in _LOWERED or key in _NOTHING or f"float.{key}" in FLOAT or key.startswith(_OF_SIZES)
    )


def _key(target: torch._ops.OpOverload[Any, Any]) -> str:
    """Name and overload of an operator, without a mark of writing in place."""
    schema = target._schema
    name = schema.name.removeprefix("aten::")
    name = name.removesuffix("_") if schema.is_mutable else name
    return f"{name}.{schema.overload_name or 'default'}"


class _Import:
    """Walks an exported program in order."""

    def __init__(self, program: ExportedProgram) -> None:
        self._program = program
        self._lowering = Lowering()
        self._values: dict[fx.Node, Any] = {}

    def run(self) -> fx.GraphModule:
        constants = _constants(self._program)
        for node in self._program.graph.nodes:
            if node.op == "placeholder":
                name, value = constants.get(node.name, ("", self._lowering.drawing.input))
                self._values[node] = value
                if name:
                    self._lowering.origins[id(value)] = name
            elif node.op == "call_function":
                self._values[node] = value = self._called(node)
            else:
                continue
            if isinstance(value, fx.Node):
                self._lowering.shapes[value] = _shape(node.meta.get("val"))
        (output,) = self._program.graph.find_nodes(op="output")
        return self._lowering.drawing.finished(self._result(output))

    def _result(self, output: fx.Node) -> fx.Node:
        results = self._program.graph_signature.user_outputs
        outputs: Any = output.args[0]
        found = [node for node in outputs if node is not None]
        value = self._values.get(found[0]) if len(results) == len(found) == 1 else None
        if not isinstance(value, fx.Node):
            raise InputError(
                f"expected a network with one tensor as its result, found {len(results)}; wrap it "
                "in a module that returns the logits"
            )
        return value

    def _called(self, node: fx.Node) -> Any:
        """What a call of the exported program makes: a node, several, a constant or a size."""
        if not isinstance(node.target, torch._ops.OpOverload):
            return self._other(node)
        call, writes = self._bound(node)
        result = self._lowered(call)
        if writes:
            # In place: whoever reads the input from here on reads the result.
            written = node.args[0]
            assert isinstance(written, fx.Node)
            self._values[written] = result
        return result

    def _other(self, node: fx.Node) -> Any:
        if getattr(node.target, "__name__", "") == "getitem":
            source, index = node.args
            assert isinstance(source, fx.Node)
            return self._values[source][index]
        return _size(node.meta.get("val"))  # arithmetic with sizes

    def _bound(self, node: fx.Node) -> tuple[Call, bool]:
        """A call with its arguments by name, and whether it writes into the first."""
        target = node.target
        assert isinstance(target, torch._ops.OpOverload)
        schema = target._schema
        writes = schema.is_mutable
        arguments: Any = (node.args, node.kwargs)
        values: Any = fx.node.map_aggregate(
            arguments,
            lambda value: self._values[value] if isinstance(value, fx.Node) else value,
        )
        given = {
            argument.name: value
            for argument, value in zip(schema.arguments, values[0], strict=False)
        } | dict(values[1])
        full = {
            argument.name: given.get(argument.name, argument.default_value)
            for argument in schema.arguments
        }
        sources = [source for source in node.all_input_nodes if self._is_of_images(source)]
        call = Call(
            key=_key(target),
            values=full,
            given=given,
            schema=schema,
            target=target,
            path=_path(node),
            shape=_shape(node.meta.get("val")),
            input_shape=_shape(sources[0].meta.get("val")) if sources else (),
            shapes=tuple(_shape(source.meta.get("val")) for source in node.all_input_nodes),
            is_only_reader=bool(sources) and self._is_only_reader(sources[0]),
            parts=_shapes(node.meta.get("val")),
        )
        return call, writes

    def _is_of_images(self, source: fx.Node) -> bool:
        return isinstance(self._values[source], fx.Node | list)

    def _is_only_reader(self, source: fx.Node) -> bool:
        """Whether a node has one reader, and so has whatever stands for the same value."""
        base, value = self._lowering.base, self._values[source]
        while len(source.users) == 1:
            before = source.args[0] if source.args else None
            if not isinstance(before, fx.Node) or base(self._values[before]) is not base(value):
                return True
            source = before
        return False

    def _lowered(self, call: Call) -> Any:
        if call.key.startswith(_OF_SIZES):
            return -1  # the number of images, or a check of it
        tensors: list[Any] = []
        fx.node.map_aggregate(
            tuple(call.values.values()),
            lambda value: tensors.append(value) if isinstance(value, torch.Tensor | fx.Node) else 0,
        )
        if not any(isinstance(tensor, fx.Node) for tensor in tensors):
            return call.target(**_for_one(call.given))  # of weights alone
        if call.key in _NOTHING:
            return tensors[0]
        return lowered(self._lowering, call, _LOWERED.get(call.key, Lowering.in_float))


def _constants(program: ExportedProgram) -> Mapping[str, tuple[str, torch.Tensor]]:
    """Name and value of what a placeholder stands for, for those that are not the images."""
    signature = program.graph_signature
    named = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    known = {**program.constants, **program.state_dict}
    return {place: (name, known[name].detach()) for place, name in named.items()}


def _for_one(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of what is made of weights alone: once for all images, not for each."""
    return {
        name: [1 if size == -1 else size for size in value] if name == "size" else value
        for name, value in arguments.items()
    }


def _path(node: fx.Node) -> str:
    """Dotted name of the innermost of the user's modules that made a call."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _known(size: int | torch.SymInt) -> int | None:
    """A size, None if it depends on the number of images."""
    return size if isinstance(size, int) else size.node.maybe_as_int()


def _size(value: Any) -> Any:
    return value if isinstance(value, int | float) else -1


def _shapes(values: Any) -> tuple[tuple[int, ...], ...]:
    """Of several tensors; none of a single one."""
    return tuple(map(_shape, values)) if isinstance(values, list | tuple) else ()


def _shape(value: Any) -> tuple[int, ...]:
    """A tensor's shape, -1 for what depends on the number of images; of other things none."""
    if not isinstance(value, torch.Tensor):
        return ()
    sizes = [-1 if (known := _known(size)) is None else known for size in value.shape]
    return tuple([-1, *sizes[1:]] if sizes[:1] == [_FIXED] else sizes)
