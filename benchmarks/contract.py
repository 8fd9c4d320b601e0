"""What goes into a runner and what comes out of it, checked."""

from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.model_input import PREPROCESSED, ModelInput
from eightbit.models.errors import InputError

FloatArray: TypeAlias = npt.NDArray[np.float32]
AnyArray: TypeAlias = npt.NDArray[Any]


class Runner(Protocol):
    """A loaded model: a batch in, logits out."""

    def __call__(self, batch: FloatArray) -> FloatArray:
        """Runs the model.

        Args:
            batch: Preprocessed images, float32, shape (N, 3, H, W), N at least 1.

        Returns:
            Logits, float32, shape (N, classes).

        Raises:
            InputError: The batch has another type or shape, or the model cannot run it.
        """
        ...


def check_batch(batch: AnyArray, taken: ModelInput = PREPROCESSED) -> None:
    """Refuses what is not a batch of images.

    Args:
        batch: What to check.
        taken: What the model takes.

    Raises:
        InputError: Of another dtype, or not of that layout with 3 channels and N, H and W at
            least 1.
    """
    channels = taken.layout.index("C")
    well_shaped = batch.ndim == 4 and batch.shape[channels] == 3 and batch.size > 0
    if batch.dtype != taken.dtype or not well_shaped:
        raise InputError(
            f"batch: expected {taken.dtype} of shape {taken.shape_text}, "
            f"found {batch.dtype} of shape {batch.shape}"
        )


def check_logits(logits: FloatArray, *, images: int, where: str) -> None:
    """Refuses what is not one row of logits per image.

    Non-finite values pass: a runner hands on what the model said; see `check_finite`.

    Raises:
        InputError: Not float32 of shape (images, classes).
    """
    if logits.dtype != np.float32 or logits.ndim != 2 or len(logits) != images or not logits.size:
        raise InputError(
            f"{where}: expected logits as float32 of shape ({images}, classes), "
            f"found {logits.dtype} of shape {logits.shape}"
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
