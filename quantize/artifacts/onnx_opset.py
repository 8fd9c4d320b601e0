"""A written graph in another opset: boards' runtimes stop at an old one, some tools begin at a new.

Graphs are written in `OPSET`. Newer ones are left to ONNX's own version converter. Older ones it
does not know for several operators whose later versions only take more types; there the graph is
the same, and what an older opset lacks is refused.
"""

from collections.abc import Iterator
from typing import Final

import onnx
from onnx import helper, version_converter

from eightbit.models.errors import InputError
from eightbit.quantize.config import OLDEST_OPSET, OPSET

# Operators of which the versions of opsets 14 to 17 take more types, or have outputs or attributes
# that are never written here: https://onnx.ai/onnx/operators, "differences".
_SAME_SINCE_OLDEST: Final = frozenset(
    {"Add", "BatchNormalization", "Div", "Identity", "LeakyRelu", "Mul", "PRelu", "Pow", "Relu"}
    | {"Reshape", "Shape", "Sub", "Where"}
)


def in_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The same computation in another opset, see `QuantConfig`; the model may be changed.

    Raises:
        InputError: An operator of the model does not exist there.
    """
    if opset > OPSET:
        try:
            model = version_converter.convert_version(model, opset)
        except RuntimeError as exc:
            why = str(exc).rpartition(": ")[2]
            raise InputError(
                f"--opset {opset}: expected one into which ONNX can convert this network, found "
                f"none: {why}; give --opset {OPSET}"
            ) from exc
    elif opset < OPSET:
        lacking = max(_needed(model), default=(opset, ""))
        if lacking[0] > opset:
            raise InputError(
                f"--opset {opset}: expected one that has every operator of this network, found "
                f"{lacking[1]}, which needs {lacking[0]}; give --opset {lacking[0]} or more"
            )
        model.opset_import[0].version = opset
    model.ir_version = helper.OP_SET_ID_VERSION_MAP["ai.onnx", opset]
    return model


def _needed(model: onnx.ModelProto) -> Iterator[tuple[int, str]]:
    """Each operator, and the lowest opset in which it is what it is in `OPSET`."""
    for operator in {node.op_type for node in model.graph.node}:
        if operator in _SAME_SINCE_OLDEST:
            yield OLDEST_OPSET, operator
        else:
            yield onnx.defs.get_schema(operator, OPSET).since_version, operator
