"""TorchScript's code is read as torch would run it, and refused where it would do more."""

import pickle

import pytest
import torch

from eightbit.benchmarks.artifact.torchscript_code import RefusedCode, check_code, check_pickle
from eightbit.benchmarks.artifact.torchscript_operators import COMPUTING, computes

MODULE = """class Net(Module):
  __parameters__ = ["weight", ]
  __annotations__["0"] = __torch__.Block
  weight : Tensor
  range : Final[int] = 1
  def forward(self: __torch__.Net,
    x: Tensor) -> Tensor:
{body}
  def scaled(self: __torch__.Net, x: Tensor) -> Tensor:
    return x
"""


def is_operator(name: str) -> bool:
    return bool(torch._C._jit_get_schemas_for_operator(name))


def check(*lines: str) -> None:
    body = "\n".join(f"    {line}" for line in lines)
    check_code({"code/__torch__.py": MODULE.format(body=body).encode()}, is_operator)


@pytest.mark.parametrize(
    "lines",
    [
        ("return torch.relu_(torch.conv2d(x, self.weight))",),
        ("return ops.quantized.add(x, x, 1., 0)",),
        ('_0 = getattr(self, "0")', "return (_0).forward(x, )"),
        ("_1 = __torch__.torch.nn.functional.relu", "return _1(x, )"),
        (
            "if torch.gt(torch.dim(x), 4):",
            "  ops.prim.RaiseException(\"bad # \\'it\\'\")",
            "return x",
        ),
        ("return (self).scaled(x, )",),
        ("return unchecked_cast(Tensor, CONSTANTS.c0)",),
    ],
)
def test_what_torch_writes_for_a_classifier_is_accepted(lines):
    check(*lines)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (('torch.save(x, "f")', "return x"), "operator aten::save"),
        (('return torch.from_file("f", False, 3)',), "operator aten::from_file"),
        (("_0 = torch.save", "return x"), "operator aten::save"),
        (("return ops.c10d.broadcast_(x)",), "operator c10d::broadcast_"),
        (('return ops.aten.save(x, "f")',), "operator aten::save"),
        (('return ("f").save("g")',), "operator aten::save"),
        (("return (x).unknown()",), "a call of unknown"),
        (('_0 = getattr(x, "save")', 'return _0("f")'), "a call of _0"),
        (("_0 = __torch__.f", '_0 = getattr(x, "save")', "return _0(1)"), "a call of _0"),
        (('return getattr(x, "save")("f")',), "a call of a Call"),
        (("return [torch.relu][0](x)",), "a call of a Subscript"),
        (("return print(x)",), "a call of print"),
        (("torch = x", "return x"), "another meaning of torch"),
        (("for ops in range(3):", "  pass", "return x"), "another meaning of ops"),
        (("return (lambda y: y)(x)",), "Lambda"),
        (("with x:", "  pass", "return x"), "With"),
        (("return [y for y in x]",), "ListComp"),
        (('return f"{x}"',), "torch did not write"),
        (('return r"x"',), "torch did not write"),
        (("return x # torch.save",), "torch did not write"),
        (('return """x"""',), "torch did not write"),
        (("return x\ttorch.relu(x)",), "torch did not write"),
        (("\\", "return x"), "torch did not write"),
        (("return x\r    torch.relu(x)",), "torch did not write"),
        (("return \N{FULLWIDTH LATIN SMALL LETTER S}elf",), "cannot be read"),
        (("return (x",), "cannot be read"),
        (("return " + "(" * 5000 + "x" + ")" * 5000,), "cannot be read"),
        (("def inside(y):", "  return y", "return x"), "FunctionDef"),
        (('return __torch__.torch.classes.dist_c10d.FileStore("f", 1)',), "FileStore"),
        (("return torch",), "torch without an operator"),
    ],
)
def test_what_does_more_than_compute_is_refused_by_name(lines, found):
    with pytest.raises(RefusedCode, match=r"(?s).*") as caught:
        check(*lines)
    assert found in str(caught.value)


def test_a_method_of_the_archive_does_not_hide_an_operator():
    """On a text, which has no such method, torch would call the operator."""
    source = MODULE.format(body='    return ("f").save("g")').replace("scaled", "save")
    with pytest.raises(RefusedCode, match="aten::save"):
        check_code({"code/__torch__.py": source.encode()}, is_operator)


def test_a_value_that_a_function_begins_with_is_code_as_well():
    source = MODULE.format(body="    return x").replace(
        "x: Tensor)", 'x: Tensor=torch.save(1, "f"))'
    )
    with pytest.raises(RefusedCode, match="aten::save"):
        check_code({"code/__torch__.py": source.encode()}, is_operator)


def test_a_constant_of_a_class_is_code_as_well():
    source = MODULE.format(body="    return x").replace(
        "Final[int] = 1", 'Final[int] = torch.save(1, "f")'
    )
    with pytest.raises(RefusedCode, match="aten::save"):
        check_code({"code/__torch__.py": source.encode()}, is_operator)


def test_every_operator_of_the_list_is_one_that_torch_has():
    """A misspelt name would be one that is refused; what came and went with versions is named."""
    unknown = {name for name in COMPUTING if not is_operator(name) and not is_operator(f"{name}_")}
    assert unknown <= {"prim::unchecked_cast"}


@pytest.mark.parametrize("name", ["save", "from_file", "__import__", "save_", "_print"])
def test_no_operator_of_the_list_has_to_do_with_files(name):
    assert not computes(f"aten::{name}")


class Reducing:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (pickle.dumps(Reducing(), 2), "class __builtin__.print"),
        (pickle.dumps(Reducing(), 4), "a pickle with FRAME"),
        (b"\x80\x02cos\nsystem\n.", "class os.system"),
        (b"\x80\x02c__torch__.torch.classes.dist_c10d\nFileStore\n.", "FileStore"),
        (b"\x80\x02(", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_a_pickle_that_names_more_than_tensors_is_refused(content, found):
    with pytest.raises(RefusedCode) as caught:
        check_pickle(content)
    assert found in str(caught.value)


def test_a_pickle_of_the_archives_own_classes_is_accepted():
    check_pickle(b"\x80\x02c__torch__.models\nNet\n)\x81.")
