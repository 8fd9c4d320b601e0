"""What torch is to remove is used in the modules that are listed here, and in no other."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.house.rooms import MODULES, imported, named

# Of what is going: by its name, the modules that need it.
USERS = {
    "torch.ao": {
        *(f"quantize/front_ends/{name}.py" for name in ("direct", "eager", "front_ends", "fx")),
        *(f"quantize/front_ends/{name}.py" for name in ("islands", "torch_modules")),
        "quantize/front_ends/torch_observers.py",
        "benchmarks/studies/pairs/in_torchscript.py",
        "benchmarks/studies/peers/candidates/by_torch.py",
    },
    "torch.jit": {
        "benchmarks/runtimes/runners/torchscript_runner.py",
        "quantize/artifacts/torchscript_weights.py",
        "quantize/artifacts/torchscript_worker.py",
        "benchmarks/studies/arm64/torch_worker.py",
        "benchmarks/studies/pairs/in_torchscript.py",
    },
}

# Themselves imported only where TorchScript is written or read.
BEHIND = {"quantize/artifacts/torchscript_export.py"}


def asked_for(path: Path) -> Iterator[str]:
    """Dotted names that a module imports or spells."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield ast.unparse(node)


@pytest.mark.parametrize(("gone", "users"), USERS.items(), ids=USERS)
def test_nobody_else_uses_what_upstream_removes(gone: str, users: set[str]) -> None:
    found = {
        named(path)
        for path in MODULES
        if any(f"{name}.".startswith(f"{gone}.") for name in asked_for(path))
    }
    assert found == users


def test_those_modules_are_imported_on_use_alone() -> None:
    users = set().union(*USERS.values(), BEHIND)
    importing = {
        named(path): needed
        for path in MODULES
        if named(path) not in users and "studies" not in path.parts
        if (needed := users.intersection(imported(path, lazy=False)))
    }
    assert importing == {}
