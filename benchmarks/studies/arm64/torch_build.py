"""torch's own build for ARM, made ready for the emulator: TorchScript with ARM's kernels.

PyPI's wheel for aarch64 is linked against CUDA, and loads only where CUDA's libraries are. No
network of ours calls them: libraries of the same names, whose functions all fail, take their place.
A cross compiler makes them (Debian: `apt-get install gcc-aarch64-linux-gnu`).
"""

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

from eightbit.benchmarks.studies.arm64.processors import ROOT, arm_environment
from eightbit.benchmarks.studies.arm64.root import install_wheels
from eightbit.models.errors import InputError

_TOOLS: Final = "aarch64-linux-gnu-"

# What torch imports; all of it is Python.
_PYTHON: Final = (
    *("filelock", "fsspec", "jinja2", "markupsafe", "mpmath", "networkx", "sympy"),
    "typing-extensions",
)

# CUDA's cudaErrorInsufficientDriver: torch takes it for a machine without a GPU.
_NO_DRIVER: Final = 35

_NEEDED: Final = re.compile(r"\(NEEDED\).*\[(.+)\]")
_VERSION_OF: Final = re.compile(r"  File: (\S+)|Name: (\S+)  Flags")


def make_torch(folder: Path) -> None:
    """Fetch the wheel of the installed version, 430 MB, and make what it lacks; once.

    Args:
        folder: What `root` made.

    Raises:
        InputError: There is no cross compiler, or a download fails.
    """
    version = _version()
    site, stubs = _folders(folder)
    if stubs.is_dir():
        return
    for tool in ("gcc", "nm", "readelf"):
        if shutil.which(_TOOLS + tool) is None:
            raise InputError(
                f"{_TOOLS}{tool} is not installed: apt-get install gcc-aarch64-linux-gnu"
            )
    shutil.rmtree(site, ignore_errors=True)
    pinned = [f"{name}=={metadata.version(name)}" for name in _PYTHON]
    install_wheels([f"torch=={version}", *pinned], site, "--no-deps")
    making = stubs.with_name("stubs.new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    write_stubs(sorted((site / "torch").rglob("*.so*")), folder / ROOT, making)
    making.rename(stubs)


def torch_environment(folder: Path) -> dict[str, str]:
    """Environment variables for a Python in the emulator that imports torch."""
    usual = arm_environment(folder)
    site, stubs = (place.resolve() for place in _folders(folder))
    return {
        **usual,
        "PYTHONPATH": f"{site}:{usual['PYTHONPATH']}",
        "LD_LIBRARY_PATH": str(stubs),
    }


def _version() -> str:
    """That of the installed torch, whatever build it is."""
    return metadata.version("torch").partition("+")[0]


def _folders(folder: Path) -> tuple[Path, Path]:
    """Where torch lies, and where what it lacks."""
    return folder / f"torch-{_version()}", folder / f"stubs-{_version()}"


def write_stubs(libraries: Iterable[Path], root: Path, stubs: Path) -> None:
    """Write a library for each one that is missing, with all functions that are wanted of it.

    Args:
        libraries: Those of torch.
        root: Root of Debian, whose libraries are not missing.
        stubs: Where to write them.
    """
    there = {path.name for path in root.rglob("*.so*")}
    needed: set[str] = set()
    defined: set[str] = set()
    wanted: set[str] = set()
    library_of: dict[str, str] = {}
    for path in libraries:
        there.add(path.name)
        needed |= set(_NEEDED.findall(_tool("readelf", "-d", path)))
        library_of.update(_versions(path))
        for line in _tool("nm", "-D", path).splitlines():
            *_, kind, name = line.split()
            (wanted if kind in {"U", "w"} else defined).add(name)
    missing = sorted(needed - there)
    # What has no version may be looked for in any of them.
    anywhere = next(name for name in missing if name.startswith("libcudart"))
    plain = {name.partition("@")[0] for name in defined}
    functions: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for version, library in library_of.items():
        if library in missing:
            functions[library][version] = set()
    for name in wanted:
        function, _, version = name.partition("@")
        if library_of.get(version) in missing:
            functions[library_of[version]][version].add(function)
        elif not version and function not in plain and _is_cuda(function):
            functions[anywhere][""].add(function)
    for library in missing:
        _compile(stubs / library, functions[library])


def _is_cuda(function: str) -> bool:
    """Whether a function without a version is one of NVIDIA's, and not Python's."""
    return re.match(r"(__)?(cu|nccl|pnccl|nv)", function) is not None


def _versions(path: Path) -> Iterable[tuple[str, str]]:
    """Each version that a library asks for, and of which other library."""
    library = ""
    for file, version in _VERSION_OF.findall(_tool("readelf", "-V", "-W", path)):
        if file:
            library = file
        elif version:
            yield version, library


def _compile(library: Path, functions: Mapping[str, set[str]]) -> None:
    """A library whose functions all say that there is no driver.

    Args:
        library: To be written.
        functions: Names by their version; "" for those without one.
    """
    names = sorted(set().union(*functions.values()))
    source = "".join(f"long {name}(void) {{ return {_NO_DRIVER}; }}\n" for name in names)
    versions = "".join(
        f"{version} {{ global: {' '.join(f'{name};' for name in sorted(members))} }};\n"
        for version, members in functions.items()
        if version
    ).replace("global:  }", "}")
    script = library.with_suffix(".map")
    script.write_text(versions)
    options = [f"-Wl,--version-script={script}"] if versions else []
    subprocess.run(
        [
            *(f"{_TOOLS}gcc", "-shared", "-fPIC", "-nostdlib", "-fno-builtin", "-w"),
            *("-o", str(library), f"-Wl,-soname,{library.name}", *options, "-x", "c", "-"),
        ],
        input=source,
        text=True,
        check=True,
    )
    script.unlink()


def _tool(name: str, *arguments: object) -> str:
    command = [_TOOLS + name, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
