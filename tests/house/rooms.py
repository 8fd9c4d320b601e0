"""The rooms of the house and the arrows between them, as data; CONTRIBUTING.md shows the same.

A room may import what stands beside it here and whatever that may import in turn, besides itself
and the rooms inside it. The loose files of a folder are a room of their own, named after it.
"""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TOP: Final = ("models", "calibration", "benchmarks", "quantize")

# What each room may know, from the bottom to the top. A room that is named "a.py b.py" is those
# loose files of its folder: they stand above the rooms, the other loose files below.
MAY_IMPORT: Final = {
    "models": (),
    "models/networks": ("models",),
    "models/images": ("models",),
    "models/labels.py": ("models/images",),
    "models/doors": ("models/networks",),
    "models/doors/keras": ("models/doors",),
    "models/doors/onnx_graphs": ("models/doors",),
    "models/doors/foreign": ("models/doors/keras", "models/doors/onnx_graphs"),
    "calibration": (),
    "benchmarks/artifact": ("models",),
    "benchmarks/runtimes": ("benchmarks/artifact", "models/images"),
    "benchmarks/runtimes/runners": ("benchmarks/runtimes",),
    "benchmarks/runtimes/others": ("benchmarks/runtimes",),
    "benchmarks/processes": ("benchmarks/runtimes/runners",),
    "benchmarks/cluster": ("benchmarks/processes",),
    "benchmarks/accuracy": ("benchmarks/runtimes",),
    "benchmarks/latency": ("benchmarks/processes",),
    "benchmarks/evaluation": ("benchmarks/processes", "benchmarks/accuracy"),
    "benchmarks/report": ("benchmarks/latency", "benchmarks/accuracy"),
    "benchmarks/report/tables": ("benchmarks/report",),
    "benchmarks/report/charts": ("benchmarks/report",),
    "benchmarks/report/pages": ("benchmarks/report/tables", "benchmarks/report/charts"),
    "benchmarks/comparison": ("benchmarks/report/pages",),
    "benchmarks/studies": (
        *("benchmarks/report/pages", "benchmarks/evaluation", "models/labels.py"),
        "models/doors/foreign",
    ),
    "quantize": (
        *("benchmarks/report", "benchmarks/evaluation", "models/labels.py"),
        *("models/doors/foreign", "calibration"),
    ),
    "quantize/network": ("quantize",),
    "quantize/recipe": ("quantize/network",),
    "quantize/front_ends": ("quantize/recipe",),
    "quantize/program": ("quantize/recipe",),
    "quantize/litert": ("quantize/recipe",),
    "quantize/algorithms": ("quantize/recipe",),
    "quantize/calibrate.py": ("quantize/front_ends",),
    "quantize/artifacts": ("quantize/front_ends", "quantize/program", "quantize/litert"),
    "quantize/verify": ("quantize/artifacts",),
    "quantize/doctor": ("quantize/artifacts",),
    "quantize/fallback": ("quantize/artifacts", "quantize/algorithms"),
    "quantize/measure": (
        *("quantize/verify", "quantize/calibrate.py", "quantize/algorithms"),
        "benchmarks/report/pages",
    ),
    "quantize/pipeline.py": ("quantize/measure", "quantize/fallback"),
    "quantize/studies": (
        *("quantize/pipeline.py", "quantize/deploy"),
        *("benchmarks/studies", "benchmarks/cluster"),
    ),
    "quantize/commands": ("quantize/measure",),
    "quantize/deploy": ("quantize/commands",),
    "quantize/cli": (
        *("quantize/deploy", "quantize/pipeline.py", "quantize/doctor"),
        *("benchmarks/comparison", "benchmarks/cluster"),
    ),
}

# Programs among the assets run where they are taken to, and are no modules of the package.
MODULES: Final = tuple(
    sorted(path for top in TOP for path in (ROOT / top).rglob("*.py") if "assets" not in path.parts)
)
# The public names: a docstring, and a stub with the names.
FACES: Final = tuple(ROOT / top / "__init__.py" for top in TOP)


def named(path: Path) -> str:
    """A module's path from the root of the repository."""
    return path.relative_to(ROOT).as_posix()


def room_of(name: str) -> str:
    """The room of a module, by its path from the root; rooms inside a study belong to it."""
    if name in MAY_IMPORT:
        return name
    folder = name.rpartition("/")[0]
    return "benchmarks/studies" if folder.startswith("benchmarks/studies") else folder


@cache
def known_by(room: str) -> frozenset[str]:
    """All rooms that a room may import."""
    rooms = {room}
    for other in MAY_IMPORT[room]:
        rooms |= known_by(other)
    return frozenset(rooms)


def imported(path: Path, *, lazy: bool = True) -> Iterator[str]:
    """Paths of the project's modules that a module imports.

    Args:
        path: The module.
        lazy: Whether imports inside functions count.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if lazy else tree.body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            head, _, rest = name.partition(".")
            file = rest.replace(".", "/") + ".py"
            if head == "eightbit" and (ROOT / file).is_file():
                yield file


def holds(room: str) -> str:
    """What a room is for, as the first sentence of its own docstring says."""
    path = ROOT / room
    path = path if path.suffix == ".py" else path / "__init__.py"
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring is not None, room
    return " ".join(docstring.split("\n\n")[0].split())


def table() -> str:
    """The rooms in Markdown: what each holds, and what it may import."""
    rows = ["| room | holds | may import |", "|---|---|---|"]
    for room, others in MAY_IMPORT.items():
        shown = ", ".join(f"`{other}`" for other in others) or "nothing of ours"
        rows.append(f"| `{room}` | {holds(room)} | {shown} |")
    return "\n".join(rows)
