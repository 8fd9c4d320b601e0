"""What emulated ARM processors answered, as a page in Markdown."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from eightbit.benchmarks.accuracy.fidelity import ParityMeter, ParityResult
from eightbit.benchmarks.report.figures import NOTHING, percent
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.studies.arm64.processors import ARM_EMULATOR, ArmProcessor


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What a machine answered to some images.

    Attributes:
        pixels: Digest of each image, decoded, resized and cropped.
        logits: float32, shape (N, classes).
    """

    pixels: tuple[str, ...]
    logits: FloatArray


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A machine beside this one.

    Attributes:
        self_test: On the self-test's pictures.
        images: On the images.
        same_pixels: How many of all of these it decoded and resized to the same pixels.
        n: How many these are.
    """

    self_test: ParityResult
    images: ParityResult
    same_pixels: int
    n: int

    @classmethod
    def of(cls, expected: Answers, found: Answers, last_bit: float, pictures: int) -> Self:
        """Compare two machines.

        Args:
            expected: This one's answers.
            found: The other one's.
            last_bit: Last bit of the logits.
            pictures: How many of the first images are the self-test's.
        """
        parts = (slice(None, pictures), slice(pictures, None))
        self_test, images = (
            _parity(expected.logits[part], found.logits[part], last_bit) for part in parts
        )
        return cls(
            self_test=self_test,
            images=images,
            same_pixels=sum(
                one == other for one, other in zip(expected.pixels, found.pixels, strict=True)
            ),
            n=len(expected.pixels),
        )


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network.

    Attributes:
        name: What it is called.
        rows: ONNX Runtime on each machine, by the machine's name.
        torchscript: torch, by engine and machine; empty if that was not asked for.
    """

    name: str
    rows: Mapping[str, Compared]
    torchscript: Mapping[str, Compared]


def markdown(
    networks: Sequence[Network],
    products: Mapping[ArmProcessor, Sequence[str]],
    source: str,
    command: str,
) -> str:
    """The page.

    Args:
        networks: What was compared.
        products: The instructions by which each processor multiplied.
        source: Where the images came from.
        command: The command line.
    """
    lines = [
        "# On ARM, emulated",
        "",
        f"`{command}`",
        "",
        f"{read_environment().summary()}; {emulator_version()}.",
        "",
        _INTRODUCTION.format(source=source),
        "",
        *_table("ONNX Runtime on", networks, [one.rows for one in networks]),
        "",
        _pixels(networks),
    ]
    if networks[0].torchscript:
        lines += ["", _TORCHSCRIPT, ""]
        lines += _table("torch", networks, [one.torchscript for one in networks])
    lines += ["", _PROCESSORS, "", "| processor | as in | instructions |"]
    lines.append("|---|---|---|")
    lines += [
        f"| `{processor.name}` | {processor.boards} | {', '.join(found)} |"
        for processor, found in products.items()
    ]
    return "\n".join(lines) + "\n"


_INTRODUCTION: Final = (
    "The packed model on each emulated machine, beside the same packed model on this one in ONNX "
    "Runtime: how many logits are identical (closer than half a last bit of the calibrated range), "
    "the largest difference in last bits, and images with the same class. First the three pictures "
    "of the self-test, then images of {source}."
)

_PROCESSORS: Final = (
    "By which instructions ONNX Runtime multiplied on each of them, read from the emulator's list "
    "of the code that it translated while the first network's self-test ran:"
)


_TORCHSCRIPT: Final = (
    "The TorchScript artefacts beside the same answers of ONNX Runtime on this machine: QNNPACK's "
    "and oneDNN's kernels for ARM, in PyPI's own wheel of torch for aarch64. It is linked against "
    "CUDA; empty libraries stand for NVIDIA's."
)


def _table(
    head: str, networks: Sequence[Network], columns: Sequence[Mapping[str, Compared]]
) -> Iterator[str]:
    yield f"| {head} | {' | '.join(one.name for one in networks)} |"
    yield "|---|" + "---|" * len(networks)
    for name in dict.fromkeys(name for column in columns for name in column):
        cells = (_cell(column[name]) if name in column else NOTHING for column in columns)
        yield f"| `{name}` | {' | '.join(cells)} |"


def emulator_version() -> str:
    """What the emulator calls itself, without who made it."""
    done = subprocess.run([ARM_EMULATOR, "--version"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0].partition(" (")[0]


def _cell(compared: Compared) -> str:
    return "; ".join(_figures(result) for result in (compared.self_test, compared.images))


def _figures(result: ParityResult) -> str:
    return (
        f"{percent(result.identical_fraction)}, {result.max_lsb}, "
        f"{percent(result.top1_agreement)} ({result.n})"
    )


def _pixels(networks: Sequence[Network]) -> str:
    rows = [row for network in networks for row in network.rows.values()]
    same, total = sum(row.same_pixels for row in rows), sum(row.n for row in rows)
    return (
        f"Decoding, resizing and cropping gave the same pixels as here for {same:,} of {total:,} "
        "images, all networks and machines together."
    )


def _parity(expected: FloatArray, found: FloatArray, last_bit: float) -> ParityResult:
    meter = ParityMeter(last_bit)
    meter.update(expected, found)
    return meter.result()
