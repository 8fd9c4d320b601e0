"""What the outputs of a network decide, by its task: classes, yes or no, or nothing.

A logit that stands for itself, as in a binary or multi-label classifier, says yes where it is
higher than the threshold's; equal is no. A softmax over it would be 1 whatever it says.
"""

from dataclasses import dataclass
from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from eightbit.benchmarks.runtimes.runner import FloatArray
from eightbit.models.spec import ModelSpec, Task

DoubleArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """How outputs are read; `threshold_logit` is that of a task with a threshold."""

    task: Task = Task.SINGLE_LABEL
    threshold_logit: float = 0.0

    @classmethod
    def of(cls, spec: ModelSpec) -> Self:
        """The head of a network."""
        return cls(task=spec.task, threshold_logit=spec.threshold_logit)

    def decisions_per_image(self, outputs: int) -> int:
        """How many decisions so many outputs make."""
        if self.task is Task.REGRESSION:
            return 0
        return outputs if self.task is Task.MULTI_LABEL else 1

    def decisions(self, logits: FloatArray) -> IntArray:
        """Decisions of each image: int64, shape (N, decisions), from float32 (N, outputs).

        Single-label: the class of the highest logit, the lowest of equals. Binary and multi-label:
        1 for yes, 0 for no.
        """
        if self.task is Task.SINGLE_LABEL:
            classes: IntArray = np.argmax(logits, axis=1)[:, None]
            return classes
        if self.task is Task.REGRESSION:
            return np.empty((len(logits), 0), dtype=np.int64)
        return (logits.astype(np.float64) > self.threshold_logit).astype(np.int64)

    def distance(self, logits: FloatArray, decisions: IntArray) -> DoubleArray:
        """By how much no output may move if other decisions are not to come out.

        Half the distance of the two classes, or that from the threshold; 0 where the decisions are
        those of the logits already. Shapes (N, outputs), (N, decisions); result float64, as the
        latter.
        """
        exact = logits.astype(np.float64)
        if self.task is Task.SINGLE_LABEL:
            half: DoubleArray = (
                exact.max(1, keepdims=True) - np.take_along_axis(exact, decisions, 1)
            ) / 2
            return half
        if self.task is Task.REGRESSION:
            return np.empty(decisions.shape)
        apart = np.abs(exact - self.threshold_logit)
        return np.where(decisions == self.decisions(logits), 0.0, apart)

    def probabilities(self, logits: FloatArray) -> DoubleArray:
        """Probability of each class: float64, shape (N, outputs); of a binary task that of yes.

        Raises:
            ValueError: The numbers of a regression are no probabilities.
        """
        from scipy.special import expit, softmax

        if self.task is Task.REGRESSION:
            raise ValueError("regression: expected a task with probabilities")
        # In float64 the difference of two float32 numbers cannot overflow.
        exact = logits.astype(np.float64)
        found: DoubleArray = expit(exact) if self.task.has_threshold else softmax(exact, axis=1)
        return found

    def top_probability(self, logits: FloatArray) -> DoubleArray:
        """Probability of each image's class, that of no included: float64, shape (N,).

        Raises:
            ValueError: There is not one class per image.
        """
        from scipy.special import expit, log_softmax

        exact = logits.astype(np.float64)
        if self.task is Task.SINGLE_LABEL:
            highest: DoubleArray = np.exp(log_softmax(exact, axis=1).max(axis=1))
            return highest
        if self.task is not Task.BINARY:
            raise ValueError(f"{self.task}: expected a task of one class per image")
        of_class: DoubleArray = expit(np.where(self.decisions(logits), exact, -exact))[:, 0]
        return of_class

    def divergence(self, expected: DoubleArray, found: DoubleArray) -> DoubleArray | None:
        """Kullback-Leibler divergence D(expected || found) of each image, in nats, shape (N,).

        Of the softmax, or summed over the classes that are decided one by one, which is that of
        all their answers together if these are independent. From logits, float64 (N, outputs);
        None for a regression.
        """
        from scipy.special import log_expit, log_softmax

        if self.task is Task.REGRESSION:
            return None
        if self.task.has_threshold:
            sides = [(log_expit(sign * expected), log_expit(sign * found)) for sign in (1, -1)]
        else:
            sides = [(log_softmax(expected, axis=1), log_softmax(found, axis=1))]
        divergence: DoubleArray = sum(
            np.sum(np.exp(log_p) * (log_p - log_q), axis=1) for log_p, log_q in sides
        )
        # The terms have both signs: rounding can leave a little less than nothing.
        return np.maximum(divergence, 0.0)


SINGLE_LABEL = Head()

LEAST_R2: Final = -1e6


class Spread:
    """Sum of squared distances from the mean of each output, over batches.

    T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances", COMPSTAT 1982.
    """

    def __init__(self) -> None:
        self._images = 0
        self._mean: DoubleArray = np.zeros(1)
        self._squares: DoubleArray = np.zeros(1)

    def update(self, outputs: DoubleArray) -> None:
        """Adds one batch, float64 (N, outputs)."""
        count, mean = len(outputs), outputs.mean(axis=0)
        squares = np.square(outputs - mean).sum(axis=0)
        total, away = self._images + count, mean - self._mean
        self._squares = self._squares + squares + away**2 * (self._images * count / total)
        self._mean = self._mean + away * (count / total)
        self._images = total

    def r2(self, noise: float) -> float | None:
        """Coefficient of determination: 1 - noise / spread over all outputs together.

        `noise` is the sum of squared differences; None where the outputs are the same for all
        images. What is worse than `LEAST_R2` is no different from it.
        """
        spread = float(self._squares.sum())
        return max(1 - noise / spread, LEAST_R2) if spread > 0 else None
