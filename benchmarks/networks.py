r"""What quantization costs real networks, by range method: a table in Markdown.

Usage: python -m eightbit.benchmarks.networks --calibrate SRC --evaluate SRC --out FILE.md \
           ARCHITECTURE:WEIGHTS:SIDE ...

Each network is quantized with the command line, once per range method, on the same calibration
images, and evaluated on the same labelled images.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from eightbit.benchmarks.command import quantize
from eightbit.benchmarks.environment import read_environment
from eightbit.benchmarks.report import Report
from eightbit.benchmarks.result_tables import decibels, nats

# In the order of the table; the names are those of `eightbit quantize --method`.
METHODS: Final = ("minmax", "moving-average", "percentile", "mse", "entropy", "auto")

COLUMNS: Final = (
    *("network", "method", "float top-1", "artefact", "drop", "flips", "agreement", "SQNR"),
    *("median image SQNR", "mean KL (nats)"),
    *("artefacts agree", "at most 1 last bit apart"),
)


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network to measure: architecture, weights file, side of its input in pixels."""

    architecture: str
    weights: Path
    side: str


def parse_network(text: str) -> Network:
    """Read ``ARCHITECTURE:WEIGHTS:SIDE``, as it is typed."""
    architecture, weights, side = text.split(":")
    return Network(architecture=architecture, weights=Path(weights), side=side)


def rows(network: Network, method: str, report: Report) -> Iterator[str]:
    """One line of the table for each INT8 artefact.

    Raises:
        ValueError: The run measured no labelled images.
    """
    if report.accuracy is None or report.fidelity is None or report.accuracy.fp32.top1 is None:
        raise ValueError(f"{network.architecture}: expected labelled evaluation images")
    (parity,) = report.parity.values()
    for name in ("torchscript", "onnx"):
        accuracy, fidelity = getattr(report.accuracy, name), getattr(report.fidelity, name)
        cells = (
            *(network.weights.stem, method, f"{report.accuracy.fp32.top1:.2%}", name),
            *(f"{accuracy.drop_pp:+.2f} pp", f"{accuracy.flip_count}"),
            *(f"{accuracy.top1_agreement:.2%}", decibels(fidelity.sqnr_db)),
            *(decibels(fidelity.median_image_sqnr_db), nats(fidelity.mean_kl)),
            *(f"{parity.top1_agreement:.2%}", f"{parity.within_one_lsb_fraction:.2%}"),
        )
        yield f"| {' | '.join(cells)} |"


def measure(networks: Sequence[Network], calibrate: Path, evaluate: Path) -> Iterator[str]:
    """The table's lines, network by network and method by method."""
    for network in networks:
        for method in METHODS:
            arguments = [network.architecture, "--weights", str(network.weights)]
            arguments += ["--resize", network.side, "--crop", network.side, "--method", method]
            arguments += ["--calibrate", str(calibrate), "--evaluate", str(evaluate)]
            with tempfile.TemporaryDirectory() as folder:
                report = quantize(arguments, Path(folder) / "out")
            yield from rows(network, method, report)


def main(
    networks: Annotated[list[str], typer.Argument(metavar="ARCHITECTURE:WEIGHTS:SIDE")],
    calibrate: Annotated[Path, typer.Option(help="Calibration images.")],
    evaluate: Annotated[Path, typer.Option(help="Labelled images.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
) -> None:
    """Quantize and evaluate each network with each range method."""
    parsed = [parse_network(text) for text in networks]
    lines = list(measure(parsed, calibrate, evaluate))
    named = " ".join(f"{n.architecture}:{n.weights.name}:{n.side}" for n in parsed)
    command = (
        f"python -m eightbit.benchmarks.networks --calibrate {calibrate.name} "
        f"--evaluate {evaluate.name} --out FILE.md {named}"
    )
    head = [
        "# Accuracy by range method",
        "",
        f"`{command}`",
        "",
        f"{read_environment().summary()}. Drop: float minus INT8, in percentage points.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
    ]
    out.write_text("\n".join([*head, *lines]) + "\n")


if __name__ == "__main__":
    typer.run(main)
