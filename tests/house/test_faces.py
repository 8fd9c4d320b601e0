"""The four top folders list their public names once; a nested one says what it is for."""

import ast
import pkgutil
import re
from importlib import import_module

import pytest
from tests.house.rooms import FACES, MODULES, TOP, imported, named

TOPS = {top: import_module(f"eightbit.{top}") for top in TOP}
NAMES = [(top, name) for top, face in TOPS.items() for name in face.__all__]
NESTED = [path for path in MODULES if path.name == "__init__.py" and path not in FACES]


@pytest.mark.parametrize("path", FACES, ids=named)
def test_a_face_imports_nothing_before_it_is_used(path):
    assert list(imported(path)) == []


@pytest.mark.parametrize(("top", "name"), NAMES, ids="{0[0]}.{0[1]}".format)
def test_a_public_name_is_that_of_its_module(top, name):
    value = getattr(TOPS[top], name)
    if name.isupper():  # a table, which does not know its name
        return
    assert value.__name__ == name
    assert value.__module__.startswith(f"eightbit.{top}.")


@pytest.mark.parametrize("face", TOPS.values(), ids=TOPS)
def test_no_public_name_is_hidden_by_a_module_of_the_same_name(face):
    assert not {module.name for module in pkgutil.iter_modules(face.__path__)} & {*face.__all__}


@pytest.mark.parametrize("face", TOPS.values(), ids=TOPS)
def test_an_unknown_name_is_an_attribute_error(face):
    with pytest.raises(AttributeError, match="nonesuch"):
        _ = face.nonesuch


@pytest.mark.parametrize("path", NESTED, ids=named)
def test_a_nested_face_is_one_sentence(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstring = ast.get_docstring(tree)
    assert len(tree.body) == 1
    assert re.fullmatch(r"\S.*\.", docstring)
    assert not re.search(r"\. [A-Z]", docstring)
