"""The self-test of an archive: three pictures and their logits."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from eightbit.benchmarks.accuracy.heads import SINGLE_LABEL, Head
from eightbit.benchmarks.artifact.metadata import file_sha256
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.runtimes.runner import FloatArray, check_finite
from eightbit.models.images.preprocessing import file_pixels, normalised_images
from eightbit.models.spec import Preprocessing, Task, height_and_width
from eightbit.quantize.artifacts.open_bundle import Bundle
from eightbit.quantize.photos import synthetic_picture
from eightbit.quantize.recipe.recipe import Recipe

SELF_TEST_FORMAT_VERSION: Final = 1
SELF_TEST_PICTURES: Final = 3

# Least margin, in last bits, of a picture chosen for its new class.
_CLEAR: Final = 8

# Pictures to choose from.
_CANDIDATES: Final = 24

# Limit of the shorter side: larger models enlarge, which tests resizing as well.
_MAX_SIDE: Final = 1024


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """`self_test.json` (``document``), and its PNG files by name, such as "self_test/0.png"."""

    document: bytes
    pictures: dict[str, bytes]


def make_self_test(opened: Bundle) -> SelfTest:
    """Make the self-test of a bundle's INT8 ONNX model; reproducible.

    Of several synthetic pictures it takes those with the clearest classes: a class must not depend
    on a last bit.

    Raises:
        InputError: There is no INT8 ONNX model, it cannot be run, or a logit is not finite.
    """
    recipe, model = opened.recipe, opened.require_onnx()
    preprocessing = recipe.spec.preprocessing
    pictures = [_png(synthetic_candidate(preprocessing, seed)) for seed in range(_CANDIDATES)]
    pixels = np.stack([file_pixels(picture, preprocessing) for picture in pictures])
    logits = _logits(model, normalised_images(pixels, preprocessing))
    chosen = clearest(logits, recipe.output_scale, Head.of(recipe.spec))
    names = [f"self_test/{place}.png" for place in range(len(chosen))]
    images: list[dict[str, object]] = [
        {
            "file": name,
            "pixels_sha256": hashlib.sha256(pixels[index].tobytes()).hexdigest(),
            "logits": [float(logit) for logit in logits[index]],
        }
        for name, index in zip(names, chosen, strict=True)
    ]
    return SelfTest(
        document=_document(recipe, model, images),
        pictures={name: pictures[index] for name, index in zip(names, chosen, strict=True)},
    )


def clearest(logits: FloatArray, last_bit: float, head: Head = SINGLE_LABEL) -> tuple[int, ...]:
    """Indices, ascending, of the `SELF_TEST_PICTURES` images with the largest margin.

    Of top-1, or of the logit that is closest to its threshold. Of distinct classes if possible; the
    first images of a regression, which has neither. Logits are finite, float32, shape (N,
    classes), `last_bit` is their scale; all N if there are fewer.
    """
    margins = _margins(logits, head)
    decisions = head.decisions(logits)
    first: list[int] = []
    others: list[int] = []
    classes: set[tuple[int, ...]] = set()
    for index in np.argsort(-margins, kind="stable").tolist():
        best = tuple(decisions[index].tolist())
        is_new = best not in classes and margins[index] >= _CLEAR * last_bit
        (first if is_new else others).append(index)
        classes.add(best)
    return tuple(sorted((first + others)[:SELF_TEST_PICTURES]))


def _margins(logits: FloatArray, head: Head) -> FloatArray:
    """How far each image's decisions are from being others, shape (N,)."""
    if head.task is Task.REGRESSION:
        return np.zeros(len(logits), np.float32)
    if head.task is Task.SINGLE_LABEL:
        ordered = np.sort(logits, axis=1)
        return ordered[:, -1] - ordered[:, -2]
    closest: FloatArray = np.abs(logits - np.float32(head.threshold_logit)).min(axis=1)
    return closest


def _document(recipe: Recipe, model: Path, images: Sequence[dict[str, object]]) -> bytes:
    content = {
        "format_version": SELF_TEST_FORMAT_VERSION,
        "model_sha256": file_sha256(model),
        "last_bit": recipe.output_scale,
        "images": images,
    }
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode("ascii")


def synthetic_candidate(preprocessing: Preprocessing, seed: int) -> Image.Image:
    """A picture neither square nor of the model's size; portrait and landscape in turns."""
    longest = max(*height_and_width(preprocessing.resize), *preprocessing.crop_size)
    short = min(longest * 9 // 8 + 1, _MAX_SIDE)
    long = short * 5 // 4 + 1
    width, height = (long, short) if seed % 2 else (short, long)
    return synthetic_picture(width, height, seed)


def _png(picture: Image.Image) -> bytes:
    """Uncompressed, since versions of zlib compress differently."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def _logits(model: Path, images: FloatArray) -> FloatArray:
    with IsolatedRunner(model, threads=1) as runner:
        logits = np.concatenate([runner(image[None]) for image in images])
    check_finite(logits, where=str(model))
    return logits
