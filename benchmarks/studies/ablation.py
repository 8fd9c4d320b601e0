r"""What each stage of quantization is worth on real networks: a table in Markdown.

Usage: python -m eightbit.benchmarks.studies.ablation --calibrate SRC --evaluate SRC --out FILE.md \
           ARCHITECTURE:WEIGHTS:SIDE ...

Each network is quantized with the command line, once as it does by default and once more for each
stage that is switched the other way, on the same images.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from eightbit.benchmarks.artifact.formats import ONNX
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.figures import decibels, nats
from eightbit.benchmarks.report.stage import Stage
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.benchmarks.studies.command import Network, parse_network, quantize

# What is typed beside the defaults.
CONFIGURATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "default": (),
    "minmax ranges": ("--method", "minmax"),
    "moving-average ranges": ("--method", "moving-average"),
    "percentile ranges": ("--method", "percentile"),
    "mse ranges": ("--method", "mse"),
    "weighted-mse ranges": ("--method", "weighted-mse"),
    "minmax-percentile ranges": ("--method", "minmax-percentile"),
    "minmax-mse ranges": ("--method", "minmax-mse"),
    "entropy ranges": ("--method", "entropy"),
    "no bias correction": ("--bias-correction", "off"),
    "mse weights": ("--weight-method", "mse"),
    "mse weights, no bias correction": ("--weight-method", "mse", "--bias-correction", "off"),
    "equalize everywhere": ("--equalize", "on"),
    "equalize nowhere": ("--equalize", "off"),
    "gptq rounding": ("--rounding", "gptq"),
    "nearest rounding": ("--rounding", "nearest"),
    "nearest rounding, no bias correction": ("--rounding", "nearest", "--bias-correction", "off"),
    "unprotected weights": ("--target", "x86-vnni"),
    "unprotected weights, nearest rounding": ("--target", "x86-vnni", "--rounding", "nearest"),
}

# The stages that choose numbers, in which configurations differ; the rest of a run is the same.
CHOOSING: Final = (
    Stage.FUSE,
    Stage.OBSERVE,
    Stage.CALIBRATE,
    Stage.TRY_RANGES,
    Stage.CHOOSE_PARAMETERS,
    Stage.ROUND_WEIGHTS,
    Stage.CORRECT_BIASES,
    Stage.TRY_ROUNDINGS,
)

COLUMNS: Final = (
    *("network", "configuration", "drop", "agreement", "SQNR", "median image SQNR"),
    *("mean KL (nats)", "seconds"),
)


def row(network: Network, configuration: str, report: Report) -> str:
    """The line of the table for the ONNX artefact; its seconds are those of choosing numbers.

    Raises:
        ValueError: The run measured no labelled images.
    """
    accuracy = report.accuracy.by_key.get(ONNX.key) if report.accuracy else None
    fidelity = report.fidelity.by_key.get(ONNX.key) if report.fidelity else None
    if accuracy is None or fidelity is None or accuracy.drop_pp is None:
        raise ValueError(f"{network.architecture}: expected labelled evaluation images")
    seconds = sum(report.timings_s.get(stage, 0.0) for stage in CHOOSING)
    cells = (
        *(network.weights.stem, configuration, f"{accuracy.drop_pp:+.2f} pp"),
        *(f"{fidelity.top1_agreement:.2%}", decibels(fidelity.sqnr_db)),
        *(decibels(fidelity.median_image_sqnr_db), nats(fidelity.mean_kl or 0.0), f"{seconds:.1f}"),
    )
    return f"| {' | '.join(cells)} |"


def measure(networks: Sequence[Network], calibrate: Path, evaluate: Path) -> Iterator[str]:
    """The table's lines, network by network and configuration by configuration."""
    for network in networks:
        for configuration, options in CONFIGURATIONS.items():
            arguments = [network.architecture, "--weights", str(network.weights), *options]
            arguments += ["--resize", network.side, "--crop", network.side]
            arguments += ["--formats", "onnx"]
            arguments += ["--calibrate", str(calibrate), "--evaluate", str(evaluate)]
            with tempfile.TemporaryDirectory() as folder:
                report = quantize(arguments, Path(folder) / "out")
            yield row(network, configuration, report)


def main(
    networks: Annotated[list[str], typer.Argument(metavar="ARCHITECTURE:WEIGHTS:SIDE")],
    calibrate: Annotated[Path, typer.Option(help="Calibration images.")],
    evaluate: Annotated[Path, typer.Option(help="Labelled images.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
) -> None:
    """Quantize and evaluate each network with each configuration."""
    parsed = [parse_network(text) for text in networks]
    lines = list(measure(parsed, calibrate, evaluate))
    named = " ".join(f"{n.architecture}:{n.weights.name}:{n.side}" for n in parsed)
    command = (
        f"python -m eightbit.benchmarks.studies.ablation --calibrate {calibrate.name} "
        f"--evaluate {evaluate.name} --out FILE.md {named}"
    )
    head = [
        "# Accuracy by configuration",
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
