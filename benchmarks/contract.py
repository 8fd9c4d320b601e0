"""What goes into a runner and what comes out of it, checked."""

from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from eightbit.models.errors import InputError

FloatArray: TypeAlias = npt.NDArray[np.float32]


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


def check_batch(batch: FloatArray) -> None:
    """Refuses what is not a batch of images.

    Raises:
        InputError: Not float32, or not of shape (N, 3, H, W) with N, H and W at least 1.
    """
    if batch.dtype != np.float32 or batch.ndim != 4 or batch.shape[1] != 3 or not batch.size:
        raise InputError(
            f"batch: expected float32 of shape (N, 3, H, W), "
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
