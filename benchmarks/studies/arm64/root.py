"""A Debian for ARM with Python and ONNX Runtime, to be run by an emulator; nothing of it runs yet.

Usage: python -m eightbit.benchmarks.studies.arm64.root --out build/arm64 [--mirror URL]

Debian's packages are unpacked, not installed, so that no ARM program runs and no root is needed
where user namespaces are allowed. The mirror is the one that this machine's apt uses for Debian
bookworm. The wheels are those for aarch64 of the versions that are installed here, which are the
ones that `eightbit bundle` writes into requirements.txt. Takes 80 MB of downloads and 240 MB of
disk.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Final

import typer

from eightbit.benchmarks.studies.arm64.processors import ARM_PROCESSORS, PROCESSORS, ROOT, SITE
from eightbit.models.errors import InputError
from eightbit.models.plain_text import one_line

SUITE: Final = "bookworm"  # whose Python is 3.11, as the wheels below
PYTHON_VERSION: Final = "3.11"
WHEELS: Final = ("onnxruntime", "numpy", "pillow")

_DEBIANS: Final = "python3,libgomp1,libstdc++6,zlib1g"
_MADE: Final = "made.json"
_LINKED: Final = ("lib", "usr")
_PLATFORMS: Final = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")


def make_arm_root(folder: Path, mirror: str | None = None) -> bool:
    """Make what the emulator runs; what is there already and of the same versions is kept.

    Args:
        folder: Where.
        mirror: Debian's archive; by default the one that this machine's apt knows.

    Returns:
        Whether there was anything to do.

    Raises:
        InputError: A program is missing, no mirror is known, or a download fails.
    """
    wanted = {"suite": SUITE, "debian": _DEBIANS, "wheels": pinned_wheels()}
    made, told = folder / _MADE, json.dumps(wanted, indent=1)
    fresh = not made.is_file() or made.read_text() != told
    if fresh:
        folder.mkdir(parents=True, exist_ok=True)
        made.unlink(missing_ok=True)
        for name in (ROOT, SITE):
            shutil.rmtree(folder / name, ignore_errors=True)
        _unpack_debian(folder / ROOT, mirror or debian_mirror())
        install_wheels(wanted["wheels"], folder / SITE)
        made.write_text(told)
    write_processors(folder)
    return fresh


def pinned_wheels() -> list[str]:
    """The packages that classify.py needs, in the versions that are installed here."""
    return [f"{name}=={metadata.version(name)}" for name in WHEELS]


def debian_mirror() -> str:
    """Where this machine's apt has Debian bookworm from.

    Raises:
        InputError: It has it from nowhere.
    """
    command = (
        *("apt-get", "indextargets", "--format", "$(REPO_URI)"),
        *("Created-By: Packages", "Origin: Debian", f"Codename: {SUITE}"),
    )
    known = _run(command, "apt").split() if shutil.which("apt-get") else []
    if not known:
        raise InputError(
            f"apt: expected a source of Debian {SUITE}, found none; give one with --mirror"
        )
    return known[0]


def write_processors(folder: Path) -> None:
    """A root for each processor: that of Debian, with another `/proc/cpuinfo`."""
    shutil.rmtree(folder / PROCESSORS, ignore_errors=True)
    for processor in ARM_PROCESSORS:
        own = folder / PROCESSORS / processor.name
        (own / "proc").mkdir(parents=True)
        (own / "proc" / "cpuinfo").write_text(processor.cpuinfo(os.cpu_count() or 1))
        # Nothing else: what the emulator finds here hides what the machine has at that place.
        for name in _LINKED:
            (own / name).symlink_to(Path("..", "..", ROOT, name))


def install_wheels(requirements: Sequence[str], target: Path, *options: str) -> None:
    """Unpack wheels for aarch64; nothing of them is run.

    Raises:
        InputError: pip cannot find or fetch them.
    """
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target)]
    command += ["--python-version", PYTHON_VERSION, "--implementation", "cp"]
    command += ["--only-binary=:all:", *options]
    for platform in _PLATFORMS:
        command += ["--platform", platform]
    _run([*command, *requirements], "wheels for aarch64")


def _unpack_debian(root: Path, mirror: str) -> None:
    if shutil.which("mmdebstrap") is None:
        raise InputError("mmdebstrap is not installed: apt-get install mmdebstrap")
    command = ("mmdebstrap", "--quiet", "--variant=extract", "--arch=arm64")
    _run((*command, f"--include={_DEBIANS}", SUITE, str(root), mirror), "Debian for ARM")


def _run(command: Sequence[str], what: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        # The last line that is no warning says why.
        lines = [line for line in done.stderr.splitlines() if line and not line.startswith("W")]
        why = one_line(lines[-1] if lines else f"exit code {done.returncode}")
        raise InputError(f"{what}: `{command[0]}` failed: {why}")
    return done.stdout


def main(
    out: Annotated[Path, typer.Option(help="Folder to make it in.")],
    mirror: Annotated[str | None, typer.Option(help="Debian's archive; apt's by default.")] = None,
) -> None:
    """Make what the emulator runs."""
    try:
        fresh = make_arm_root(out, mirror)
    except InputError as exc:
        print(exc, file=sys.stderr)
        raise typer.Exit(2) from exc
    print(f"{out}: {'made' if fresh else 'up to date'}")


if __name__ == "__main__":
    typer.run(main)
