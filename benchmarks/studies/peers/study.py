r"""This project beside the usual quantizers, on the same networks and images: tables in Markdown.

Usage: python -m eightbit.benchmarks.studies.peers --results FILE.jsonl --out FILE.md \
           [--calibrate SRC --evaluate SRC] [--photos SRC] [--part peers|methods|few|large ...] \
           [--samples 128] [--limit N] [--ours "--target x86-vnni" ...] [--as-written] NETWORK ...

A network is a kind of `made_networks`, for which photos are given, or ARCHITECTURE:WEIGHTS:SIDE.
NNCF needs `pip install 'eightbit[peers]'`. Everybody works in a process of its own; one that fails
is a row that says so. Each result is appended to the file of results as soon as it is there, and
what is in it already is not measured again; the table shows all that it holds, and is all that is
written where no network is named. `by_torch`, `by_onnxruntime` and `by_nncf` say how each peer is
set, `answers` how features are read.
"""

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from eightbit.benchmarks.runtimes.cpu_features import read_cpu_features
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.benchmarks.studies.peers.bench import Study, measure
from eightbit.benchmarks.studies.peers.results import Results
from eightbit.benchmarks.studies.peers.runs import Part, parse_options
from eightbit.benchmarks.studies.peers.subjects import Images, open_subject
from eightbit.benchmarks.studies.peers.table import document

_EXPLANATION: Final = """\
Everybody gets the same weights, the same preprocessing, the same calibration images (the draw of
`eightbit quantize --seed 0`) and all cores, and is compared with the float32 network in torch on
the same evaluation images, none of which is a calibration image. Networks that are named after no
file are made: `benchmarks/studies/made_networks.py` says how. Their images have no labels.
*Drop*: float minus INT8 top-1, in percentage points. *Agreement*: images with the float network's
class; between two quantizers, the difference on the same images. *SQNR*: of all logits; *median
image SQNR*: of the logits of one image. *Features*: the same of what the classifier reads, in the
whole quantized network. *Mean KL*: of the probabilities, in nats. *Seconds*: from the loaded float
model and images on disk to the quantized model (for the ONNX tools and for ours on disk), image
decoding included; imports, loading, verification and evaluation are not. *Peak memory*: of the
process until then. Ours is the ONNX artefact: TorchScript computes the same integers. Runs that
differ in method or stage alone share a process and its pass over the images."""


_WITHOUT_VNNI: Final = """\
**This CPU has no VNNI.** Where a file is not quantized for that, sums of products saturate in it:
torch FX, onednn, here, and what the ONNX tools made, unless it is executed as written. Those rows
do not tell what they answer on another CPU."""


def _command(networks: Sequence[str], images: Images, study: Study, ours: Sequence[str]) -> str:
    """What was typed, without the paths of this machine."""
    typed = ["python", "-m", "eightbit.benchmarks.studies.peers"]
    typed += ["--results", "FILE.jsonl", "--out", "FILE.md"]
    for name in ("calibrate", "evaluate", "photos"):
        path: Path | None = getattr(images, name)
        typed += [] if path is None else [f"--{name}", path.name]
    typed += [part for asked in study.parts for part in ("--part", asked.value)]
    typed += ["--samples", str(study.samples)]
    typed += [] if study.limit is None else ["--limit", str(study.limit)]
    typed += [part for options in ours for part in ("--ours", options)]
    typed += ["--as-written"] if study.as_written else []
    return shlex.join([*typed, *(_without_folder(network) for network in networks)])


def _without_folder(network: str) -> str:
    architecture, colon, rest = network.partition(":")
    return f"{architecture}{colon}{rest.rpartition('/')[2]}"


def _write(out: Path, command: str, results: Results) -> None:
    head = ["# Beside other quantizers", "", f"`{command}`", ""]
    head += [f"{read_environment().summary()}.", "", _EXPLANATION, ""]
    head += [_WITHOUT_VNNI, ""] if read_cpu_features().pairs_saturate else []
    out.write_text("\n".join([*head, *document(list(results))]) + "\n", encoding="utf-8")


def main(
    results: Annotated[Path, typer.Option(help="File of results, appended to.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    networks: Annotated[
        list[str] | None, typer.Argument(metavar="KIND|ARCHITECTURE:WEIGHTS:SIDE")
    ] = None,
    calibrate: Annotated[Path | None, typer.Option(help="Calibration images.")] = None,
    evaluate: Annotated[Path | None, typer.Option(help="Labelled images.")] = None,
    photos: Annotated[Path | None, typer.Option(help="Photos for made networks.")] = None,
    part: Annotated[list[Part] | None, typer.Option(help="Of the study; peers.")] = None,
    samples: Annotated[int, typer.Option(min=1, help="Calibration images to draw.")] = 128,
    limit: Annotated[int | None, typer.Option(min=1, help="Evaluation images; all.")] = None,
    ours: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OPTIONS",
            help="A further run of ours beside the peers, such as '--method mse'; several times "
            "for several runs.",
        ),
    ] = None,
    as_written: Annotated[
        bool,
        typer.Option(
            "--as-written",
            help="Let ONNX Runtime execute models node by node: what they answer on a CPU with "
            "VNNI, on any other, too.",
        ),
    ] = False,
) -> None:
    """Quantize each network with this project and with the usual tools, and compare."""
    images = Images(calibrate=calibrate, evaluate=evaluate, photos=photos)
    study = Study(
        parts=part or [Part.PEERS],
        samples=samples,
        limit=limit,
        further=[parse_options(options) for options in ours or ()],
        results=Results(results),
        as_written=as_written,
    )
    command = _command(networks or (), images, study, ours or ())
    for network in networks or ():
        with tempfile.TemporaryDirectory() as folder:
            measure(open_subject(network, images, Path(folder) / "made"), study, Path(folder))
        _write(out, command, study.results)
    _write(out, command, study.results)
