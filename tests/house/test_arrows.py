"""The rooms and the arrows between them, read from the sources."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MAY_IMPORT = {
    "models": set(),
    "calibration": set(),
    "benchmarks": {"models"},
    "quantize": {"models", "calibration", "benchmarks"},
}
MODULES = sorted(path for room in MAY_IMPORT for path in (ROOT / room).glob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_rooms(path: Path) -> set[str]:
    names = (name.split(".") for name in imported(path))
    return {parts[1] for parts in names if parts[0] == "eightbit" and len(parts) > 1}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_module_imports_only_rooms_that_its_room_may_know(path: Path) -> None:
    room = path.parent.name
    assert imported_rooms(path) <= MAY_IMPORT[room] | {room}


def graph_of_modules() -> dict[str, set[str]]:
    """Imports at module level between the modules of the project; lazy ones do not count."""
    known = {f"eightbit.{path.parent.name}.{path.stem}" for path in MODULES}
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        targets = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                candidates = {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
                targets |= candidates & known
        graph[f"eightbit.{path.parent.name}.{path.stem}"] = targets
    return graph


def test_there_is_no_circle_between_modules() -> None:
    remaining = graph_of_modules()
    while remaining:
        free = {name for name, targets in remaining.items() if not targets & remaining.keys()}
        assert free, f"a circle among {sorted(remaining)}"
        remaining = {name: targets for name, targets in remaining.items() if name not in free}


def test_the_arithmetic_of_quantization_is_written_in_one_module() -> None:
    rounding = {"rint", "round_", "fake_quantize_per_tensor_affine", "quantize_per_tensor"}
    users = {
        f"{path.parent.name}/{path.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in rounding
    }
    # fake_quantization is the contract's twin for torch tensors; saturation divides a bound between
    # two integers; fidelity counts last bits, which needs a rounded quotient of two dequantized
    # numbers.
    others = {"calibration/fake_quantization.py", "calibration/saturation.py"}
    assert users <= {"calibration/qparams.py", "benchmarks/accuracy/fidelity.py", *others}


def test_no_file_is_called_like_a_dependency() -> None:
    dependencies = {"torch", "torchvision", "onnx", "onnxruntime", "numpy", "pillow", "PIL"}
    dependencies |= {"safetensors", "pydantic", "typer", "rich", "jinja2", "scipy", "utils"}
    assert not {path.stem for path in MODULES} & dependencies


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_holds_one_idea(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350
