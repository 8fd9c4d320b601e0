"""A recipe as a torch.export program and in ONNX Runtime, on real images: a table in Markdown.

Usage: python -m eightbit.quantize.studies.program --calibrate SRC --evaluate SRC --out FILE.md
           ARCHITECTURE:WEIGHTS:SIDE ...

Every network is quantized once for both; the program's logits, with INT8 kernels and as it is
written, are compared with those of ONNX Runtime, which are the reference's. Ratios are float ONNX
over the INT8 file, medians of interleaved calls at one thread. A further torch is a further run.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import torch
import typer

from eightbit.benchmarks.artifact.formats import ONNX, PROGRAM, Precision
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.report.document import OperatorCoverage
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.benchmarks.runtimes.runners.program_runner import ProgramRunner
from eightbit.benchmarks.studies.command import Network, parse_network, quantize
from eightbit.benchmarks.studies.line import drawn_photos, float_beside_int8
from eightbit.quantize.artifacts.audit import audit
from eightbit.quantize.recipe.recipe import read_recipe
from eightbit.quantize.studies.litert import Answers, compared
from eightbit.quantize.verify.executions import in_batches

_IMAGES: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network.

    Attributes:
        convolutions: In INT8 kernels, of all.
        kernels: Answers with them.
        written: Answers of the program as it is written.
        latencies: By file: float ONNX, INT8 ONNX, program.
    """

    name: str
    convolutions: OperatorCoverage
    kernels: Answers
    written: Answers
    latencies: tuple[LatencyResult, ...]


def measure(network: Network, calibrate: Path, evaluate: Path, folder: Path) -> Row:
    """Quantize a network for both runtimes, and compare what they answer."""
    out = folder / "out"
    arguments = [network.architecture, "--weights", str(network.weights)]
    arguments += ["--resize", network.side, "--crop", network.side]
    quantize([*arguments, "--calibrate", str(calibrate), "--formats", "onnx,pt2"], out)
    program, integer, real = (
        out / name for name in (PROGRAM.file(), ONNX.file(), ONNX.file(Precision.FP32))
    )
    metadata, coverage = read_metadata(integer), audit(program)
    if metadata is None or coverage is None:
        raise ValueError(f"{integer}: expected the metadata of a bundle, found none")
    pixels = drawn_photos(evaluate, metadata.spec.preprocessing, _IMAGES)
    expected = in_batches(OnnxRunner(integer, threads=usable_cores()), pixels)
    last_bit = read_recipe(out / "recipe.json").output_scale
    kernels, written = (
        compared(
            in_batches(ProgramRunner(program, usable_cores(), optimize=optimize), pixels),
            expected,
            last_bit,
        )
        for optimize in (True, False)
    )
    return Row(
        name=f"`{network.architecture}`, {network.side} px",
        convolutions=coverage.conv,
        kernels=kernels,
        written=written,
        latencies=float_beside_int8([real, integer, program], pixels.shape[1:]),
    )


_EXPLANATION: Final = """\
The same recipe twice: `model.int8.pt2` in torch beside `model.int8.onnx` in ONNX Runtime, whose
logits are those of the reference. *in INT8*: convolutions that torch computes in INT8 kernels, once
`with_int8_kernels` has been over the program; *largest* difference of a logit, in last bits, and
*classes*, images of the same class: with these kernels, then as the program is written. *faster*:
than the float ONNX model in ONNX Runtime, one thread: torch, ONNX Runtime."""

_COLUMNS: Final = (
    *("torch", "network", "in INT8", "largest", "classes"),
    *("as written: largest", "classes", "faster"),
)
_COMMAND: Final = (
    "`python -m eightbit.quantize.studies.program --calibrate SRC --evaluate SRC --out FILE.md "
    "ARCHITECTURE:WEIGHTS:SIDE ...`"
)


def document(rows: Sequence[Row]) -> str:
    """The table, in Markdown."""
    lines = [
        *("# torch.export beside ONNX Runtime", "", _COMMAND, ""),
        *(f"{read_environment().summary()}. {_IMAGES:,} images that set no range.", ""),
        *(_EXPLANATION, ""),
        *(f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"),
        *(f"| {' | '.join(_cells(row))} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> Iterator[str]:
    yield torch.__version__.partition("+")[0]
    yield row.name
    yield f"{row.convolutions.quantized} of {row.convolutions.total}"
    for answers in (row.kernels, row.written):
        yield f"{answers.largest:.2g}"
        yield f"{answers.classes:.1%}"
    real, integer, program = (result.p50_ms for result in row.latencies)
    yield f"{real / program:.2f}x, {real / integer:.2f}x"


def main(
    networks: Annotated[list[str], typer.Argument()],
    calibrate: Annotated[Path, typer.Option(help="Images that set the ranges.")],
    evaluate: Annotated[Path, typer.Option(help="Other images.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
) -> None:
    """Compare torch with ONNX Runtime on some networks, as ARCHITECTURE:WEIGHTS:SIDE."""
    rows = []
    for given in networks:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(parse_network(given), calibrate, evaluate, Path(folder)))
        print(" | ".join(_cells(rows[-1])), flush=True)
        out.write_text(document(rows), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
