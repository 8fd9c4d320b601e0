"""MLPerf Tiny's ResNet-8: what it loses here, beside what its reference INT8 file loses.

Usage: python -m eightbit.benchmarks.studies.mlperf_tiny --keras FILE.h5 --tflite FILE.tflite
    --calibrate SRC --evaluate SRC --out FILE.md

The float network is the Keras file, quantized by the command line; the reference is the TensorFlow
Lite file made of the same weights, run with `pip install ai-edge-litert`. Both answer the same
images, CIFAR-10's in class folders. The reference gives probabilities in steps of 1/256: where
several classes have the highest, the first of them is its answer, as in MLPerf's own accuracy test.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import typer

from eightbit.benchmarks.accuracy.paired import drop_interval_pp, share_interval
from eightbit.benchmarks.runtimes.environment import read_environment
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
    with open_source(source) as opened:
        match = match_images(opened.listing, spec)
        if match is None:
            raise InputError(f"{source}: expected images in class folders, found none")
        loaded = load_images(opened, opened.items, spec.preprocessing)
        images = [image for image in loaded if isinstance(image, LoadedImage)]
    inputs = np.stack([image.pixels for image in images])
    pixels = nearest_pixels(inputs.transpose(0, 2, 3, 1), spec.preprocessing)
    return inputs, pixels, np.array([match.indices[image.item.name] for image in images])


def _by_onnx(path: Path, inputs: npt.NDArray[np.float32]) -> Classes:
    runner = OnnxRunner(path, threads=1)
    batches = (inputs[start : start + _BATCH] for start in range(0, len(inputs), _BATCH))
    return np.concatenate([runner(batch).argmax(1) for batch in batches])


def by_tflite(path: Path, pixels: npt.NDArray[np.uint8]) -> Classes:
    """Classes that a TensorFlow Lite file with integers as input and output gives to pixels."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as exc:
        raise InputError(
            "mlperf_tiny: expected ai-edge-litert to be installed, found none; pip install "
            "ai-edge-litert"
        ) from exc
    interpreter: Any = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    scale, zero_point = taken["quantization"]
    limits = np.iinfo(taken["dtype"])
    classes = []
    for image in pixels:
        steps = np.round(image / scale + zero_point).clip(limits.min, limits.max)
        interpreter.set_tensor(taken["index"], steps.astype(taken["dtype"])[None])
        interpreter.invoke()
        classes.append(int(interpreter.get_tensor(given["index"])[0].argmax()))
    return np.array(classes)


_EXPLANATION: Final = """\
{images:,} CIFAR-10 test images, heavily compressed JPEGs. Float (the Keras file) answers
{share:.2%} of them right, 95 % interval {low:.2%} to {high:.2%}. *drop*: in percentage points, with
its 95 % interval (paired); *broke*, *fixed*: images that only float, or only INT8 answers right."""


def markdown(real: int, rows: Sequence[Row], sizes: Sequence[int], command: str) -> str:
    """The page: float's right answers, a row and a file size in bytes for each INT8 file."""
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
        "| INT8 file | top-1 | drop | broke | fixed | agrees with float | bytes |",
        "|---|---|---|---|---|---|---|",
    ]
    for row, size in zip(rows, sizes, strict=True):
        begin, end = drop_interval_pp(row.broke, row.fixed, row.images)
        drop = 100 * (row.broke - row.fixed) / row.images
        lines.append(
            f"| {row.name} | {row.right / row.images:.2%} | {drop:+.2f} pp "
            f"[{begin:.2f}, {end:.2f}] | {row.broke} | {row.fixed} "
            f"| {row.agree / row.images:.2%} | {size:,} |"
        )
    return "\n".join(lines) + "\n"


def main(
    keras: Annotated[Path, typer.Option(help="MLPerf Tiny's pretrainedResnet.h5.")],
    tflite: Annotated[Path, typer.Option(help="Its pretrainedResnet_quant.tflite.")],
    calibrate: Annotated[Path, typer.Option(help="CIFAR-10 training images.")],
    evaluate: Annotated[Path, typer.Option(help="CIFAR-10 test images, in class folders.")],
    out: Annotated[Path, typer.Option(help="Markdown file to write.")],
) -> None:
    """Quantize, answer all images with the three files, and write what became of them."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder, "bundle")
        arguments = [f"keras:{keras}", *SCALE, "--calibrate", str(calibrate)]
        spec = quantize(arguments, bundle).model.spec
        inputs, pixels, labels = _images(evaluate, spec)
        real = _by_onnx(bundle / "model.fp32.onnx", inputs)
        ours = bundle / "model.int8.onnx"
        rows = (
            compared("model.int8.onnx, ours", _by_onnx(ours, inputs), real, labels),
            compared("the reference (TensorFlow Lite)", by_tflite(tflite, pixels), real, labels),
        )
        sizes = (ours.stat().st_size, tflite.stat().st_size)
    command = (
        "python -m eightbit.benchmarks.studies.mlperf_tiny --keras FILE.h5 --tflite FILE.tflite "
        "--calibrate SRC --evaluate SRC --out FILE.md"
    )
    out.write_text(markdown(int((real == labels).sum()), rows, sizes, command))
    print(out.read_text())


if __name__ == "__main__":
    typer.run(main)
