"""A network that a user's own Python code makes: `FILE.py:CALLABLE`, `package.module:CALLABLE`.

Looking at it means to run it, as importing it would. Nothing here is done for a file of weights.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line


def is_callable(source: str) -> bool:
    """Whether a source names code, rather than an architecture or a library's network."""
    place, colon, name = source.rpartition(":")
    return bool(colon and place and name.replace(".", "").isidentifier())


def name_of(source: str) -> str:
    """What a network is called by: without the folder of its file."""
    place, _, name = source.rpartition(":")
    return f"{Path(place).name}:{name}"


def call(source: str) -> nn.Module:
    """The module that the named code returns, called without arguments.

    Raises:
        InputError: There is no such code, it fails, or returns something else.
    """
    where = one_line(source, 120)
    import_torchvision()  # which most networks import, and which may need help
    place, _, name = source.rpartition(":")
    is_file = place.endswith(".py") or os.sep in place
    try:
        with _found_beside(Path(place).parent if is_file else Path()):
            found: Any = _from_file(Path(place)) if is_file else importlib.import_module(place)
            for part in name.split("."):
                found = getattr(found, part)
            made = found() if isinstance(found, Callable) and not _is_module(found) else found  # type: ignore[arg-type]
    except InputError:
        raise
    except Exception as exc:  # whatever the user's code raises
        raise InputError(
            f"{where}: expected code that returns a network when it is called without arguments, "
            f"found one that raises {type(exc).__name__}: {one_line(exc)}"
        ) from exc
    if not isinstance(made, nn.Module):
        raise InputError(
            f"{where}: expected code that returns a torch.nn.Module, found one that returns "
            f"{type(made).__name__}"
        )
    return made


def _is_module(found: object) -> bool:
    """Whether it is a network already, which calling would run."""
    return isinstance(found, nn.Module)


def _from_file(path: Path) -> ModuleType:
    """A Python file as a module of its own."""
    if not path.is_file():
        raise InputError(f"{one_line(path, 120)}: expected a Python file, found none")
    # Under its own name, so that what it defines is called as the user calls it.
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{one_line(path, 120)}: expected a Python file (.py), found another")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def _found_beside(folder: Path) -> Iterator[None]:
    """Let code import what lies in its folder, as Python does for a program."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(folder.resolve()))
