"""What a torch.export archive may hold, so that loading it does no more than compute.

torch unpickles weights that say so, turns expressions for sizes into Python, compiles guards, and
calls any operator that it knows. All of that is in JSON, which is read here first.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

MAX_JSON_BYTES: Final = 256 * 2**20


class RefusedProgramError(Exception):
    """Something that is not among what is known to compute; the message names it."""


_ROOT: Final = r"[\w.-]+/"
_MEMBERS: Final = re.compile(
    _ROOT
    + r"(data/weights/(weight_\d+|model_weights_config\.json)|data/constants/"
    + r"(tensor_\d+|model_constants_config\.json)|models/model\.json|data/sample_inputs/model\.pt"
    + r"|extra/[\w.-]+|archive_format|archive_version|byteorder|version|\.data/\w+)"
)

# Of sizes that depend on the number of images.
_EXPRESSION: Final = re.compile(
    r"(Symbol\('[su]\d{1,6}'(, (positive|nonnegative|integer)=True)*\)"
    r"|(Integer|Mul|Add|FloorDiv|Mod|Max|Min)(?=\()|\d{1,12}|[su]\d{1,6}|[+\-(), ]|\*(?!\*))*"
)
_TREE: Final = re.compile(
    r'([\[\]{}:, \d]|null|"(type|context|children_spec|null|\[\])"'
    r'|"builtins\.(tuple|list|dict)")*'
)

_ATEN: Final = "torch.ops.aten."
_SIZES: Final = frozenset(
    {"_assert_tensor_metadata.default", "sym_size.int", "_assert_scalar.default"}
    | {"sym_constrain_range_for_size.default"}
)
_NOT_OPERATORS: Final = frozenset(
    {"_operator.getitem", "_operator.mul", "_operator.add", "_operator.sub", "_operator.floordiv"}
    | {"_operator.ge", "_operator.le", "_operator.eq", "_operator.lt", "_operator.gt"}
)


def check_members(names: Collection[str]) -> None:
    """Refuse an archive with members that are none of one plain program.

    Raises:
        RefusedProgramError: There is another.
    """
    if len({name.lower() for name in names}) < len(names):
        raise RefusedProgramError("two members with one name")
    for name in names:
        if not _MEMBERS.fullmatch(name):
            raise RefusedProgramError(f"the member {name}")


def check_payload(content: bytes) -> None:
    """Refuse weights or constants that are no plain numbers; `content` is their JSON.

    Raises:
        RefusedProgramError: They are pickled, or it is no such JSON.
    """
    config = _parsed(content).get("config")
    if not isinstance(config, dict):
        raise RefusedProgramError("weights without a description")
    for meta in config.values():
        if not isinstance(meta, dict) or meta.get("use_pickle") is not False:
            raise RefusedProgramError("pickled weights")
        if not re.fullmatch(r"(weight|tensor)_\d+", str(meta.get("path_name"))):
            raise RefusedProgramError(f"weights in {meta.get('path_name')}")


def check_program(content: bytes, computing: Collection[str]) -> None:
    """Refuse a program that does anything but compute; `content` is its JSON.

    Args:
        content: As torch.export wrote it.
        computing: Names and overloads of aten's operators that only compute, as "add.Tensor".

    Raises:
        RefusedProgramError: Guards, an expression, a structure or an operator that is not known.
    """
    program = _parsed(content)
    if program.get("guards_code") not in (None, []):
        raise RefusedProgramError("guards, which are code")
    for key, value in _strings(program):
        if key == "expr_str" and not _EXPRESSION.fullmatch(value):
            raise RefusedProgramError(f"the size {value}")
        if key in ("in_spec", "out_spec") and not _TREE.fullmatch(value):
            raise RefusedProgramError(f"the structure {value}")
        if key == "target" and not _is_known(value, computing):
            raise RefusedProgramError(f"the operator {value}")


def operators(content: bytes) -> list[str]:
    """The operators of a checked program in order, as "torch.ops.aten.add.Tensor"."""
    return [value for key, value in _strings(_parsed(content)) if key == "target"]


def _is_known(target: str, computing: Collection[str]) -> bool:
    name = target.removeprefix(_ATEN)
    return target in _NOT_OPERATORS or (name != target and (name in _SIZES or name in computing))


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise RefusedProgramError("a description that is no JSON") from exc
    if not isinstance(found, dict):
        raise RefusedProgramError("a description that is no object")
    return found


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every string, with the key that it stands under."""
    left = [(key, value)]
    while left:
        key, value = left.pop()
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict):
            left += reversed(value.items())
        elif isinstance(value, list):
            left += [(key, item) for item in reversed(value)]
