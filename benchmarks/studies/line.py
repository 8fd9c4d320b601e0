"""What the whole line costs and gives, architecture by architecture: a table in Markdown.

Usage: python -m eightbit.benchmarks.studies.line --photos SRC --out FILE.md [ARCHITECTURE ...]

Weights are random, with the BatchNorm statistics of a forward pass, so that no download is
needed: speed, size, coverage and memory do not depend on what a network has learned. The command
line is run as a user runs it; the plain float forward that it is compared with is measured before
and after each run, in the same units of work: the same photos, preprocessed beforehand, through
the fused channels_last network with the same number of threads.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from eightbit.benchmarks.artifact.formats import ONNX, Precision, format_of
from eightbit.benchmarks.latency.launches import Candidate
from eightbit.benchmarks.latency.results import LatencyResult, measure_latency
from eightbit.benchmarks.report.document import Report
from eightbit.benchmarks.report.stage import Stage
from eightbit.benchmarks.runtimes.environment import read_environment, usable_cores
from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.benchmarks.studies.command import quantize
from eightbit.models.images.loading import LoadedImage, load_images
from eightbit.models.images.sampling import balanced_order
from eightbit.models.images.sources import open_source
from eightbit.models.networks.architectures import build_model, default_preprocessing
from eightbit.models.networks.fusable import fold
from eightbit.models.spec import Architecture, Preprocessing

SAMPLES = 128
_BATCH = 8


@dataclass(frozen=True, kw_only=True)
class Row:
    """One architecture.

    Attributes:
        architecture: Which.
        coverage: Operators in integers, of all.
        size_ratio: INT8 file over float file.
        forward_s: Median seconds of the plain float forward over the photos.
        calibrate_ratio: Calibration over that.
        recipe_ratio: Calibration and the choice of every number over that.
        run_ratio: The whole run without the latency measurement over that.
        peak_rss_bytes: Peak memory of the largest process of the run.
        speedup: Float over INT8 median latency in ONNX Runtime at one thread, batch 1.
        batch_is_free: Whether three images at once give what they give one by one.
    """

    architecture: Architecture
    coverage: str
    size_ratio: float
    forward_s: float
    calibrate_ratio: float
    recipe_ratio: float
    run_ratio: float
    peak_rss_bytes: int
    speedup: float
    batch_is_free: bool


def measure(architecture: Architecture, photos: Path, folder: Path) -> Row:
    """Quantize one architecture with the command line and measure what came out."""
    pixels = preprocessed_photos(architecture, photos)
    weights = write_random_weights(architecture, pixels, folder)
    before = _forward_seconds(architecture, weights, pixels)
    out = folder / architecture.value
    arguments = [architecture.value, "--weights", str(weights)]
    arguments += ["--calibrate", str(photos), "--samples", str(SAMPLES)]
    report = quantize(arguments, out)
    forward_s = statistics.median(before + _forward_seconds(architecture, weights, pixels))
    timings = report.timings_s
    run_s = sum(s for stage, s in timings.items() if not stage.startswith(Stage.LATENCY))
    sizes = report.size_bytes
    return Row(
        architecture=architecture,
        coverage=_coverage(report),
        size_ratio=sizes["model.int8.onnx"] / sizes["model.fp32.onnx"],
        forward_s=forward_s,
        calibrate_ratio=timings[Stage.CALIBRATE] / forward_s,
        recipe_ratio=sum(timings[stage] for stage in _TO_THE_RECIPE) / forward_s,
        run_ratio=run_s / forward_s,
        peak_rss_bytes=report.peak_rss_bytes,
        speedup=_speedup(out, pixels.shape[1:]),
        batch_is_free=_batch_is_free(out / "model.int8.onnx", pixels),
    )


def preprocessed_photos(architecture: Architecture, photos: Path) -> FloatArray:
    """The photos that the command line will draw, preprocessed: float32 (N, 3, H, W)."""
    return drawn_photos(photos, default_preprocessing(architecture), SAMPLES)


def drawn_photos(photos: Path, preprocessing: Preprocessing, count: int) -> FloatArray:
    """The first photos that the command line draws, preprocessed: float32 (N, 3, H, W)."""
    with open_source(photos) as source:
        items = balanced_order(source.items, seed=0)[:count]
        loaded = load_images(source, items, preprocessing)
        return np.stack([image.pixels for image in loaded if isinstance(image, LoadedImage)])


def float_beside_int8(
    paths: Sequence[Path], image_shape: Sequence[int], *, seconds: float = 3.0
) -> tuple[LatencyResult, ...]:
    """Latencies of a float model, which comes first, and INT8 ones, interleaved, at one thread.

    `image_shape` is (C, H, W); `seconds` are about those of each model.
    """
    candidates = [
        Candidate(
            label=path.name,
            path=path,
            runtime=format_of(path).runtime,
            precision=Precision.FP32 if number == 0 else Precision.INT8,
        )
        for number, path in enumerate(paths)
    ]
    channels, height, width = image_shape
    return measure_latency(
        candidates, input_shape=(channels, height, width), threads=1, seconds_per_candidate=seconds
    )


def write_random_weights(architecture: Architecture, pixels: FloatArray, folder: Path) -> Path:
    """A checkpoint with random weights and the BatchNorm statistics of a forward pass."""
    torch.manual_seed(0)
    model = build_model(architecture)
    with torch.no_grad():
        model.train()(torch.from_numpy(pixels[:16]))
    path = folder / f"{architecture}.pth"
    torch.save(model.state_dict(), path)
    return path


def _forward_seconds(
    architecture: Architecture, weights: Path, pixels: FloatArray, repeats: int = 2
) -> list[float]:
    """Seconds of the plain fused float forward over all photos, several times."""
    model = build_model(architecture)
    model.load_state_dict(torch.load(weights, weights_only=True))
    fused = fold(model.eval())
    batches = torch.from_numpy(pixels).to(memory_format=torch.channels_last).split(_BATCH)
    seconds = []
    with torch.inference_mode():
        fused(batches[0])
        for _ in range(repeats):
            start = time.perf_counter()
            for batch in batches:
                fused(batch)
            seconds.append(time.perf_counter() - start)
    return seconds


def _coverage(report: Report) -> str:
    if report.coverage is None:
        raise ValueError("the run reported no coverage")
    kinds = {name: kind for name, kind in report.coverage if kind is not None}
    return ", ".join(f"{name} {kind.quantized}/{kind.total}" for name, kind in kinds.items())


def _speedup(out: Path, shape: Sequence[int]) -> float:
    paths = [out / ONNX.file(precision) for precision in (Precision.FP32, Precision.INT8)]
    real, integer = float_beside_int8(paths, shape, seconds=5.0)
    return real.p50_ms / integer.p50_ms


def _batch_is_free(path: Path, pixels: FloatArray) -> bool:
    runner = OnnxRunner(path, threads=1)
    together = runner(pixels[:3])
    alone = np.concatenate([runner(pixels[index : index + 1]) for index in range(3)])
    return bool(np.array_equal(together, alone))


_TO_THE_RECIPE = (Stage.CALIBRATE, Stage.CHOOSE_PARAMETERS, Stage.ROUND_WEIGHTS)

_EXPLANATION = """\
{samples} photos, random weights. *calibrate*, *to the recipe* and *run* are multiples of the plain
fused float forward over the same photos: *calibrate* decodes and observes them, *to the recipe*
adds the choice of every number, bias correction included; *run* is the sum of the report's stages,
both exports and verification included, latency measurement not. *peak* is the largest process of
the run; *speedup* is float over INT8 median latency in ONNX Runtime at one thread, batch 1,
interleaved; *batch*: three images at once give the logits that they give one by one."""

_COLUMNS = (
    *(
        "architecture",
        "in integers",
        "INT8 file",
        "forward",
        "calibrate",
        "to the recipe",
        "run",
        "peak",
    ),
    *("speedup", "batch"),
)


def _markdown(rows: Sequence[Row], command: str) -> str:
    lines = [
        "# The line, architecture by architecture",
        "",
        f"`{command}`",
        "",
        f"{read_environment().summary()}.",
        "",
        _EXPLANATION.format(samples=SAMPLES),
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"|{'---|' * len(_COLUMNS)}",
    ]
    lines += [
        f"| {row.architecture} | {row.coverage} | {row.size_ratio:.1%} | {row.forward_s:.1f} s "
        f"| {row.calibrate_ratio:.2f}x | {row.recipe_ratio:.2f}x | {row.run_ratio:.2f}x "
        f"| {row.peak_rss_bytes / 2**20:.0f} MiB | {row.speedup:.2f}x "
        f"| {'free' if row.batch_is_free else 'NOT FREE'} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def main(
    photos: Annotated[Path, typer.Option(help="Folder or archive of photos.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    architectures: Annotated[list[Architecture] | None, typer.Argument()] = None,
) -> None:
    """Measure the line for each architecture; all of torchvision's by default."""
    torch.set_num_threads(usable_cores())
    chosen = architectures or [a for a in Architecture if not a.is_cifar]
    rows = []
    for architecture in chosen:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(architecture, photos, Path(folder)))
        print(json.dumps(rows[-1].__dict__), flush=True)
        names = " ".join(architectures or ())
        command = (
            f"python -m eightbit.benchmarks.studies.line --photos SRC --out FILE.md {names}".strip()
        )
        out.write_text(_markdown(rows, command))


if __name__ == "__main__":
    typer.run(main)
