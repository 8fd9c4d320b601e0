"""A call of a module that torch loaded from a file: a batch in, logits out, checked."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch

from eightbit.benchmarks.artifact.refusals import last_line
from eightbit.benchmarks.runtimes.runner import AnyArray, FloatArray, check_logits
from eightbit.models.errors import InputError


def call_module(
    module: Callable[[torch.Tensor], object],
    batch: AnyArray,
    *,
    within: AbstractContextManager[None],
    raised: tuple[type[Exception], ...],
    where: str,
    classes: int | None,
) -> FloatArray:
    """Run a module on a batch that its feed has prepared, within a context of torch's settings.

    ``raised`` is what the module raises where a batch does not fit.

    Returns:
        float32 logits, shape (N, classes).

    Raises:
        InputError: It fails, or returns something else.
    """
    # torch cannot share a read-only array or one that runs backwards: only those are copied.
    images = torch.from_numpy(np.require(batch, requirements=["C", "W"]))
    with within, torch.inference_mode():
        try:
            logits = module(images)
        except raised as exc:
            raise InputError(
                f"{where}: cannot run a batch of shape {batch.shape}: {last_line(exc)}"
            ) from exc
    if not isinstance(logits, torch.Tensor):
        raise InputError(
            f"{where}: expected a model that returns logits, "
            f"found one that returns {type(logits).__name__}"
        )
    array: FloatArray = logits.numpy()
    check_logits(array, images=len(batch), where=where, classes=classes)
    return array
