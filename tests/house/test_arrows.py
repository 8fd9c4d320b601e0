"""What may import what, and how large rooms, files and functions may be: read from the sources."""

import ast
from collections import Counter

import pytest
from tests.house.rooms import (
    FACES,
    MAY_IMPORT,
    MODULES,
    ROOT,
    TOP,
    imported,
    known_by,
    named,
    room_of,
    table,
)

# A room's listing has to be read at a glance.
MAX_FILES = 14
MORE_FILES = {"calibration": 18}
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 60
# Whatever is longer has its reason beside its name.
LONG_FUNCTIONS = {
    "quantize/cli/quantize.py:quantize",  # one argument an option, each with its help
}

# The package's modules appear once more beneath a folder of links to them.
TESTS = [path for path in (ROOT / "tests").rglob("*.py") if "typing_root" not in path.parts]


@pytest.mark.parametrize("path", [path for path in MODULES if path not in FACES], ids=named)
def test_a_module_imports_only_rooms_that_its_room_may_know(path):
    known = known_by(room_of(named(path)))
    assert {name for name in imported(path) if room_of(name) not in known} == set()


def test_every_room_stands_in_the_table():
    rooms = {room_of(named(path)) for path in MODULES}
    assert rooms <= MAY_IMPORT.keys() | {*TOP, "benchmarks"}
    assert MAY_IMPORT.keys() <= rooms


def test_contributing_shows_the_table():
    assert table() in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_no_arrow_leads_back():
    assert all(room not in known_by(other) for room in MAY_IMPORT for other in MAY_IMPORT[room])


def test_there_is_no_circle_between_modules():
    remaining = {named(path): set(imported(path, lazy=False)) for path in MODULES}
    while remaining:
        free = {name for name, targets in remaining.items() if not targets & remaining.keys()}
        assert free, f"a circle among {sorted(remaining)}"
        remaining = {name: targets for name, targets in remaining.items() if name not in free}


def test_the_package_does_not_know_the_studies():
    users = {named(path) for path in MODULES if "studies" not in path.parts}
    assert not {
        name
        for name in users
        for target in imported(ROOT / name)
        if target.startswith("benchmarks/studies/")
    }


def test_the_arithmetic_of_quantization_is_written_in_one_module():
    rounding = {"rint", "round_", "fake_quantize_per_tensor_affine", "quantize_per_tensor"}
    users = {
        named(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in rounding
    }
    # fake_quantization is the contract's twin for torch tensors; saturation divides a bound between
    # two integers; fidelity counts last bits, which needs a rounded quotient of two dequantized
    # numbers.
    others = {"calibration/fake_quantization.py", "calibration/saturation.py"}
    assert users <= {"calibration/qparams.py", "benchmarks/accuracy/fidelity.py", *others}


def test_no_file_is_called_like_a_dependency():
    dependencies = {"torch", "torchvision", "onnx", "onnxruntime", "numpy", "pillow", "PIL"}
    dependencies |= {"safetensors", "pydantic", "typer", "rich", "jinja2", "scipy", "utils"}
    assert not {path.stem for path in MODULES} & dependencies


def test_a_room_can_be_seen_at_a_glance():
    files = Counter(
        path.parent.relative_to(ROOT).as_posix() for path in MODULES if path.name != "__init__.py"
    )
    assert {room: n for room, n in files.items() if n > MORE_FILES.get(room, MAX_FILES)} == {}


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=named)
def test_a_file_is_not_too_long(path):
    assert len(path.read_text().splitlines()) <= MAX_FILE_LINES


def test_a_function_fits_a_screen():
    long = {
        f"{named(path)}:{node.name}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == LONG_FUNCTIONS
