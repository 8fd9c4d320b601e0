"""Probabilities from logits, however far those lie apart."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.runtimes.runner import FloatArray

DoubleArray: TypeAlias = npt.NDArray[np.float64]


def log_softmax(logits: FloatArray | DoubleArray) -> DoubleArray:
    """Natural logarithms of the probabilities, all finite.

    Args:
        logits: Finite, float32 or float64, shape (N, classes).

    Returns:
        float64, of the same shape; at most 0.
    """
    # In float64 the difference of two float32 numbers cannot overflow.
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    log_probabilities: DoubleArray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return log_probabilities


def top_probability(logits: FloatArray) -> DoubleArray:
    """Probability of the class with the highest logit, of each image.

    Args:
        logits: Finite, float32, shape (N, classes).

    Returns:
        float64, shape (N,); between 1 / classes and 1.
    """
    highest: DoubleArray = np.exp(log_softmax(logits).max(axis=1))
    return highest
