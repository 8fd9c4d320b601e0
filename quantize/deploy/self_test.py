"""The self-test of a bundle for other machines: three pictures and the logits that they give."""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from eightbit.benchmarks.artifact.artifact import file_sha256
from eightbit.benchmarks.processes.isolated import IsolatedRunner
from eightbit.benchmarks.runtimes.runner import FloatArray, check_finite
from eightbit.models.images.decoding import decode_image
from eightbit.models.images.preprocessing import cropped_pixels, normalised_images
from eightbit.models.spec import Preprocessing
from eightbit.quantize.artifacts.open_bundle import Bundle
from eightbit.quantize.photos import synthetic_picture
from eightbit.quantize.recipe.recipe import Recipe

SELF_TEST_FORMAT_VERSION: Final = 1
SELF_TEST_PICTURES: Final = 3

# So many last bits between the first and the second class leave no doubt: without them another
# class is not worth having.
_CLEAR: Final = 8

# Drawn, so that there is a choice among their margins and classes.
_CANDIDATES: Final = 24

# A picture's shorter side is never longer: resizing is tested as well by enlarging.
_MAX_SIDE: Final = 1024


@dataclass(frozen=True, kw_only=True)
class SelfTest:
    """What a machine needs to see whether it computes what this one computed.

    Attributes:
        document: The content of `self_test.json`.
        pictures: PNG files by their names in it, such as "self_test/0.png".
    """

    document: bytes
    pictures: dict[str, bytes]


def make_self_test(opened: Bundle) -> SelfTest:
    """Make the self-test of a bundle's INT8 ONNX model; the same model gives the same bytes.

    Of a number of synthetic images it takes those whose classes are least in doubt: a class must
    not hang on a last bit.

    Args:
        opened: The bundle.

    Raises:
        InputError: It has no INT8 ONNX model, or that cannot be run or gives a logit that is not
            finite.
    """
    recipe, model = opened.recipe, opened.require_onnx()
    preprocessing = recipe.spec.preprocessing
    pictures = [_png(synthetic_candidate(preprocessing, seed)) for seed in range(_CANDIDATES)]
    pixels = np.stack([_pixels(picture, preprocessing) for picture in pictures])
    logits = _logits(model, normalised_images(pixels, preprocessing))
    chosen = clearest(logits, recipe.output_scale)
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


def clearest(logits: FloatArray, last_bit: float) -> tuple[int, ...]:
    """The images whose highest logit is furthest above the second, of distinct classes if possible.

    Args:
        logits: Finite, float32, shape (N, classes).
        last_bit: Of the logits.

    Returns:
        Indices of `SELF_TEST_PICTURES` images, ascending; of all where there are fewer.
    """
    ordered = np.sort(logits, axis=1)
    margins = ordered[:, -1] - ordered[:, -2] if logits.shape[1] > 1 else ordered[:, -1]
    first: list[int] = []
    others: list[int] = []
    classes: set[int] = set()
    for index in np.argsort(-margins, kind="stable").tolist():
        best = int(logits[index].argmax())
        is_new = best not in classes and margins[index] >= _CLEAR * last_bit
        (first if is_new else others).append(index)
        classes.add(best)
    return tuple(sorted((first + others)[:SELF_TEST_PICTURES]))


def _document(recipe: Recipe, model: Path, images: Sequence[dict[str, object]]) -> bytes:
    content = {
        "format_version": SELF_TEST_FORMAT_VERSION,
        "model_sha256": file_sha256(model),
        "last_bit": recipe.output_scale,
        "images": images,
    }
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode("ascii")


def synthetic_candidate(preprocessing: Preprocessing, seed: int) -> Image.Image:
    """Neither square nor of the model's size; upright and lying in turns."""
    short = min(max(preprocessing.resize, preprocessing.crop) * 9 // 8 + 1, _MAX_SIDE)
    long = short * 5 // 4 + 1
    width, height = (long, short) if seed % 2 else (short, long)
    return synthetic_picture(width, height, seed)


def _png(picture: Image.Image) -> bytes:
    """Not compressed, since every version of zlib packs otherwise."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def _pixels(png: bytes, preprocessing: Preprocessing) -> np.ndarray:
    return cropped_pixels(decode_image(png), preprocessing)


def _logits(model: Path, images: FloatArray) -> FloatArray:
    with IsolatedRunner(model, threads=1) as runner:
        logits = np.concatenate([runner(image[None]) for image in images])
    check_finite(logits, where=str(model))
    return logits
