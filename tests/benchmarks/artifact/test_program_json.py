"""A program of a stranger is read before torch loads it, which would run parts of it."""

import json
from typing import Any

import pytest

from eightbit.benchmarks.artifact.program_json import (
    RefusedProgramError,
    check_members,
    check_payload,
    check_program,
    operators,
)

ADD = "torch.ops.aten.add.Tensor"
SIZE = "Symbol('s77', positive=True, integer=True)"
TREE = '[1, {"type": "builtins.tuple", "context": "null", "children_spec": []}]'
MEMBERS = ("m/models/model.json", "m/data/weights/weight_0", "m/archive_format", "m/byteorder")


def program(**changes: Any) -> bytes:
    whole = {"target": ADD, "size": SIZE, "in_spec": TREE, "guards_code": []} | changes
    node = {"target": whole["target"], "inputs": [], "outputs": []}
    graph = {"nodes": [node], "sizes": [{"as_expr": {"expr_str": whole["size"]}}]}
    return json.dumps(
        {"graph": graph, "in_spec": whole["in_spec"], "guards_code": whole["guards_code"]}
    ).encode()


def test_what_torch_writes_passes() -> None:
    check_program(program(), {"add.Tensor"})
    check_program(program(size="2*s77 + 1"), {"add.Tensor"})
    check_members(MEMBERS)
    meta = {"use_pickle": False, "path_name": "weight_0"}
    check_payload(json.dumps({"config": {"w": meta}}).encode())
    assert operators(program()) == [ADD]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"target": "torch.ops.aten.from_file.default"}, "the operator"),
        ({"target": "torch.ops.mine.add.Tensor"}, "the operator"),
        ({"target": "os.system"}, "the operator"),
        ({"size": "__import__('os').system('id')"}, "the size"),
        ({"size": "Symbol('s1').__class__"}, "the size"),
        ({"size": "9**9**9"}, "the size"),
        ({"in_spec": '[1, {"type": "os.system", "context": "null"}]'}, "the structure"),
        ({"guards_code": ["print(1)"]}, "guards"),
    ],
)
def test_what_would_do_more_than_compute_is_refused(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(RefusedProgramError, match=found):
        check_program(program(**changes), {"add.Tensor"})


@pytest.mark.parametrize(
    "meta",
    [
        {"use_pickle": True, "path_name": "weight_0"},
        {"path_name": "weight_0"},
        {"use_pickle": False, "path_name": "../../weight_0"},
        "weight_0",
    ],
)
def test_weights_that_are_no_plain_numbers_are_refused(meta: object) -> None:
    with pytest.raises(RefusedProgramError, match="weights"):
        check_payload(json.dumps({"config": {"w": meta}}).encode())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000])
def test_what_is_no_description_is_refused(content: bytes) -> None:
    with pytest.raises(RefusedProgramError):
        check_payload(content)


@pytest.mark.parametrize(
    "name",
    ["m/data/constants/custom_obj_0", "m/data/aotinductor/model/a.so", "m/models/other.json"],
)
def test_further_members_are_refused(name: str) -> None:
    with pytest.raises(RefusedProgramError, match="the member"):
        check_members((*MEMBERS, name))


def test_two_members_with_one_name_are_refused() -> None:
    with pytest.raises(RefusedProgramError, match="one name"):
        check_members((*MEMBERS, "m/Archive_Format"))
