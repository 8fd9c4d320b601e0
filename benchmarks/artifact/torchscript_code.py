"""Reads what the code of a TorchScript archive would do, before torch runs any of it.

Loading is running: `torch.jit.load` calls the `__setstate__` of the archive's own classes, and
TorchScript has operators that write files. So the code is parsed, and every operator that it
mentions, every class that its pickles name, has to be one that computes.

torch writes a small part of Python: two dozen kinds of nodes, ASCII, no comments, operators always
as `torch.NAME` or `ops.NAMESPACE.NAME`. Whatever else there is, is refused: what is accepted reads
the same to Python's parser and to torch's.
"""

import ast
import pickletools
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from eightbit.benchmarks.artifact.torchscript_operators import (
    BUILT_IN,
    CLASS_METHODS,
    CLASSES,
    computes,
)

# Names that mean something to torch; another meaning in the code would deceive who reads it.
_RESERVED: Final = BUILT_IN | {"torch", "ops", "CONSTANTS", "__torch__"}
_OWN: Final = "__torch__"
_FOREIGN: Final = "__torch__.torch.classes."

# Printable, strings on one line and without a prefix, no comments, no lines that are continued: not
# one character that one lexer may take for the end of a line and the other for a blank.
_SOURCE: Final = re.compile(
    r"""(?:[\n !$-&(-:<-\[\]-~]|"""
    r"""(?<![\w"'])(?:"(?:[ !#-\[\]-~]|\\[ -~])*+"|'(?:[ -&(-\[\]-~]|\\[ -~])*+')(?![\w"']))*+"""
)
_NODES: Final = frozenset(
    {
        *(ast.ClassDef, ast.FunctionDef, ast.arguments, ast.arg, ast.keyword, ast.Return),
        *(ast.Assign, ast.AnnAssign, ast.Expr, ast.If, ast.For, ast.While, ast.Break, ast.Continue),
        *(ast.Pass, ast.Call, ast.Attribute, ast.Subscript, ast.Slice, ast.Name, ast.Constant),
        *(ast.List, ast.Tuple, ast.Dict, ast.UnaryOp, ast.USub, ast.Not, ast.Load, ast.Store),
        *(ast.IfExp, ast.BoolOp, ast.And, ast.Or),
    }
)

# Of torch's own pickles; classes of the archive and `CLASSES` come to these.
_GLOBALS: Final = frozenset(
    {
        *("collections OrderedDict", "builtins complex", "torch device", "torch Size"),
        *(f"torch {name}Storage" for name in ("BFloat16", "Bool", "Byte", "Char", "Double")),
        *(f"torch {name}Storage" for name in ("Float", "Half", "Int", "Long", "QInt32", "QInt8")),
        *(f"torch {name}Storage" for name in ("QUInt8", "Short", "ComplexFloat", "ComplexDouble")),
        *(f"torch per_{axis}_affine" for axis in ("tensor", "channel")),
        *(f"torch._utils _rebuild_{kind}" for kind in ("parameter", "qtensor", "tensor_v2")),
        *(f"torch.jit._pickle build_{kind}list" for kind in ("bool", "double", "int", "tensor")),
        *(f"torch.jit._pickle {name}" for name in ("build_tensor_from_id", "restore_type_tag")),
    }
)
_OPCODES: Final = frozenset(
    {
        *("PROTO", "STOP", "GLOBAL", "MARK", "REDUCE", "BUILD", "NEWOBJ", "BINPERSID", "TUPLE"),
        *("EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS", "LIST"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "DICT", "NONE", "NEWTRUE", "NEWFALSE", "BININT"),
        *("BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "BINPUT", "LONG_BINPUT"),
        *("BINGET", "LONG_BINGET"),
    }
)

IsOperator = Callable[[str], bool]
"""Whether torch has an operator of this name, such as "aten::save"."""


class RefusedCode(Exception):  # noqa: N818 - becomes the end of an InputError
    """What was found that does not compute, in words that follow "found".

    Attributes:
        operator: Its name, if it is one.
        foreign_class: The name of one of torch's classes in C++, if it is one.
    """

    def __init__(self, found: str, *, operator: str = "", foreign_class: str = "") -> None:
        super().__init__(found)
        self.operator = operator
        self.foreign_class = foreign_class


def check_code(files: Mapping[str, bytes], is_operator: IsOperator) -> None:
    """Refuse code with anything that is not known to compute; `files` are of an archive's code/.

    Raises:
        RefusedCode: The first such thing.
    """
    bodies = [body for name, content in files.items() for body in _bodies(_parsed(name, content))]
    methods = {body.name for body in bodies if isinstance(body, ast.FunctionDef)}
    for body in bodies:
        _Body(body).check_calls(methods, is_operator)


def check_pickle(content: bytes) -> None:
    """Refuse a pickle that names anything but numbers, torch's tensors and the archive's classes.

    Raises:
        RefusedCode: The first such thing.
    """
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name not in _OPCODES:
                raise RefusedCode(f"a pickle with {opcode.name}")
            if opcode.name == "GLOBAL" and argument not in _GLOBALS:
                _check_class(str(argument).replace(" ", "."))
    except ValueError as exc:
        raise RefusedCode(f"a pickle that cannot be read ({exc})") from exc


def _check_class(name: str) -> None:
    """Refuse the name of a class that is neither of the archive nor one that holds weights."""
    if f"{name}.".startswith(_FOREIGN):
        if name not in CLASSES:
            raise RefusedCode(f"class {name}", foreign_class=name)
    elif not name.startswith(f"{_OWN}."):
        raise RefusedCode(f"class {name}")


def _parsed(name: str, content: bytes) -> ast.Module:
    try:
        source = content.decode("ascii")
        if _SOURCE.fullmatch(source) is None:
            raise RefusedCode(f"code in {name} that torch did not write")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as of an escape that Python does not know
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as exc:
        raise RefusedCode(f"code in {name} that cannot be read ({exc})") from exc


def _bodies(tree: ast.Module) -> Iterator[ast.stmt]:
    """Functions, methods, and what else stands in a class or beside one."""
    for statement in tree.body:
        if not isinstance(statement, ast.ClassDef):
            yield statement
            continue
        if statement.decorator_list or statement.keywords:
            raise RefusedCode(f"a decorator or an argument of class {statement.name}")
        yield from (ast.Expr(base) for base in statement.bases)
        yield from statement.body


class _Body:
    """What one function, or another statement of a class or a file, mentions and calls.

    Raises:
        RefusedCode: It mentions, binds or is something that torch would not have written.
    """

    def __init__(self, body: ast.stmt) -> None:
        self._body = body
        self._calls: list[ast.expr] = []
        self._own: set[str] = set()  # bound to functions of the archive
        self._bound: set[str] = set()  # bound to anything else
        waiting: list[ast.AST] = [body]
        while waiting:
            waiting.extend(self._read(waiting.pop()))

    def check_calls(self, methods: Collection[str], is_operator: IsOperator) -> None:
        """Refuse calls of anything but operators, functions and methods of the archive."""
        for called in self._calls:
            if isinstance(called, ast.Name):
                is_own = called.id in self._own and called.id not in self._bound
                if called.id not in BUILT_IN and not is_own:
                    raise RefusedCode(f"a call of {called.id}")
            elif not isinstance(called, ast.Attribute):
                raise RefusedCode(f"a call of a {type(called).__name__}")
            elif _dotted(called)[0] not in ("torch", "ops", _OWN):
                _check_method(called.attr, methods, is_operator)

    def _read(self, node: ast.AST) -> Iterable[ast.AST]:
        """Take in one node; returns those below it that are to be read as well."""
        is_inner = isinstance(node, ast.FunctionDef | ast.ClassDef) and node is not self._body
        if type(node) not in _NODES or is_inner:
            raise RefusedCode(f"code that torch did not write: {type(node).__name__}")
        if isinstance(node, ast.Attribute | ast.Name):
            return self._read_name(node)
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            raise RefusedCode(f"a decorator of {node.name}")
        if isinstance(node, ast.arg):
            self._bind(node.arg)
        elif isinstance(node, ast.Call):
            self._calls.append(node.func)
        elif isinstance(node, ast.Assign) and _is_own_function(node.value):
            (target,) = node.targets
            if isinstance(target, ast.Name):
                self._own.add(target.id)
                _check_not_reserved(target.id)
                return (node.value,)
        return ast.iter_child_nodes(node)

    def _read_name(self, node: ast.Attribute | ast.Name) -> Iterable[ast.AST]:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self._bind(node.id)
            return ()
        _check_mention(_dotted(node))
        # The names in between stand for nothing of their own.
        value: ast.expr = node
        while isinstance(value, ast.Attribute):
            value = value.value
        return () if isinstance(value, ast.Name) else (value,)

    def _bind(self, name: str) -> None:
        # The fields of a class are read from its objects alone, and may have any name.
        if isinstance(self._body, ast.FunctionDef):
            _check_not_reserved(name)
            self._bound.add(name)


def _is_own_function(value: ast.expr) -> bool:
    return isinstance(value, ast.Attribute) and _dotted(value)[0] == _OWN


def _check_not_reserved(name: str) -> None:
    if name in _RESERVED:
        raise RefusedCode(f"another meaning of {name}")


def _check_mention(parts: tuple[str, ...]) -> None:
    """Refuse a dotted name that stands for an operator or a class that is not on the lists."""
    root, *rest = parts
    if root == _OWN:
        _check_class(".".join(parts))
    elif root in ("torch", "ops"):
        operator = "::".join(rest if root == "ops" else ("aten", *rest))
        if not rest:
            raise RefusedCode(f"{root} without an operator")
        if not computes(operator):
            raise RefusedCode(f"operator {operator}", operator=operator)


def _check_method(name: str, methods: Collection[str], is_operator: IsOperator) -> None:
    """Refuse the call of a method, unless the archive defines it and it is no other operator.

    On a value without such a method torch would call the operator of this name.
    """
    operator = f"aten::{name}"
    if computes(operator):
        return
    if is_operator(operator):
        raise RefusedCode(f"operator {operator}", operator=operator)
    if name not in methods and name not in CLASS_METHODS:
        raise RefusedCode(f"a call of {name}, which it does not define")


def _dotted(node: ast.expr) -> tuple[str, ...]:
    """The parts of a name such as torch.conv2d; the first is empty where it hangs on a value."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (node.id if isinstance(node, ast.Name) else "", *reversed(parts))
