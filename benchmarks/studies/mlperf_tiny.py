"""MLPerf Tiny's ResNet-8: what it loses here, beside what its reference INT8 file loses.

Usage: python -m eightbit.benchmarks.studies.mlperf_tiny --keras FILE.h5 --tflite FILE.tflite
    [--float-tflite FILE.tflite] --calibrate SRC --evaluate SRC --out FILE.md

With `--float-tflite`, the Keras file as TensorFlow's converter writes it without quantization,
ai-edge-quantizer (`pip install ai-edge-quantizer`) quantizes that on the same calibration images.

The float network is the Keras file, quantized by the command line; the reference is the TensorFlow
Lite file made of the same weights, run with `pip install 'eightbit[litert]'`, as ours is. All
answer the same images, CIFAR-10's in class folders; the two files of TensorFlow Lite are timed in
the same interpreter, by turns. The reference gives probabilities in steps of 1/256: where
several classes have the highest, the first of them is its answer, as in MLPerf's own accuracy test.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import numpy as np
import numpy.typing as npt
import typer

from eightbit.benchmarks.accuracy.paired import drop_interval_pp, share_interval
from eightbit.benchmarks.runtimes.environment import read_environment
from eightbit.benchmarks.runtimes.feed import FileRunner
from eightbit.benchmarks.runtimes.runners.litert_runner import LiteRtRunner, opened
from eightbit.benchmarks.runtimes.runners.onnx_runner import OnnxRunner
from eightbit.benchmarks.studies.command import quantize
from eightbit.models.errors import InputError
from eightbit.models.images.loading import LoadedImage, load_images
from eightbit.models.images.preprocessing import nearest_pixels
from eightbit.models.images.sources import open_source
from eightbit.models.labels import match_images
from eightbit.models.spec import ModelSpec

# Pixels of 0..255 as they are: the network has been trained on them.
SCALE: Final = ("--mean", "0", "0", "0", "--std", *(["0.00392156862745098"] * 3))
_BATCH: Final = 64
_ROUNDS: Final = 40
_CALLS: Final = 50

Classes = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One INT8 file beside float, in counts of images.

    Attributes:
        name: What it is.
        right: It answers right.
        broke: Float does, it does not.
        fixed: It does, float does not.
        agree: Both answer alike.
        images: All.
    """

    name: str
    right: int
    broke: int
    fixed: int
    agree: int
    images: int


def compared(name: str, found: Classes, real: Classes, labels: Classes) -> Row:
    """The answers of a file, int64 (N,), beside those of float."""
    return Row(
        name=name,
        right=int((found == labels).sum()),
        broke=int(((real == labels) & (found != labels)).sum()),
        fixed=int(((real != labels) & (found == labels)).sum()),
        agree=int((found == real).sum()),
        images=len(labels),
    )


def _images(
    source: Path, spec: ModelSpec
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], Classes]:
    """Inputs (N, 3, H, W), the pixels (N, H, W, 3) that they are of, and labels (N,)."""
    with open_source(source) as found:
        match = match_images(found.listing, spec)
        if match is None:
            raise InputError(f"{source}: expected images in class folders, found none")
        loaded = load_images(found, found.items, spec.preprocessing)
        images = [image for image in loaded if isinstance(image, LoadedImage)]
    inputs = np.stack([image.pixels for image in images])
    pixels = nearest_pixels(inputs.transpose(0, 2, 3, 1), spec.preprocessing)
    return inputs, pixels, np.array([match.indices[image.item.name] for image in images])


def _classes(runner: FileRunner, inputs: npt.NDArray[np.float32]) -> Classes:
    batches = (inputs[start : start + _BATCH] for start in range(0, len(inputs), _BATCH))
    return np.concatenate([runner(batch).argmax(1) for batch in batches])


def by_tflite(path: Path, pixels: npt.NDArray[np.uint8]) -> Classes:
    """Classes that a TensorFlow Lite file of pixels gives, whose input is integers or float."""
    interpreter = opened(path, 1, str(path), optimize=True)
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = taken["quantization"]
    classes = []
    for image in pixels:
        steps = image
        if scale:  # of a float input there is none
            limits = np.iinfo(taken["dtype"])
            steps = np.round(image / scale + zero_point).clip(limits.min, limits.max)
        interpreter.set_tensor(taken["index"], steps.astype(taken["dtype"])[None])
        interpreter.invoke()
        classes.append(int(interpreter.get_tensor(given["index"])[0].argmax()))
    return np.array(classes)


def by_ai_edge_quantizer(path: Path, pixels: npt.NDArray[np.uint8], out: Path) -> None:
    """Quantize a float TensorFlow Lite file of pixels, weights and activations to 8 bits.

    Raises:
        InputError: ai-edge-quantizer is not installed.
    """
    try:
        recipe, package = map(import_module, ("ai_edge_quantizer.recipe", "ai_edge_quantizer"))
    except ModuleNotFoundError as exc:
        raise InputError(
            "mlperf_tiny: expected ai-edge-quantizer to be installed, found none; pip install "
            "ai-edge-quantizer, or leave out --float-tflite"
        ) from exc
    signature, described = next(
        iter(opened(path, 1, str(path), optimize=False).get_signature_list().items())
    )
    (name,) = described["inputs"]
    quantizer = package.quantizer.Quantizer(str(path))
    quantizer.load_quantization_recipe(recipe.static_wi8_ai8())
    images = [{name: image[None].astype(np.float32)} for image in pixels]
    ranges = quantizer.calibrate({signature: images})
    out.write_bytes(quantizer.quantize(ranges).quantized_model)


def milliseconds(paths: Sequence[Path]) -> list[float]:
    """Median milliseconds of a call of each TensorFlow Lite file, by turns, one thread."""
    interpreters = [opened(path, 1, str(path), optimize=True) for path in paths]
    seconds: list[list[float]] = [[] for _ in paths]
    for _ in range(_ROUNDS):
        for interpreter, taken in zip(interpreters, seconds, strict=True):
            start = time.perf_counter()
            for _ in range(_CALLS):
                interpreter.invoke()
            taken.append((time.perf_counter() - start) / _CALLS)
    return [1e3 * statistics.median(taken) for taken in seconds]


_EXPLANATION: Final = """\
{images:,} CIFAR-10 test images, heavily compressed JPEGs. Float (the Keras file) answers
{share:.2%} of them right, 95 % interval {low:.2%} to {high:.2%}. *drop*: in percentage points, with
its 95 % interval (paired); *broke*, *fixed*: images that only float, or only INT8 answers right;
*one image*: median of calls in LiteRT's interpreter by turns, one thread."""


def markdown(
    real: int,
    rows: Sequence[Row],
    sizes: Sequence[int],
    times: Sequence[float | None],
    command: str,
) -> str:
    """The page: float's right answers; of each INT8 file a row, its bytes and milliseconds."""
    images = rows[0].images
    low, high = share_interval(real, images)
    lines = [
        "# MLPerf Tiny's ResNet-8",
        "",
        f"`{command}`",
        "",
        f"{read_environment().summary()}.",
        "",
        _EXPLANATION.format(images=images, share=real / images, low=low, high=high),
        "",
        "| INT8 file | top-1 | drop | broke | fixed | agrees with float | bytes | one image |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row, size, ms in zip(rows, sizes, times, strict=True):
        begin, end = drop_interval_pp(row.broke, row.fixed, row.images)
        drop = 100 * (row.broke - row.fixed) / row.images
        lines.append(
            f"| {row.name} | {row.right / row.images:.2%} | {drop:+.2f} pp "
            f"[{begin:.2f}, {end:.2f}] | {row.broke} | {row.fixed} "
            f"| {row.agree / row.images:.2%} | {size:,} "
            f"| {'-' if ms is None else f'{ms:.3f} ms'} |"
        )
    return "\n".join(lines) + "\n"


def main(
    keras: Annotated[Path, typer.Option(help="MLPerf Tiny's pretrainedResnet.h5.")],
    tflite: Annotated[Path, typer.Option(help="Its pretrainedResnet_quant.tflite.")],
    calibrate: Annotated[Path, typer.Option(help="CIFAR-10 training images.")],
    evaluate: Annotated[Path, typer.Option(help="CIFAR-10 test images, in class folders.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
    float_tflite: Annotated[
        Path | None, typer.Option(help="The Keras file as TensorFlow Lite, in float.")
    ] = None,
) -> None:
    """Quantize, answer all images with every file, and write what became of them."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "bundle")
        arguments = [f"keras:{keras}", *SCALE, "--calibrate", str(calibrate)]
        arguments += ["--formats", "onnx,litert"]
        spec = quantize(arguments, bundle).model.spec
        inputs, pixels, labels = _images(evaluate, spec)
        real = _classes(OnnxRunner(bundle / "model.fp32.onnx", threads=1), inputs)
        ours, lite = bundle / "model.int8.onnx", bundle / "model.int8.tflite"
        files = {"model.int8.tflite, ours": lite, "the reference (TensorFlow Lite)": tflite}
        answers = {
            "model.int8.onnx, ours": _classes(OnnxRunner(ours, threads=1), inputs),
            "model.int8.tflite, ours": _classes(LiteRtRunner(lite, 1), inputs),
            "the reference (TensorFlow Lite)": by_tflite(tflite, pixels),
        }
        if float_tflite is not None:
            name = f"ai-edge-quantizer {version('ai-edge-quantizer')}"
            files[name] = Path(folder, "ai_edge_quantizer.tflite")
            _, ranging, _ = _images(calibrate, spec)
            by_ai_edge_quantizer(float_tflite, ranging, files[name])
            answers[name] = by_tflite(files[name], pixels)
        rows = [compared(name, found, real, labels) for name, found in answers.items()]
        sizes = [path.stat().st_size for path in (ours, *files.values())]
        times = (None, *milliseconds([*files.values()]))
    command = (
        "python -m eightbit.benchmarks.studies.mlperf_tiny --keras FILE.h5 --tflite FILE.tflite "
        "--float-tflite FILE.tflite --calibrate SRC --evaluate SRC --out FILE.md"
    )
    out.write_text(markdown(int((real == labels).sum()), rows, sizes, times, command))
    print(out.read_text())


if __name__ == "__main__":
    typer.run(main)
