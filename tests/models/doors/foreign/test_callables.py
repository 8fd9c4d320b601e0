import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from torch import nn

from eightbit.models import InputError
from eightbit.models.doors.foreign.callables import call, is_callable, name_of

CODE = """
from torch import nn
from {helper} import WIDTH

def make():
    return nn.Linear(2, WIDTH)

class Nested:
    ready = nn.Linear(2, 5)

def breaks():
    raise KeyError("no such thing")

number = 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "helper_of_a_test.py").write_text("WIDTH = 3\n")
    path = tmp_path / "network_of_a_test.py"
    path.write_text(CODE.format(helper="helper_of_a_test"))
    before = list(sys.path)
    yield path
    assert sys.path == before
    for name in ("helper_of_a_test", "network_of_a_test"):
        sys.modules.pop(name, None)


def test_a_function_of_a_file_is_called_and_finds_what_lies_beside_it(file: Path) -> None:
    made = call(f"{file}:make")
    assert isinstance(made, nn.Linear)
    assert made.out_features == 3


def test_a_network_that_is_there_is_taken(file: Path) -> None:
    assert getattr(call(f"{file}:Nested.ready"), "out_features", None) == 5


def test_a_module_of_a_package_is_imported() -> None:
    assert isinstance(call("torch.nn:Identity"), nn.Identity)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("absent", "AttributeError"),
        ("breaks", "raises KeyError: 'no such thing'"),
        ("number", "returns int"),
    ],
)
def test_code_that_makes_no_network_is_refused(file: Path, name: str, found: str) -> None:
    with pytest.raises(InputError, match=found):
        call(f"{file}:{name}")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a Python file, found none"):
        call(f"{tmp_path / 'absent.py'}:make")


def test_code_is_told_from_other_sources_by_its_form() -> None:
    assert is_callable("net.py:make")
    assert is_callable("package.module:Class.method")
    assert not any(
        is_callable(text) for text in ("resnet18", "net.py", ":make", "net.py:", "a:b c")
    )
    assert name_of("some/folder/net.py:make") == "net.py:make"
