"""A packed model on emulated ARM processors beside x86, in last bits: a page in Markdown.

Usage: python -m eightbit.benchmarks.studies.arm64 DIR... --images SRC --out FILE.md
    [--samples N] [--torchscript] [--arm FOLDER]

`make arm64` makes what the emulator runs. Each DIR, which `eightbit quantize` wrote, is packed by
`eightbit bundle`; the program in the archive then classifies its own self-test and N images here,
on an emulated x86 processor without VNNI, and on every ARM processor. With `--torchscript` the
TorchScript artefacts run in torch's own build for ARM as well (`torch_build`).
"""

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.report.document import Report, read_report
from eightbit.benchmarks.runtimes.cpu_names import OLD_CPU
from eightbit.benchmarks.runtimes.execution import Execution
from eightbit.benchmarks.studies.arm64.page import Answers, Compared, Network, markdown
from eightbit.benchmarks.studies.arm64.processors import (
    ARM_PROCESSORS,
    TRACE,
    ArmProcessor,
    arm_environment,
    check_arm,
    multiplications,
)
from eightbit.benchmarks.studies.arm64.torch_build import make_torch
from eightbit.benchmarks.studies.arm64.torchscript import torchscript_logits
from eightbit.models.errors import InputError
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import open_source
from eightbit.models.spec import size_text

_WORKER: Final = Path(__file__).with_name("worker.py")
_OLD_CPU: Final = Execution(runtime=ONNX.runtime, emulated_cpu=OLD_CPU)
_PT: Final = "model.int8.pt"
_SELF_TEST: Final = "self_test/"


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A bundle for other machines, unpacked as far as this needs it.

    Attributes:
        name: Name of the network.
        folder: What `eightbit quantize` wrote.
        archive: The archive.
        last_bit: Last bit of the logits.
        pictures: The self-test's.
        report: Report of the model.
    """

    name: str
    folder: Path
    archive: Path
    last_bit: float
    pictures: tuple[Path, ...]
    report: Report


def pack(folder: Path, place: Path) -> Packed:
    """Run `eightbit bundle`.

    Args:
        folder: The bundle that `eightbit quantize` wrote; it stays as it is.
        place: For the files; a new folder.

    Raises:
        InputError: It has no report, or cannot be packed.
    """
    report = read_report(folder / "report.json")
    # Packing amends a report: that of a copy, since this archive is for nobody else.
    copied = shutil.copytree(folder, place / "bundle")
    archive = place / "model.zip"
    program = Path(sys.executable).with_name("eightbit")
    done = subprocess.run(
        [program, "bundle", copied, "--out", archive], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise InputError(f"{folder}: `eightbit bundle` failed: {done.stderr.strip()}")
    with zipfile.ZipFile(archive) as members:
        last_bit = json.loads(members.read("self_test.json"))["last_bit"]
        names = [name for name in members.namelist() if name.startswith(_SELF_TEST)]
        pictures = tuple(Path(members.extract(name, place)) for name in names)
    spec = report.model.spec
    return Packed(
        name=f"{spec.architecture}, {size_text(spec.preprocessing.crop)} px",
        folder=folder,
        archive=archive,
        last_bit=last_bit,
        pictures=pictures,
        report=report,
    )


def answers(
    python: Sequence[str], packed: Packed, files: Sequence[Path], environment: dict[str, str] | None
) -> Answers:
    """What a packed model answers to the files.

    Args:
        python: A Python with onnxruntime, numpy and pillow, and what stands before it.
        packed: The model.
        files: Images.
        environment: Environment of the process; None for this one's.

    Raises:
        InputError: It does not come to its end.
    """
    done = subprocess.run(
        [*python, str(_WORKER), str(packed.archive)],
        input=json.dumps([str(path) for path in files]),
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    if done.returncode != 0:
        raise InputError(f"{' '.join(python)}: {packed.name}: failed: {done.stderr.strip()[-500:]}")
    found = json.loads(done.stdout)
    return Answers(
        pixels=tuple(found["pixels_sha256"]), logits=np.array(found["logits"], np.float32)
    )


def instructions(processor: ArmProcessor, folder: Path, archive: Path) -> tuple[str, ...]:
    """By which instructions a processor multiplied while the self-test ran, which has to pass.

    Args:
        processor: Which.
        folder: What `root` made.
        archive: The packed model.

    Raises:
        InputError: The self-test fails.
    """
    emulator, *rest = processor.command(folder)
    with tempfile.TemporaryDirectory() as temporary:
        trace = Path(temporary, "trace")
        done = subprocess.run(
            [emulator, *TRACE, str(trace), *rest, str(archive), "--self-test"],
            capture_output=True,
            text=True,
            check=False,
            env=arm_environment(folder),
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()
            raise InputError(f"{processor.name}: the self-test failed: {said[-500:]}")
        with trace.open(encoding="utf-8", errors="replace") as lines:
            return multiplications(lines)


def network(
    packed: Packed, images: Sequence[Path], arm: Path, *, torchscript: bool = False
) -> Network:
    """One network on every processor.

    Args:
        packed: It.
        images: To classify beside the self-test's pictures.
        arm: What `root` made.
        torchscript: Whether to run its TorchScript artefact as well.

    Raises:
        InputError: Something does not come to its end.
    """
    files = [*packed.pictures, *images]
    expected = answers([sys.executable], packed, files, None)
    ways: dict[str, tuple[Sequence[str], dict[str, str] | None]] = {
        "x86-64 without VNNI (haswell)": ((*_OLD_CPU.command_prefix(), sys.executable), None)
    }
    for processor in ARM_PROCESSORS:
        ways[processor.name] = processor.command(arm), arm_environment(arm)
    rows = {}
    for name, (python, environment) in ways.items():
        print(f"{packed.name}: {name}", flush=True)
        found = answers(python, packed, files, environment)
        rows[name] = Compared.of(expected, found, packed.last_bit, len(packed.pictures))
    answered = torchscript_logits(packed.folder / _PT, files, arm) if torchscript else {}
    return Network(
        name=packed.name,
        rows=rows,
        torchscript={
            name: Compared.of(
                expected,
                Answers(pixels=expected.pixels, logits=logits),
                packed.last_bit,
                len(packed.pictures),
            )
            for name, logits in answered.items()
        },
    )


def drawn(source: Path, count: int, place: Path) -> tuple[tuple[Path, ...], str]:
    """Images as files of their own, balanced over the classes, and what their source is called."""
    place.mkdir()
    with open_source(source) as images:
        chosen = balanced_order(images.items, seed=0)[:count]
        paths = []
        for number, item in enumerate(chosen):
            path = place / f"{number}{Path(item.name).suffix}"
            path.write_bytes(images.read(item))
            paths.append(path)
        return tuple(paths), images.name


def main(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...")],
    images: Annotated[Path, typer.Option(help="Photos: folder, .tar or .zip.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    samples: Annotated[int, typer.Option(min=1, help="Images to classify.")] = 32,
    torchscript: Annotated[bool, typer.Option("--torchscript", help="Run these as well.")] = False,
    arm: Annotated[Path, typer.Option(help="What `make arm64` made.")] = Path("build/arm64"),
) -> None:
    """Compare emulated ARM processors with this one."""
    try:
        check_arm(arm)
        if torchscript:
            make_torch(arm)
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary)
            files, source = drawn(images, samples, place / "images")
            packed = [pack(one, place / str(number)) for number, one in enumerate(folders)]
            products = {
                processor: instructions(processor, arm, packed[0].archive)
                for processor in ARM_PROCESSORS
            }
            networks = [network(one, files, arm, torchscript=torchscript) for one in packed]
    except InputError as exc:
        print(exc, file=sys.stderr)
        raise typer.Exit(2) from exc
    command = (
        "python -m eightbit.benchmarks.studies.arm64 DIR... "
        f"--images {source} --samples {samples}{' --torchscript' * torchscript} --out FILE.md"
    )
    out.write_text(markdown(networks, products, source, command))
