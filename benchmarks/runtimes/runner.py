"""What goes into a runner and what comes out of it, checked."""

import math
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.artifact.model_input import PREPROCESSED, ModelInput
from eightbit.models.errors import InputError

FloatArray: TypeAlias = npt.NDArray[np.float32]
AnyArray: TypeAlias = npt.NDArray[Any]


class Runner(Protocol):
    """A loaded model: a batch in, logits out."""

    def __call__(self, batch: FloatArray) -> FloatArray:
        """Logits, float32 (N, classes), of preprocessed images, float32 (N, 3, H, W), N at least 1.

        Raises:
            InputError: The batch has another type or shape, or the model cannot run it.
        """
        ...


def check_batch(
    batch: AnyArray,
    taken: ModelInput = PREPROCESSED,
    *,
    images: int | None = None,
    height: int | None = None,
    width: int | None = None,
) -> None:
    """Refuses what is not a batch of images that a model takes.

    `images` at once, `height` and `width` in pixels are those that the model is fixed to; None for
    any.

    Raises:
        InputError: Of another dtype, not of that layout with 3 channels and N, H and W at least 1,
            or of another size.
    """
    wanted: dict[str, int | None] = {"N": images, "C": 3, "H": height, "W": width}
    well_shaped = batch.ndim == 4 and all(
        found > 0 and wanted[axis] in (None, found)
        for axis, found in zip(taken.layout, batch.shape, strict=True)
    )
    if batch.dtype != taken.dtype or not well_shaped:
        shape = ", ".join(str(wanted[axis] or axis) for axis in taken.layout)
        raise InputError(
            f"batch: expected {taken.dtype} of shape ({shape}), "
            f"found {batch.dtype} of shape {batch.shape}; {_advice(batch, taken, images)}"
        )


def _advice(batch: AnyArray, taken: ModelInput, images: int | None) -> str:
    """What to do about a batch that does not fit."""
    if batch.ndim == 3:
        return "one image is a batch of one: image[None]"
    if batch.ndim == 4 and batch.size == 0:
        return "give at least one image"
    channels = taken.layout.index("C")
    if batch.ndim == 4 and batch.shape[channels] != 3 and 3 in (batch.shape[1], batch.shape[3]):
        return f"transpose it to {taken.layout}"
    if batch.ndim == 4 and images not in (None, len(batch)):
        return "this model takes as many images at once as it was exported for"
    return "preprocess the images as the model's metadata says"


def check_numbers(batch: FloatArray) -> None:
    """Refuses a batch with NaN or infinity: a quantized model would make a number of it.

    Raises:
        InputError: At least one value is not finite.
    """
    # Two passes that write nothing; with `isfinite` over all, a batch would be timed.
    if not (math.isfinite(batch.min()) and math.isfinite(batch.max())):
        bad = batch.size - int(np.count_nonzero(np.isfinite(batch)))
        raise InputError(
            f"batch: expected finite numbers, found {bad:,} of {batch.size:,} NaN or infinite; "
            "look at what preprocessed the images"
        )


def check_logits(
    logits: FloatArray, *, images: int, where: str, classes: int | None = None
) -> None:
    """Refuses what is not one row of logits per image; `where` begins the error message.

    Non-finite values pass: a runner hands on what the model said; see `check_finite`.

    Raises:
        InputError: Not float32 of shape (images, classes), with any number of classes for None.
    """
    if logits.dtype != np.float32 or logits.ndim != 2 or len(logits) != images or not logits.size:
        raise InputError(
            f"{where}: expected logits as float32 of shape ({images}, classes), "
            f"found {logits.dtype} of shape {logits.shape}; is it a classifier?"
        )
    if classes is not None and logits.shape[1] != classes:
        raise InputError(
            f"{where}: expected {classes} logits as its metadata says, found {logits.shape[1]}; "
            "do not trust this file"
        )


def check_finite(logits: FloatArray, *, where: str) -> None:
    """Refuses NaN and infinity: no statistic may average them away.

    Raises:
        InputError: At least one value is not finite.
    """
    bad = int(np.count_nonzero(~np.isfinite(logits)))
    if bad:
        raise InputError(
            f"{where}: expected finite logits, found {bad} of {logits.size} NaN or infinite; "
            "the model is broken for this input"
        )
