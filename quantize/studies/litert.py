"""The same recipe in LiteRT and in ONNX Runtime, on real images: a table in Markdown.

Usage: python -m eightbit.quantize.studies.litert --calibrate SRC --evaluate SRC --out FILE.md
           ARCHITECTURE:WEIGHTS:SIDE ...

Every network is quantized once for both; LiteRT's logits, in XNNPACK's kernels and in its own, are
compared with those of ONNX Runtime, which are the reference's. Ratios are float ONNX over the INT8
file, medians of interleaved calls at one thread.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import typer

from eightbit.benchmarks.artifact.formats import LITERT, ONNX, Precision
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.runtimes.runners.litert_runner import LiteRtRunner
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.benchmarks.studies.command import Network, parse_network, quantize
from eightbit.benchmarks.studies.line import drawn_photos, float_beside_int8
from eightbit.quantize.recipe.recipe import read_recipe
from eightbit.quantize.verify.executions import in_batches

_IMAGES: Final = 1000
_BATCH: Final = 50


@dataclass(frozen=True, kw_only=True)
class Answers:
    """LiteRT's logits beside ONNX Runtime's.

    Attributes:
        within: Share of logits within one last bit.
        largest: Largest difference, in last bits.
        classes: Share of images of the same class.
    """

    within: float
    largest: float
    classes: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network: sizes in bytes, answers with XNNPACK and without, latencies by file."""

    name: str
    size: int
    float_size: int
    xnnpack: Answers
    plain: Answers
    latencies: tuple[LatencyResult, ...]


def measure(network: Network, calibrate: Path, evaluate: Path, folder: Path) -> Row:
    """Quantize a network for both runtimes, and compare what they answer."""
    out = folder / "out"
    arguments = [network.architecture, "--weights", str(network.weights)]
    arguments += ["--resize", network.side, "--crop", network.side]
    quantize([*arguments, "--calibrate", str(calibrate), "--formats", "onnx,litert"], out)
    lite, integer, real = (
        out / name for name in (LITERT.file(), ONNX.file(), ONNX.file(Precision.FP32))
    )
    metadata = read_metadata(integer)
    if metadata is None:
        raise ValueError(f"{integer}: expected the metadata of a bundle, found none")
    pixels = drawn_photos(evaluate, metadata.spec.preprocessing, _IMAGES)
    expected = in_batches(OnnxRunner(integer, threads=usable_cores()), pixels, _BATCH)
    last_bit = read_recipe(out / "recipe.json").output_scale
    xnnpack, plain = (
        compared(
            in_batches(LiteRtRunner(lite, usable_cores(), optimize=optimize), pixels, _BATCH),
            expected,
            last_bit,
        )
        for optimize in (True, False)
    )
    return Row(
        name=f"`{network.architecture}`, {network.side} px",
        size=lite.stat().st_size,
        float_size=real.stat().st_size,
        xnnpack=xnnpack,
        plain=plain,
        latencies=float_beside_int8([real, integer, lite], pixels.shape[1:]),
    )


def compared(found: FloatArray, expected: FloatArray, last_bit: float) -> Answers:
    """Logits beside those expected, both float32 (N, classes); ``last_bit`` is their scale."""
    difference = np.abs(found - expected) / last_bit
    return Answers(
        within=float((difference <= 1).mean()),
        largest=float(difference.max()),
        classes=float((found.argmax(1) == expected.argmax(1)).mean()),
    )


_EXPLANATION: Final = """\
The same recipe twice: `model.int8.tflite` in LiteRT beside `model.int8.onnx` in ONNX Runtime, whose
logits are those of the reference. *within 1*: share of logits that differ by one last bit at most;
*largest* difference, in last bits; *classes*: images of the same class; first in XNNPACK's kernels,
then in LiteRT's own. *file*: over the float ONNX model. *faster*: than the float ONNX model in ONNX
Runtime, one thread: LiteRT, ONNX Runtime."""

_COLUMNS: Final = (
    *("network", "file", "within 1", "largest", "classes"),
    *("own kernels: within 1", "largest", "classes", "faster"),
)


def document(rows: Sequence[Row], versions: str) -> str:
    """The table, in Markdown."""
    lines = [
        *("# LiteRT beside ONNX Runtime", "", _COMMAND, ""),
        *(f"{read_environment().summary()}; {versions}. {_IMAGES:,} images that set no range.", ""),
        *(_EXPLANATION, ""),
        *(f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"),
        *(f"| {' | '.join(_cells(row))} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


_COMMAND: Final = (
    "`python -m eightbit.quantize.studies.litert --calibrate SRC --evaluate SRC --out FILE.md "
    "ARCHITECTURE:WEIGHTS:SIDE ...`"
)


def _cells(row: Row) -> Iterator[str]:
    yield row.name
    yield f"{row.size / row.float_size:.1%}"
    for answers in (row.xnnpack, row.plain):
        yield f"{answers.within:.2%}"
        yield f"{answers.largest:.2g}"
        yield f"{answers.classes:.1%}"
    real, integer, lite = (result.p50_ms for result in row.latencies)
    yield f"{real / lite:.2f}x, {real / integer:.2f}x"


def main(
    networks: Annotated[list[str], typer.Argument()],
    calibrate: Annotated[Path, typer.Option(help="Images that set the ranges.")],
    evaluate: Annotated[Path, typer.Option(help="Other images.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
) -> None:
    """Compare LiteRT with ONNX Runtime on some networks, as ARCHITECTURE:WEIGHTS:SIDE."""
    rows = []
    for given in networks:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(parse_network(given), calibrate, evaluate, Path(folder)))
        print(" | ".join(_cells(rows[-1])), flush=True)
        versions = f"LiteRT {version('ai-edge-litert')}, ONNX Runtime {version('onnxruntime')}"
        out.write_text(document(rows, versions), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
