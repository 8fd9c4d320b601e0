r"""This project beside the usual quantizers, on the same networks and images: tables in Markdown.

Usage: python -m eightbit.benchmarks.studies.peers --calibrate SRC --evaluate SRC \
           --out FILE.md [--samples 256] [--limit N] [--ours "--method mse"] \
           ARCHITECTURE:WEIGHTS:SIDE ...

NNCF needs `pip install 'eightbit[peers]'`. Every peer works in a process of its own; one that
fails is a row that says so. `by_torch`, `by_onnxruntime` and `by_nncf` say how each is set.
"""

import shlex
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Annotated, Final

import typer

from eightbit.benchmarks.artifact.formats import ONNX, Precision, preferred
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.stage import Stage
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.benchmarks.studies.command import Network, parse_network, quantize
from eightbit.benchmarks.studies.peers.job import PEERS, Candidate, Job, Outcome
from eightbit.benchmarks.studies.peers.process import Failed, Measured, run
from eightbit.benchmarks.studies.peers.table import FailedRow, Reference, Row, line, section
from eightbit.models.doors.pretrained import load_pretrained
from eightbit.models.errors import InputError
from eightbit.models.images.sources import open_source
from eightbit.models.labels import match_images
from eightbit.models.spec import Architecture, ModelSpec

# Stages of our report that a peer's seconds hold no counterpart of: loading what is given, and
# proving and measuring what came out. Whatever else the report times counts as quantizing.
_NOT_QUANTIZING: Final = (
    *(Stage.LOAD_WEIGHTS, Stage.LOAD_ARTEFACTS, Stage.LOAD_MODELS, Stage.AUDIT),
    *(Stage.VERIFY, Stage.EVALUATE, Stage.LATENCY),
)

_ARTEFACTS: Final = tuple((format.name, format.file()) for format in preferred())
_FLOAT_ONNX: Final = ONNX.file(Precision.FP32)

_EXPLANATION: Final = """\
Everybody gets the same weights, the same preprocessing, the same {samples} calibration images
(the draw of `eightbit quantize --samples {samples} --seed 0`) and all cores, and is compared with
the logits of the float32 network in torch on the same evaluation images.
*Drop*: float minus INT8 top-1, in percentage points. *Agreement*: images with the float network's
class. *SQNR*: of all logits; *median image SQNR*: of the logits of one image. *Mean KL*: of the
probabilities, in nats. *Seconds*: from the loaded float model and images on disk to the quantized
model (for the ONNX tools and for ours on disk), image decoding included; imports, loading,
verification and evaluation are not (imports inside a stage of ours are). *Peak memory*: of the
whole process until then; for ours the largest process of a run with verification. One run of ours
makes both artefacts: its seconds and memory stand in both rows."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What all networks are compared on.

    Attributes:
        calibrate: Calibration images.
        evaluate: Labelled images.
        samples: Calibration images to draw.
        limit: At most so many evaluation images; None for all.
        ours: Options of `eightbit quantize`, one run of ours for each.
    """

    calibrate: Path
    evaluate: Path
    samples: int
    limit: int | None
    ours: tuple[str, ...]


def compare(network: Network, comparison: Comparison, folder: Path) -> Iterator[str]:
    """The Markdown lines of one network.

    Args:
        network: Which.
        comparison: On what.
        folder: For everything that is written on the way.

    Raises:
        InputError: The network or the images cannot be used, so that there is no reference.
    """
    base = _job(network, comparison, folder)
    labels = _labels(comparison.evaluate, base.spec)
    measured = run(base)
    if isinstance(measured, Failed):
        raise InputError(f"{network.weights}: float32 network: {measured.reason}")
    reference = Reference(measured=measured, labels=labels)
    rows: list[Row | FailedRow] = []
    ours = _our_rows(network, comparison, base, reference)
    for row in chain(ours, _peer_rows(base, reference)):
        rows.append(row)
        print(line(row), flush=True)
    yield from section(f"{network.weights.stem}, {network.side} px", reference, rows)


def _job(network: Network, comparison: Comparison, folder: Path) -> Job:
    """The job of the reference; every other one is a copy with another candidate."""
    side = int(network.side)
    pretrained = load_pretrained(
        Architecture(network.architecture),
        str(network.weights),
        resize=side,
        crop=side,
        progress=False,
    )
    return Job(
        candidate=Candidate.FLOAT,
        spec=pretrained.spec,
        weights=network.weights,
        file=None,
        calibrate=comparison.calibrate,
        evaluate=comparison.evaluate,
        samples=comparison.samples,
        limit=comparison.limit,
        threads=usable_cores(),
        folder=folder / "float",
    )


def _labels(evaluate: Path, spec: ModelSpec) -> dict[str, int]:
    """Class index by name of the image.

    Raises:
        InputError: The images are in no class folders, or in unknown ones.
    """
    with open_source(evaluate) as source:
        match = match_images(source.listing, spec)
    if match is None:
        raise InputError(f"{evaluate}: expected images in class folders, found none")
    return dict(match.indices)


def _our_rows(
    network: Network, comparison: Comparison, base: Job, reference: Reference
) -> Iterator[Row | FailedRow]:
    for number, options in enumerate(comparison.ours):
        label = f"eightbit {options}".strip()
        bundle = _bundle(base, number)
        arguments = [network.architecture, "--weights", str(network.weights)]
        arguments += ["--resize", network.side, "--crop", network.side]
        arguments += ["--calibrate", str(comparison.calibrate)]
        arguments += ["--samples", str(comparison.samples), *shlex.split(options)]
        try:
            report = quantize(arguments, bundle)
        except RuntimeError as exc:  # its own message is on the terminal
            yield FailedRow(label=label, reason=str(exc))
            continue
        for name, file in _ARTEFACTS:
            if (bundle / file).is_file():
                yield _our_row(f"{label} ({name})", report, bundle / file, base, reference)


def _bundle(base: Job, number: int) -> Path:
    return base.folder.with_name(f"ours-{number}")


def _our_row(
    label: str, report: Report, artefact: Path, base: Job, reference: Reference
) -> Row | FailedRow:
    """An artefact's logits are measured like everybody's, its cost is what its report says."""
    folder = base.folder.with_name(f"{artefact.parent.name}-{artefact.suffix.strip('.')}")
    update = {"candidate": Candidate.ARTIFACT, "file": artefact, "folder": folder}
    measured = run(base.model_copy(update=update))
    if isinstance(measured, Measured):
        outcome = Outcome(
            seconds=quantizing_seconds(report),
            peak_rss_bytes=report.peak_rss_bytes,
            images=measured.outcome.images,
        )
        measured = Measured(outcome=outcome, logits=measured.logits)
    return reference.row(label, measured, ours=True)


def quantizing_seconds(report: Report) -> float:
    """Seconds of the stages that a peer's seconds have a counterpart of."""
    timings = report.timings_s.items()
    return sum(seconds for stage, seconds in timings if not stage.startswith(_NOT_QUANTIZING))


def _peer_rows(base: Job, reference: Reference) -> Iterator[Row | FailedRow]:
    # The float ONNX model is the same whatever the options: that of our first run.
    update = {"file": _bundle(base, 0) / _FLOAT_ONNX}
    for peer in PEERS:
        folder = base.folder.with_name(peer.name.lower())
        job = base.model_copy(update={**update, "candidate": peer, "folder": folder})
        yield reference.row(peer.value, run(job), ours=False)


def _head(networks: Sequence[Network], comparison: Comparison) -> list[str]:
    limit = [] if comparison.limit is None else ["--limit", str(comparison.limit)]
    named = [f"{n.architecture}:{n.weights.name}:{n.side}" for n in networks]
    runs = () if comparison.ours == ("",) else comparison.ours
    ours = [part for options in runs for part in ("--ours", options)]
    command = shlex.join(
        [
            *("python", "-m", "eightbit.benchmarks.studies.peers"),
            *("--calibrate", comparison.calibrate.name, "--evaluate", comparison.evaluate.name),
            *("--out", "FILE.md", "--samples", str(comparison.samples), *limit, *ours, *named),
        ]
    )
    explanation = _EXPLANATION.format(samples=comparison.samples)
    environment = f"{read_environment().summary()}, nncf {_nncf_version()}."
    return ["# Beside other quantizers", "", f"`{command}`", "", environment, "", explanation, ""]


def _nncf_version() -> str:
    try:
        return metadata.version("nncf")
    except metadata.PackageNotFoundError:
        return "not installed"


def main(
    networks: Annotated[list[str], typer.Argument(metavar="ARCHITECTURE:WEIGHTS:SIDE")],
    calibrate: Annotated[Path, typer.Option(help="Calibration images.")],
    evaluate: Annotated[Path, typer.Option(help="Labelled images.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    samples: Annotated[int, typer.Option(min=1, help="Calibration images to draw.")] = 256,
    limit: Annotated[int | None, typer.Option(min=1, help="Evaluation images; all.")] = None,
    ours: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTIONS",
            help="Further options of our run, such as '--method mse'; several times for several "
            "runs, '' for the defaults.",
        ),
    ] = None,
) -> None:
    """Quantize each network with this project and with the usual tools, and compare."""
    parsed = [parse_network(text) for text in networks]
    comparison = Comparison(
        calibrate=calibrate,
        evaluate=evaluate,
        samples=samples,
        limit=limit,
        ours=tuple(ours or [""]),
    )
    lines = _head(parsed, comparison)
    for network in parsed:
        with tempfile.TemporaryDirectory() as folder:
            lines += compare(network, comparison, Path(folder))
        out.write_text("\n".join(lines))
