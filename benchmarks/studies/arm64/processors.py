"""ARM processors that QEMU emulates here, each with other instructions for INT8 products."""

import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eightbit.benchmarks.runtimes.execution import EMULATOR_PACKAGE
from eightbit.models.errors import InputError

ARM_EMULATOR: Final = "qemu-aarch64"

# What `root` makes in its folder.
ROOT, SITE, PROCESSORS = "root", "site", "processors"


_PYTHON: Final = "usr/bin/python3.11"


@dataclass(frozen=True, kw_only=True)
class ArmProcessor:
    """One processor.

    Attributes:
        name: What it is called here; part of file names.
        model: QEMU's name of it, with what is switched off.
        products: The instructions by which it multiplies integers of 8 bits.
        boards: Where such a processor is found.
        part: Implementer and part number, as its register says them.
        features: What Linux would list in /proc/cpuinfo.
    """

    name: str
    model: str
    products: tuple[str, ...]
    boards: str
    part: tuple[str, str]
    features: str

    @property
    def title(self) -> str:
        """What `/proc/cpuinfo` calls it."""
        return f"{self.name} (QEMU)"

    def cpuinfo(self, count: int) -> str:
        """A `/proc/cpuinfo` of so many of it.

        The host's own would be that of an x86 processor, of which ONNX Runtime dies.
        """
        implementer, part = self.part
        lines = (
            f"model name\t: {self.title}",
            f"Features\t: {self.features}",
            f"CPU implementer\t: {implementer}",
            "CPU architecture: 8",
            "CPU variant\t: 0x1",
            f"CPU part\t: {part}",
            "CPU revision\t: 1",
        )
        return "".join("\n".join((f"processor\t: {n}", *lines, "\n")) for n in range(count))

    def command(self, folder: Path) -> tuple[str, ...]:
        """What stands before the arguments of a Python that runs on it.

        Args:
            folder: What `root` made.
        """
        root = (folder / PROCESSORS / self.name).resolve()
        return (ARM_EMULATOR, "-L", str(root), "-cpu", self.model, str(root / _PYTHON))


_ARMV8_2: Final = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop "
    "asimddp ssbs"
)

ARM_PROCESSORS: Final = (
    ArmProcessor(
        name="cortex-a72",
        model="cortex-a72",
        products=("smlal", "smull"),
        boards="Raspberry Pi 4; no dot product",
        part=("0x41", "0xd08"),
        features="fp asimd evtstrm crc32 cpuid",
    ),
    ArmProcessor(
        name="cortex-a76",
        model="cortex-a76",
        products=("sdot", "udot"),
        boards="Raspberry Pi 5; dot product",
        part=("0x41", "0xd0b"),
        features=_ARMV8_2,
    ),
    ArmProcessor(
        name="max-neon",
        model="max,sve=off,sme=off",
        products=("sdot", "ummla"),
        boards="all that QEMU knows but SVE: matrix products (i8mm)",
        part=("0x41", "0xd0b"),
        features=f"{_ARMV8_2} asimdfhm bf16 i8mm",
    ),
    ArmProcessor(
        name="max",
        model="max",
        products=("sdot", "ummla of SVE"),
        boards="all that QEMU knows: matrix products of SVE",
        part=("0x41", "0xd40"),
        features=f"{_ARMV8_2} asimdfhm sve bf16 i8mm svei8mm svebf16",
    ),
)


def arm_environment(folder: Path) -> dict[str, str]:
    """Environment variables for a Python in the emulator: its packages, and one thread."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str((folder / SITE).resolve()),
    }


def arm_problem(folder: Path) -> str | None:
    """Why no ARM processor can be emulated here, and what to do; None where one can."""
    if shutil.which(ARM_EMULATOR) is None:
        return f"{EMULATOR_PACKAGE} is not installed: apt-get install {EMULATOR_PACKAGE}"
    lacking = [name for name in (SITE, PROCESSORS) if not (folder / name).is_dir()]
    if lacking:
        return f"{folder} has no {lacking[0]}: `make arm64` makes it"
    return None


def check_arm(folder: Path) -> None:
    """Refuse a folder in which no ARM processor can be emulated.

    Raises:
        InputError: The emulator or what it runs is missing.
    """
    if (problem := arm_problem(folder)) is not None:
        raise InputError(f"ARM: cannot be emulated: {problem}")


# Which instructions an emulated ARM processor multiplied integers of 8 bits with.
#
# QEMU lists every instruction that it translates (`-d in_asm`): what is in the list was reached. It
# is read by the bits, since its disassembler does not know all of them. The encodings are those of
# the Arm Architecture Reference Manual (DDI 0487), sections C7.2 and C8.2.

TRACE: Final = ("-d", "in_asm", "-D")


"""QEMU's options for the list; the name of its file comes behind them."""

_LINE: Final = re.compile(r"^0x[0-9a-f]+:  ([0-9a-f]{8}) ")

# Which bits tell it, and what they are: of vectors, then with one element for all.
_ENCODINGS: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "sdot": ((0xBFE0FC00, 0x0E809400), (0xBFC0F400, 0x0F80E000)),
    "udot": ((0xBFE0FC00, 0x2E809400), (0xBFC0F400, 0x2F80E000)),
    "usdot": ((0xBFE0FC00, 0x0E809C00), (0xBFC0F400, 0x0F80F000)),
    "smmla": ((0xFFE0FC00, 0x4E80A400),),
    "ummla": ((0xFFE0FC00, 0x6E80A400),),
    "usmmla": ((0xFFE0FC00, 0x4E80AC00),),
    "sdot of SVE": ((0xFFE0FC00, 0x44800000),),
    "udot of SVE": ((0xFFE0FC00, 0x44800400),),
    "smmla of SVE": ((0xFFE0FC00, 0x45009800),),
    "ummla of SVE": ((0xFFE0FC00, 0x45C09800),),
    "usmmla of SVE": ((0xFFE0FC00, 0x45809800),),
    "smull": ((0xBFE0FC00, 0x0E20C000),),
    "smlal": ((0xBFE0FC00, 0x0E208000), (0xBFE0FC00, 0x0E608000)),
    "umull": ((0xBFE0FC00, 0x2E20C000),),
    "umlal": ((0xBFE0FC00, 0x2E208000), (0xBFE0FC00, 0x2E608000)),
}


def multiplications(lines: Iterable[str]) -> tuple[str, ...]:
    """The names of the multiplications in QEMU's list, in alphabetical order.

    Args:
        lines: Lines of the file.
    """
    words = {int(match[1], 16) for line in lines if (match := _LINE.match(line))}
    return tuple(
        sorted(
            name
            for name, encodings in _ENCODINGS.items()
            if any(word & mask == value for mask, value in encodings for word in words)
        )
    )
