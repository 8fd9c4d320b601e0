"""Networks of others through every door, beside ONNX Runtime's quantizer: a table in Markdown.

Usage: python -m eightbit.benchmarks.studies.doors --photos SRC --out FILE.md [SOURCE ...]

A source is what is typed after `eightbit quantize`: ``timm:NAME`` or ``torchvision.models:NAME``;
with ``onnx+`` before it the network is first exported by torch, and the ONNX file alone is given.
Weights are random, with the BatchNorm statistics of a forward pass: what is measured here does not
depend on what a network has learned, but for accuracy, which is not.

The float model is compared with what the source itself answers. ONNX Runtime's quantizer (MinMax,
per channel) gets the float model and the same 128 photos; both are compared with float on photos
that neither has seen, where there are as many.
"""

import tempfile
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import torch
import typer
from torch import nn

from eightbit.benchmarks.accuracy.fidelity import FidelityMeter, FidelityResult
from eightbit.benchmarks.artifact.formats import ONNX, Precision
from eightbit.benchmarks.artifact.metadata import read_metadata
from eightbit.benchmarks.latency.results import LatencyResult
from eightbit.benchmarks.report.figures import decibels, percent, times
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.benchmarks.studies.command import quantize
from eightbit.benchmarks.studies.line import SAMPLES, drawn_photos, float_beside_int8
from eightbit.benchmarks.studies.peers.candidates import job as peers
from eightbit.benchmarks.studies.peers.candidates.by_onnxruntime import load_onnxruntime
from eightbit.models.doors.vision_guard import import_torchvision
from eightbit.models.spec import IMAGENET_MEAN, IMAGENET_STD, ModelSpec, Preprocessing

_JUDGED: Final = 64
_BATCH: Final = 8
_STATISTICS: Final = 16
_TORCHVISION: Final = "torchvision.models:"
_TIMM: Final = "timm:"
_EXPORTED: Final = "onnx+"
_SAME: Final = 1e-4

SOURCES: Final = (
    *(f"{_TORCHVISION}{name}" for name in ("resnet18", "resnet50", "vgg11_bn", "densenet121")),
    *(f"{_TORCHVISION}{name}" for name in ("mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5")),
    *(
        f"{_TORCHVISION}{name}"
        for name in ("shufflenet_v2_x1_0", "squeezenet1_1", "regnet_y_400mf")
    ),
    *(f"{_TORCHVISION}{name}" for name in ("efficientnet_b0", "convnext_tiny")),
    *(f"{_TIMM}{name}" for name in ("resnet26", "resnet50d", "seresnet50", "resnetblur18")),
    *(f"{_TIMM}{name}" for name in ("repvgg_a0", "regnetx_004", "mobilenetv3_small_100")),
    *(f"{_TIMM}{name}" for name in ("efficientnet_lite0", "ghostnet_100", "tf_efficientnet_b0")),
    *(f"{_EXPORTED}{_TORCHVISION}{name}" for name in ("resnet18", "mobilenet_v2", "densenet121")),
    *(f"{_EXPORTED}{_TIMM}{name}" for name in ("resnet50d", "seresnet50", "regnetx_004")),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network.

    Attributes:
        source: As typed.
        difference: Largest difference of the float model from the source's own outputs, relative
            to the largest of these.
        integers: Share of the multiplications that are made in integers.
        size_ratio: INT8 file over float file.
        own: Against float on photos that were not calibrated with.
        other: The same of ONNX Runtime's quantizer; None where it failed.
        latencies: Float, INT8 and the other's INT8, in ONNX Runtime at one thread.
    """

    source: str
    difference: float
    integers: float
    size_ratio: float
    own: FidelityResult
    other: FidelityResult | None
    latencies: tuple[LatencyResult, ...]


def measure(source: str, photos: Path, folder: Path) -> Row:
    """Quantize a network through its door, and measure what came out beside the other quantizer."""
    network = _network(source.removeprefix(_EXPORTED), photos)
    out = folder / "out"
    arguments = [*_typed(source, network, folder), "--calibrate", str(photos)]
    report = quantize([*arguments, "--samples", str(SAMPLES), "--formats", "onnx"], out)
    real, integer = (out / ONNX.file(precision) for precision in (Precision.FP32, Precision.INT8))
    pixels = drawn_photos(photos, _spec(real).preprocessing, SAMPLES + _JUDGED)[-_JUDGED:]
    expected = _answers(OnnxRunner(real, threads=usable_cores()), pixels)
    given = torch.from_numpy(pixels[:_BATCH])
    with torch.inference_mode():
        exact = network(given).numpy()
    quantizer = _by_onnxruntime(real, photos, folder)
    if report.coverage is None or report.coverage.integer_multiplications is None:
        raise ValueError("the run reported no coverage")
    return Row(
        source=source,
        difference=float(np.abs(exact - expected[:_BATCH]).max() / np.abs(exact).max()),
        integers=report.coverage.integer_multiplications,
        size_ratio=integer.stat().st_size / real.stat().st_size,
        own=_fidelity(expected, integer, pixels),
        other=None if quantizer is None else _fidelity(expected, quantizer, pixels),
        latencies=float_beside_int8(
            [real, integer, *([quantizer] if quantizer else [])], pixels.shape[1:]
        ),
    )


def _spec(model: Path) -> ModelSpec:
    metadata = read_metadata(model)
    if metadata is None:
        raise ValueError(f"{model}: expected the metadata of a bundle, found none")
    return metadata.spec


def _network(source: str, photos: Path) -> nn.Module:
    """The network of a source with random weights, its statistics those of some photos."""
    torch.manual_seed(0)
    import_torchvision()
    if source.startswith(_TIMM):
        made: Any = import_module("timm").create_model(source.removeprefix(_TIMM))
    else:
        module, _, name = source.partition(":")
        made = getattr(import_module(module), name)()
    network: nn.Module = made
    few = torch.from_numpy(drawn_photos(photos, Preprocessing(), _STATISTICS))
    with torch.no_grad():
        network.train()(few)
    return network.eval()


def _typed(source: str, network: nn.Module, folder: Path) -> list[str]:
    """What is typed for a source: itself and its weights, or the file it was exported to."""
    prepared = [*("--resize", "256", "--crop", "224")]
    for option, numbers in (("--mean", IMAGENET_MEAN), ("--std", IMAGENET_STD)):
        prepared += [option, *map(str, numbers)]
    if source.startswith(_EXPORTED):
        path = folder / "network.onnx"
        image = torch.zeros(1, 3, 224, 224)
        free = {"image": {0: "N"}}
        torch.onnx.export(
            *(network, (image,), path), dynamo=False, input_names=["image"], dynamic_axes=free
        )
        return ["--weights", str(path), *prepared]
    weights = folder / "weights.pth"
    torch.save(network.state_dict(), weights)
    chosen = [] if source.startswith(_TIMM) else prepared
    return [source, "--weights", str(weights), *chosen]


def _answers(runner: OnnxRunner, pixels: FloatArray) -> FloatArray:
    starts = range(0, len(pixels), _BATCH)
    return np.concatenate([runner(pixels[start : start + _BATCH]) for start in starts])


def _fidelity(expected: FloatArray, path: Path, pixels: FloatArray) -> FidelityResult:
    meter = FidelityMeter()
    meter.update(expected, _answers(OnnxRunner(path, threads=usable_cores()), pixels))
    return meter.result()


def _by_onnxruntime(real: Path, photos: Path, folder: Path) -> Path | None:
    """The float model quantized by ONNX Runtime; None, and said, where it cannot."""
    work = peers.Job(
        spec=_spec(real),
        weights=real,
        calibrate=photos,
        samples=SAMPLES,
        threads=usable_cores(),
        folder=folder,
        candidate=peers.Candidate.ORT_MINMAX,
        file=real,
        evaluate=photos,
        limit=None,
    )
    try:
        return load_onnxruntime(work)()
    except Exception as exc:  # another program's own failure is a result here
        print(f"ONNX Runtime's quantizer: {type(exc).__name__}: {exc}", flush=True)
        return None


_EXPLANATION: Final = """\
*float* is the largest difference of `model.fp32.onnx` from what the source itself answers, relative
to its largest output; *in integers* the share of multiplications; *file* INT8 over float. *SQNR* of
the median photo and *agreement* are those of the outputs against float, of {judged} photos beside
the {samples} that set the ranges: ours, then ONNX Runtime's quantizer (MinMax, per channel).
*faster* is float over INT8, median latency in ONNX Runtime at one thread, the same two."""

_COLUMNS: Final = ("source", "float", "in integers", "file", "SQNR", "agreement", "faster")


def document(rows: Sequence[Row], command: str) -> str:
    """The table, in Markdown."""
    whole = sum(row.integers >= 0.99 for row in rows)
    same = sum(row.difference <= _SAME for row in rows)
    lines = [
        *("# Networks of others, door by door", "", f"`{command}`", ""),
        *(f"{read_environment().summary()}.", ""),
        *(_EXPLANATION.format(samples=SAMPLES, judged=_JUDGED), ""),
        f"{len(rows)} networks: {same} answer in float like their source to {_SAME:g},",
        f"{whole} make 99 % of their multiplications in integers.",
        *("", f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * len(_COLUMNS)}"),
        *(f"| {' | '.join(_cells(row))} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> Iterator[str]:
    yield f"`{row.source}`"
    yield f"{row.difference:.1e}"
    yield f"{row.integers:.1%}"
    yield f"{row.size_ratio:.1%}"
    both = [row.own, *([] if row.other is None else [row.other])]
    yield ", ".join(decibels(one.median_image_sqnr_db) for one in both)
    yield ", ".join(percent(one.top1_agreement, 1) for one in both)
    real, *others = (result.p50_ms for result in row.latencies)
    yield ", ".join(times(real / other) for other in others)


def main(
    photos: Annotated[Path, typer.Option(help="Folder or archive of photos.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    sources: Annotated[list[str] | None, typer.Argument()] = None,
) -> None:
    """Take each network through its door; a table of all of them by default."""
    torch.set_num_threads(usable_cores())
    command = "python -m eightbit.benchmarks.studies.doors --photos SRC --out FILE.md"
    rows = []
    refused = []
    for source in sources or SOURCES:
        try:
            with tempfile.TemporaryDirectory() as folder:
                rows.append(measure(source, photos, Path(folder)))
        except Exception:  # hours of other rows are not thrown away for one that fails
            traceback.print_exc()
            refused.append(source)
            continue
        print(" | ".join(_cells(rows[-1])), flush=True)
        out.write_text(document(rows, " ".join([command, *(sources or ())])), encoding="utf-8")
    if refused:
        raise SystemExit(f"failed: {', '.join(refused)}")


if __name__ == "__main__":
    typer.run(main)
